"""Tests of the proxies of a shell, as K3s's installer takes them."""

from __future__ import annotations

from k3s_rootless.service.environment import shell_proxies

PROXY = "http://proxy.example:3128"


def test_names_in_lower_case_count_if_the_capitals_are_empty() -> None:
    environ = {
        "http_proxy": PROXY,
        "HTTPS_PROXY": "",
        "https_proxy": f"{PROXY}/s",
        "NO_PROXY": ".example",
        "no_proxy": ".other",
        "CONTAINERD_http_proxy": f"{PROXY}/c",
        "K3S_TOKEN": "x",
    }

    assert {
        "HTTP_PROXY": PROXY,
        "HTTPS_PROXY": f"{PROXY}/s",
        "NO_PROXY": ".example",
        "CONTAINERD_HTTP_PROXY": f"{PROXY}/c",
    } == shell_proxies.of(environ)
    assert ("NO_PROXY",) == shell_proxies.contradictory(environ)


def test_equal_names_are_no_contradiction() -> None:
    assert () == shell_proxies.contradictory({"http_proxy": PROXY, "HTTP_PROXY": PROXY})
    assert () == shell_proxies.contradictory({"HTTP_PROXY": PROXY})


def test_a_list_of_exceptions_is_not_a_proxy() -> None:
    assert () == shell_proxies.addresses({"NO_PROXY": "x", "CONTAINERD_NO_PROXY": "x"})
    assert ("HTTP_PROXY",) == shell_proxies.addresses({"NO_PROXY": "x", "HTTP_PROXY": PROXY})


def test_a_proxy_that_k3s_does_not_read_is_named() -> None:
    assert ("all_proxy",) == shell_proxies.unread({"all_proxy": PROXY, "ALL_PROXY": ""})


def test_k3s_lacks_a_proxy_unless_it_has_one_of_that_name() -> None:
    environ = {"http_proxy": PROXY, "HTTPS_PROXY": PROXY, "NO_PROXY": "x"}

    assert ("HTTP_PROXY", "HTTPS_PROXY") == shell_proxies.lacking(environ, {})
    assert ("HTTP_PROXY",) == shell_proxies.lacking(environ, {"https_proxy": "http://other"})
    assert () == shell_proxies.lacking({"NO_PROXY": "x"}, {})


def test_exceptions_are_those_of_the_shell_of_k3s_and_of_the_cluster() -> None:
    found = {"HTTPS_PROXY": PROXY, "NO_PROXY": " .example, ,10.0.0.1"}

    values = shell_proxies.with_exceptions(
        found, {"NO_PROXY": ".kept,.example"}, ("10.42.0.0/16", ".svc")
    )

    assert {
        "HTTPS_PROXY": PROXY,
        "NO_PROXY": ".example,10.0.0.1,.kept,10.42.0.0/16,.svc",
    } == values


def test_containerd_has_a_list_of_its_own_only_if_there_is_one() -> None:
    found = {"CONTAINERD_HTTPS_PROXY": PROXY}

    assert "CONTAINERD_NO_PROXY" not in shell_proxies.with_exceptions(found, {}, (".svc",))
    both = {**found, "CONTAINERD_NO_PROXY": "a"}
    assert "a,.svc" == shell_proxies.with_exceptions(both, {}, (".svc",))["CONTAINERD_NO_PROXY"]
    kept = shell_proxies.with_exceptions(found, {"CONTAINERD_NO_PROXY": "b"}, (".svc",))
    assert "b,.svc" == kept["CONTAINERD_NO_PROXY"]
