"""Tests of K3s's own kubeconfigs: their contents, and the settings that make K3s exit."""

from __future__ import annotations

import pytest

from k3s_rootless.k3s import issued
from k3s_rootless.k3s.issued import OwnKubeconfig

TEXT = """clusters:
- cluster:
    server: https://127.0.0.1:6444
users:
- name: user
  user:
    client-certificate: /data/server/tls/client-admin.crt
"""
FITS = OwnKubeconfig("admin.kubeconfig", 6444, "/data/server/tls/client-admin.crt", elsewhere=False)


def test_port_and_certificate_are_found() -> None:
    assert (6444, "/data/server/tls/client-admin.crt") == issued.parse("a", TEXT)


@pytest.mark.parametrize(
    "text",
    ["", TEXT.replace("6444", "port"), TEXT.replace("/data", "data"), TEXT.replace("    s", "s")],
)
def test_a_kubeconfig_in_another_format_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a is not a kubeconfig in the format of K3s"):
        issued.parse("a", text)


@pytest.mark.parametrize(
    ("given", "expected"), [("", 6444), ("7000", 7000), ("many", 6444), ("123456", 6444)]
)
def test_the_internal_port_is_the_next_one_unless_it_is_set(given: str, expected: int) -> None:
    assert expected == issued.internal_port(6443, given)


def test_the_first_stale_kubeconfig_is_reported() -> None:
    other = OwnKubeconfig("controller.kubeconfig", 6444, "/old/client.crt", elsewhere=True)

    assert issued.stale((), 1) is None
    assert issued.stale((FITS,), 6444) is None
    assert (
        "admin.kubeconfig contains port 6444, but K3s's internal port is now 7444"
        == issued.stale((FITS, other), 7444)
    )
    assert (
        "controller.kubeconfig refers to /old/client.crt, which is not in this data directory"
        == issued.stale((FITS, other), 6444)
    )
