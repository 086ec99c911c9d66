from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless import unit_file
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.service.drop_ins import environment
from k3s_rootless.service.environment import variables
from k3s_rootless.service.environment.variables import (
    VARIABLES,
    Effect,
    Network,
    Surroundings,
    judge,
)
from k3s_rootless.service.unit.seal import Author, author
from tests.service.environment import environment_page
from tests.strategies import version

TAKEN, IGNORED, FATAL, UNREAD = Effect.TAKEN, Effect.IGNORED, Effect.FATAL, Effect.UNREAD
NEW, OLD = version("v1.33.4+k3s1"), version("v1.22.5+k3s1")
AROUND = Surroundings(
    NEW,
    networks=(Network("10.42.0.0/16", "Pods"), Network("192.168.1.0/24", "eth0 of this host")),
    directories={
        "/opt": Known(value=True),
        "/nowhere": Known(value=False),
        "/closed": Unknown("/closed: permission denied"),
    },
)


def judged(name: str, value: str, **values: str) -> variables.Judgement:
    return judge(name, value, Surroundings(NEW, AROUND.networks, AROUND.directories, values))


@pytest.mark.parametrize(
    ("name", "value", "effect", "word"),
    [
        ("MTU", "1500", TAKEN, ""),
        ("MTU", "+1500", TAKEN, ""),
        ("MTU", "65521", TAKEN, ""),
        ("MTU", "0", TAKEN, "0 means the default of 65520"),
        ("MTU", "65522", FATAL, "slirp4netns takes an MTU of up to 65521"),
        ("MTU", "-1", FATAL, "negative"),
        ("MTU", "1500 ", IGNORED, "default of 65520"),
        ("MTU", "0x5dc", IGNORED, "default of 65520"),
        ("MTU", "9223372036854775808", IGNORED, "default of 65520"),
        ("CIDR", "10.99.0.0/16", TAKEN, ""),
        ("CIDR", "10.99.0.0/25", TAKEN, ""),
        ("CIDR", "10.99.0.0/26", FATAL, "prefixes of 1 to 25"),
        ("CIDR", "0.0.0.0/0", FATAL, "prefixes of 1 to 25"),
        ("CIDR", "10.99.0.1/16", FATAL, "the network is 10.99.0.0/16"),
        ("CIDR", "10.99.0.0", FATAL, "no network"),
        ("CIDR", "10.99.0.0/255.255.0.0", FATAL, "no network"),
        ("CIDR", "fd00::/64", FATAL, "IPv4"),
        ("CIDR", "10.42.128.0/17", TAKEN, "10.42.0.0/16 (Pods)"),
        ("CIDR", "192.168.0.0/16", TAKEN, "192.168.1.0/24 (eth0 of this host)"),
        ("ENABLE_IPV6", "T", TAKEN, ""),
        ("ENABLE_IPV6", "yes", IGNORED, "--node-ip"),
        ("PORT_DRIVER", "SLIRP4netns", TAKEN, ""),
        ("PORT_DRIVER", " builtin", IGNORED, "builtin"),
        ("PORT_DRIVER", "BU\u0130LTIN", TAKEN, ""),
        ("DISABLE_HOST_LOOPBACK", "true", TAKEN, ""),
        ("DISABLE_HOST_LOOPBACK", "False", TAKEN, "127.0.0.1 of this host, at 10.41.0.2"),
        ("DISABLE_HOST_LOOPBACK", "off", IGNORED, "default: true"),
        ("COPYUPDIRS", "/opt", TAKEN, ""),
        ("COPYUPDIRS", "/opt/", TAKEN, ""),
        ("COPYUPDIRS", "/opt,", TAKEN, "your home directory"),
        ("COPYUPDIRS", "/opt,/nowhere", FATAL, "`/nowhere` is no directory"),
        ("COPYUPDIRS", "/opt,/x/../tmp", FATAL, "/tmp cannot be copied up"),
        ("COPYUPDIRS", "/closed", TAKEN, "permission denied"),
    ],
)
def test_each_value_is_judged_as_k3s_does(name: str, value: str, effect: Effect, word: str) -> None:
    found = judged(f"K3S_ROOTLESS_{name}", value)

    assert found.effect is effect
    assert any(word in told for told in found.words) if word else found.words == ()


@pytest.mark.parametrize(
    ("value", "effect", "word"),
    [
        ("http://proxy.example:3128", TAKEN, ""),
        ("proxy.example:3128", TAKEN, ""),
        ("socks5h://10.0.0.9:1080", TAKEN, ""),
        ("http://user:secret@proxy", TAKEN, ""),
        ("ftp://proxy", TAKEN, "not `ftp`"),
        ("http://proxy:80x", TAKEN, "the host `http`"),
        ("proxy host", TAKEN, "no host"),
        ("\n", IGNORED, "directly"),
        (
            "http://127.0.0.1:3128",
            TAKEN,
            "or 10.41.0.2 and K3S_ROOTLESS_DISABLE_HOST_LOOPBACK=false",
        ),
        ("http://localhost:3128", TAKEN, "loopback of its own"),
        ("http://10.41.0.2:3128", TAKEN, "leads nowhere without"),
    ],
)
def test_a_proxy_is_judged_as_go_does(value: str, effect: Effect, word: str) -> None:
    for name in variables.SECRETIVE:
        found = judged(name, value)

        assert found.effect is effect
        assert any(word in told for told in found.words) if word else found.words == ()
        assert not any("secret" in told for told in found.words)


