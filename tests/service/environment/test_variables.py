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

USED, IGNORED, FATAL, UNREAD = Effect.USED, Effect.IGNORED, Effect.FATAL, Effect.UNREAD
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
    ("name", "value", "effect", "text"),
    [
        ("MTU", "1500", USED, ""),
        ("MTU", "+1500", USED, ""),
        ("MTU", "65521", USED, ""),
        ("MTU", "0", USED, "0 means the default of 65520"),
        ("MTU", "65522", FATAL, "slirp4netns accepts an MTU of at most 65521"),
        ("MTU", "-1", FATAL, "negative"),
        ("MTU", "1500 ", IGNORED, "default: 65520"),
        ("MTU", "0x5dc", IGNORED, "default: 65520"),
        ("MTU", "9223372036854775808", IGNORED, "default: 65520"),
        ("CIDR", "10.99.0.0/16", USED, ""),
        ("CIDR", "10.99.0.0/25", USED, ""),
        ("CIDR", "10.99.0.0/26", FATAL, "prefixes from 1 to 25"),
        ("CIDR", "0.0.0.0/0", FATAL, "prefixes from 1 to 25"),
        ("CIDR", "10.99.0.1/16", FATAL, "its network is 10.99.0.0/16"),
        ("CIDR", "10.99.0.0", FATAL, "it is not a network"),
        ("CIDR", "10.99.0.0/255.255.0.0", FATAL, "it is not a network"),
        ("CIDR", "fd00::/64", FATAL, "IPv4"),
        ("CIDR", "10.42.128.0/17", USED, "10.42.0.0/16 (Pods)"),
        ("CIDR", "192.168.0.0/16", USED, "192.168.1.0/24 (eth0 of this host)"),
        ("ENABLE_IPV6", "T", USED, ""),
        ("ENABLE_IPV6", "yes", IGNORED, "--node-ip"),
        ("PORT_DRIVER", "SLIRP4netns", USED, ""),
        ("PORT_DRIVER", " builtin", IGNORED, "builtin"),
        ("PORT_DRIVER", "BU\u0130LTIN", USED, ""),
        ("DISABLE_HOST_LOOPBACK", "true", USED, ""),
        ("DISABLE_HOST_LOOPBACK", "False", USED, "127.0.0.1 of this host, at 10.41.0.2"),
        ("DISABLE_HOST_LOOPBACK", "off", IGNORED, "default: true"),
        ("COPYUPDIRS", "/opt", USED, ""),
        ("COPYUPDIRS", "/opt/", USED, ""),
        ("COPYUPDIRS", "/opt,", USED, "your home directory"),
        ("COPYUPDIRS", "/opt,/nowhere", FATAL, "`/nowhere` is not a directory"),
        ("COPYUPDIRS", "/opt,/x/../tmp", FATAL, "/tmp cannot be copied up"),
        ("COPYUPDIRS", "/closed", USED, "permission denied"),
    ],
)
def test_each_value_is_judged_as_k3s_does(name: str, value: str, effect: Effect, text: str) -> None:
    found = judged(f"K3S_ROOTLESS_{name}", value)

    assert found.effect is effect
    assert any(text in one for one in found.messages) if text else found.messages == ()


@pytest.mark.parametrize(
    ("value", "effect", "text"),
    [
        ("http://proxy.example:3128", USED, ""),
        ("proxy.example:3128", USED, ""),
        ("socks5h://10.0.0.9:1080", USED, ""),
        ("http://user:secret@proxy", USED, ""),
        ("ftp://proxy", USED, "not with `ftp`"),
        ("http://proxy:80x", USED, "its host is `http`"),
        ("proxy host", USED, "no host"),
        ("\n", IGNORED, "directly"),
        (
            "http://127.0.0.1:3128",
            USED,
            "or 10.41.0.2 with K3S_ROOTLESS_DISABLE_HOST_LOOPBACK=false",
        ),
        ("http://localhost:3128", USED, "localhost is an address in K3s's namespace"),
        ("http://10.41.0.2:3128", USED, "K3s can reach 10.41.0.2 only with"),
    ],
)
def test_a_proxy_is_judged_as_go_does(value: str, effect: Effect, text: str) -> None:
    for name in variables.SECRETIVE:
        found = judged(name, value)

        assert found.effect is effect
        assert any(text in one for one in found.messages) if text else found.messages == ()
        assert not any("secret" in one for one in found.messages)


def test_the_gateway_is_that_of_the_configured_network() -> None:
    values = {"K3S_ROOTLESS_CIDR": "172.31.240.0/24", "K3S_ROOTLESS_DISABLE_HOST_LOOPBACK": "0"}

    assert () == judged("HTTP_PROXY", "http://172.31.240.2:3128", **values).messages
    (message,) = judged("HTTP_PROXY", "http://127.0.0.1:3128", **values).messages
    assert message.endswith("or 172.31.240.2")


def test_a_no_proxy_is_judged_entry_by_entry() -> None:
    assert () == judged("NO_PROXY", "10.0.0.0/8,.svc,*.example").messages
    assert "`10.0.*`" in judged("NO_PROXY", "a,10.0.*").messages[0]


@pytest.mark.parametrize("name", VARIABLES)
def test_an_empty_value_counts_as_not_set(name: str) -> None:
    assert judged(name, "") == variables.Judgement()


def test_a_release_that_does_not_read_a_variable_is_reported() -> None:
    for name in VARIABLES:
        found = judge(name, "1", Surroundings(OLD))
        assert (found.effect is UNREAD) == name.startswith("K3S_ROOTLESS_")
    assert (
        "v1.22.5+k3s1 does not read it" in judge("K3S_ROOTLESS_MTU", "x", Surroundings(OLD)).reason
    )
    assert judge("K3S_ROOTLESS_MTU", "-1", Surroundings(None)).effect is FATAL, (
        "an unknown release counts as one that reads the variable"
    )
    before = version("v1.29.9+k3s1")
    assert judge("K3S_ROOTLESS_COPYUPDIRS", "/opt", Surroundings(before)).effect is UNREAD
    assert judge("K3S_ROOTLESS_MTU", "1400", Surroundings(before)).effect is USED


@given(
    st.sampled_from(sorted(VARIABLES)),
    st.text(st.characters() | st.sampled_from(":/@,.%0123456789abcfilnstu")),
)
def test_every_value_has_a_judgement(name: str, value: str) -> None:
    found = judged(name, value)

    assert found.effect is not UNREAD
    assert bool(found.reason) == (found.effect is not USED)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("K3S_ROOTLESS_PORTDRIVER", "did you mean K3S_ROOTLESS_PORT_DRIVER?"),
        ("K3S_ROOTLESS_XYZZY_PLUGH", "K3s has no such variable"),
        ("HTTP_PROXI", "did you mean HTTP_PROXY?"),
        ("http_proxy", "its name is HTTP_PROXY, in capitals"),
        ("_K3S_ROOTLESS_SOCK", "K3s does not start"),
        ("PATH", "it is not a variable that k3s-rootless manages"),
        ("K3S_URL", "it sets `server`: several nodes are not supported"),
        ("K3S_DATA_DIR", "k3s-rootless config set data-dir VALUE"),
    ],
)
def test_an_unknown_name_is_refused_with_a_suggestion(name: str, text: str) -> None:
    assert text in variables.unknown(name)


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
    ("value", "text"),
    [
        ("a\0b", "NUL"),
        ("a\udcffb", "not valid UTF-8"),
        ("a\ufffeb", "U+FFFE"),
        ("a\ufdd0b", "U+FDD0"),
        ("a\U0010ffffb", "U+10FFFF"),
        ("a" * 131_072, "131071 bytes"),
        ("\U0001f600" * 32_768, "131071 bytes"),
    ],
)
def test_a_value_that_systemd_cannot_pass_on_is_refused(value: str, text: str) -> None:
    assert text in (environment.refusal("NO_PROXY", value) or "")


@given(TEXTS)
def test_a_value_that_systemd_can_pass_on_has_no_bad_character(value: str) -> None:
    bad = "\0" in value or any(map(unit_file.unreadable, value))

    assert (environment.refusal("NO_PROXY", value) is None) == (not bad)


def test_the_page_has_the_table_of_the_code() -> None:
    text = environment_page.PAGE.read_text("utf-8")

    assert text == environment_page.renewed(text), (
        "update it: python -m tests.service.environment.environment_page"
    )
    assert text.count("| `") >= len(VARIABLES)