def test_the_gateway_is_that_of_the_network_that_was_chosen() -> None:
    values = {"K3S_ROOTLESS_CIDR": "172.31.240.0/24", "K3S_ROOTLESS_DISABLE_HOST_LOOPBACK": "0"}

    assert () == judged("HTTP_PROXY", "http://172.31.240.2:3128", **values).words
    (told,) = judged("HTTP_PROXY", "http://127.0.0.1:3128", **values).words
    assert told.endswith("or 172.31.240.2")


def test_a_no_proxy_is_judged_entry_by_entry() -> None:
    assert () == judged("NO_PROXY", "10.0.0.0/8,.svc,*.example").words
    assert "`10.0.*`" in judged("NO_PROXY", "a,10.0.*").words[0]


@pytest.mark.parametrize("name", VARIABLES)
def test_empty_is_as_good_as_none(name: str) -> None:
    assert judged(name, "") == variables.Judgement()


def test_a_release_that_does_not_read_it_is_told() -> None:
    for name in VARIABLES:
        found = judge(name, "1", Surroundings(OLD))
        assert (found.effect is UNREAD) == name.startswith("K3S_ROOTLESS_")
    assert (
        "v1.22.5+k3s1 does not read it" in judge("K3S_ROOTLESS_MTU", "x", Surroundings(OLD)).reason
    )
    assert judge("K3S_ROOTLESS_MTU", "-1", Surroundings(None)).effect is FATAL, (
        "of an unknown release nothing is believed"
    )
    before = version("v1.29.9+k3s1")
    assert judge("K3S_ROOTLESS_COPYUPDIRS", "/opt", Surroundings(before)).effect is UNREAD
    assert judge("K3S_ROOTLESS_MTU", "1400", Surroundings(before)).effect is TAKEN


@given(
    st.sampled_from(sorted(VARIABLES)),
    st.text(st.characters() | st.sampled_from(":/@,.%0123456789abcfilnstu")),
)
def test_whatever_the_value_there_is_an_answer(name: str, value: str) -> None:
    found = judged(name, value)

    assert found.effect is not UNREAD
    assert bool(found.reason) == (found.effect is not TAKEN)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("K3S_ROOTLESS_PORTDRIVER", "did you mean K3S_ROOTLESS_PORT_DRIVER?"),
        ("K3S_ROOTLESS_XYZZY_PLUGH", "K3s knows no such variable"),
        ("HTTP_PROXI", "did you mean HTTP_PROXY?"),
        ("http_proxy", "it is written HTTP_PROXY"),
        ("_K3S_ROOTLESS_SOCK", "keeps K3s from starting"),
        ("PATH", "none of the variables kept here"),
    ],
)
def test_a_name_that_is_none_is_refused_with_what_was_meant(name: str, word: str) -> None:
    assert word in variables.unknown(name)


TEXTS = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from("\\\"%$\n\t' "), max_size=60
)


@given(
    st.dictionaries(st.sampled_from(sorted(VARIABLES)), TEXTS.filter(lambda one: "\0" not in one))
)
def test_our_drop_in_is_read_back_as_it_was_written(values: dict[str, str]) -> None:
    text = environment.render(values)

    assert values == environment.read(text)
    assert (text is None) == (not values)
    assert text is None or author(text) is Author.OURS


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("a\0b", "NUL"),
        ("a\udcffb", "no UTF-8"),
        ("a\ufffeb", "U+FFFE"),
        ("a\ufdd0b", "U+FDD0"),
        ("a\U0010ffffb", "U+10FFFF"),
        ("a" * 131_072, "131071 bytes"),
        ("\U0001f600" * 32_768, "131071 bytes"),
    ],
)
def test_what_systemd_cannot_carry_is_known_before(value: str, word: str) -> None:
    assert word in (environment.uncarried("NO_PROXY", value) or "")


@given(TEXTS)
def test_what_it_can_carry_has_no_bad_character(value: str) -> None:
    bad = "\0" in value or any(map(unit_file.unreadable, value))

    assert (environment.uncarried("NO_PROXY", value) is None) == (not bad)


def test_the_page_has_the_table_of_the_code() -> None:
    text = environment_page.PAGE.read_text("utf-8")

    assert text == environment_page.renewed(text), (
        "renew it: python -m tests.service.environment.environment_page"
    )
    assert text.count("| `") >= len(VARIABLES)
