from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.release.flags import HTTPS_PORT, ServerSettings, disabled

HOME = Path("/home/alice")
UNIT = ("/usr/local/bin/k3s", "server", "--rootless", "--snapshotter=fuse-overlayfs")
DATA = HOME / ".rancher/k3s"
KUBECONFIG = HOME / ".kube/k3s.yaml"


def settings(arguments: str, **environ: str) -> ServerSettings:
    return ServerSettings.of((*UNIT, *arguments.split()), environ, HOME)


def test_what_nobody_says_is_the_default_of_k3s() -> None:
    assert settings("") == ServerSettings(DATA, KUBECONFIG, 6443, servicelb=True, snapshotter="fuse-overlayfs")
    assert ServerSettings.of((), {}, HOME) == ServerSettings(DATA, KUBECONFIG)


@pytest.mark.parametrize(
    ("arguments", "environ", "field", "expected"),
    [
        ("--snapshotter native", {}, "snapshotter", "native"),
        ("--disable=traefik,metrics-server", {}, "traefik", False),
        ("--disable servicelb", {}, "traefik", True),
        ("--cluster-cidr=10.1.0.0/16", {}, "cluster_cidr", "10.1.0.0/16"),
        ("--cluster-cidr 10.1.0.0/16 --cluster-cidr=fd00::/56", {}, "cluster_cidr", "10.1.0.0/16,fd00::/56"),
        ("", {}, "cluster_cidr", "10.42.0.0/16"),
        ("--service-cidr=10.2.0.0/16", {}, "service_cidr", "10.2.0.0/16"),
        ("", {}, "service_cidr", "10.43.0.0/16"),
        ("--node-name a", {"K3S_NODE_NAME": "b"}, "node_name", "a"),
        ("", {"K3S_NODE_NAME": "b"}, "node_name", "b"),
        ("-c /x.yaml", {}, "config", "/x.yaml"),
        ("--config=/x.yaml", {"K3S_CONFIG_FILE": "/y.yaml"}, "config", "/y.yaml"),
        ("--selinux", {}, "selinux", True),
        ("--selinux=false", {"K3S_SELINUX": "true"}, "selinux", False),
        ("", {"K3S_SELINUX": "true"}, "selinux", True),
        ("", {}, "selinux", False),
    ],
)
def test_flags_and_variables_that_checks_ask_for(arguments: str, environ: dict[str, str], field: str, expected: object) -> None:
    assert getattr(settings(arguments, **environ), field) == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--data-dir /srv/k3s", "/srv/k3s"),
        ("--data-dir=/srv/k3s", "/srv/k3s"),
        ("-d /srv/k3s", "/srv/k3s"),
        ("-d=/srv/k3s", "/srv/k3s"),
        ("-data-dir /srv/k3s", "/srv/k3s"),
        ("--d=/srv/k3s", "/srv/k3s"),
        ("--data-dir /one -d /two", "/two"),
        ("-d /one --data-dir=/two", "/two"),
        ("--data-dir ~", "/home/alice"),
        ("--data-dir ~/k3s", "/home/alice/k3s"),
        ("--data-dir $HOME/k3s", "/home/alice/k3s"),
        ("--data-dir=${HOME}/k3s", "/home/alice/k3s"),
        ("--data-dir ~//etc", "/home/alice/etc"),
        ("--data-dir ~bob/k3s", "/home/alice/~bob/k3s"),
        ("--data-dir k3s", "/home/alice/k3s"),
        ("--data-dir=/a=b", "/a=b"),
        ("--data-dir", "/home/alice/.rancher/k3s"),
        ("--data-dir=", "/home/alice/.rancher/k3s"),
        ("--data-dir-of-others=/srv/k3s data-dir=/srv/k3s d /srv", "/home/alice/.rancher/k3s"),
    ],
)
def test_the_data_directory_is_what_the_command_line_says(arguments: str, expected: str) -> None:
    assert str(settings(arguments).data) == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--write-kubeconfig ~/k.yaml", "/home/alice/k.yaml"),
        ("-o /srv/k.yaml", "/srv/k.yaml"),
        ("-o=/srv/k.yaml", "/srv/k.yaml"),
        ("--write-kubeconfig-mode=644 --write-kubeconfig-group wheel", "/home/alice/.kube/k3s.yaml"),
    ],
)
def test_the_kubeconfig_is_where_the_command_line_says(arguments: str, expected: str) -> None:
    assert str(settings(arguments).kubeconfig) == expected


def test_the_environment_speaks_where_the_command_line_does_not() -> None:
    environ = {"K3S_DATA_DIR": "~/data", "K3S_KUBECONFIG_OUTPUT": "/srv/k.yaml"}

    assert settings("", **environ).data == HOME / "data"
    assert settings("", **environ).kubeconfig == Path("/srv/k.yaml")
    assert settings("-d /flag -o /k", **environ) == settings("-d /flag -o /k")


def test_an_empty_variable_is_as_good_as_none() -> None:
    assert settings("", K3S_DATA_DIR="", K3S_KUBECONFIG_OUTPUT="") == settings("")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--https-listen-port 7443", 7443),
        ("--https-listen-port=443", 443),
        ("--https-listen-port 1 --https-listen-port 65535", 65535),
        ("--https-listen-port", HTTPS_PORT),
        ("--https-listen-port=", HTTPS_PORT),
        ("--https-listen-port=0", HTTPS_PORT),
        ("--https-listen-port=65536", HTTPS_PORT),
        ("--https-listen-port=-1", HTTPS_PORT),
        ("--https-listen-port=http", HTTPS_PORT),
        ("--https-listen-port=\u0667\u0664\u0664\u0663", HTTPS_PORT),
        ("--https-listen-port=" + "9" * 5000, HTTPS_PORT),
    ],
    ids=lambda value: ascii(value)[-20:],
)
def test_the_port_of_the_api_is_a_port(arguments: str, expected: int) -> None:
    assert settings(arguments).https_port == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--disable servicelb", False),
        ("--disable=servicelb", False),
        ("--disable traefik,servicelb", False),
        ("--disable=servicelb,traefik", False),
        ("--disable traefik --disable servicelb", False),
        ("--disable servicelb --disable traefik", False),
        ("--no-deploy servicelb", False),
        ("--disable traefik", True),
        ("--disable=servicelb-not", True),
        ("--disable-servicelb", True),
        ("--disable", True),
        ("servicelb", True),
    ],
)
def test_servicelb_runs_unless_it_is_disabled(arguments: str, *, expected: bool) -> None:
    assert settings(arguments).servicelb == expected


def test_a_list_may_hold_blanks() -> None:
    assert not ServerSettings.of((*UNIT, "--disable", "traefik, servicelb"), {}, HOME).servicelb


WORDS = st.sampled_from(["-d", "--data-dir", "--https-listen-port", "--disable", "-o", "=", "-", "--", "~", ""]) | st.text(
    max_size=9
)


@given(st.lists(WORDS), st.dictionaries(st.sampled_from(["K3S_DATA_DIR", "K3S_KUBECONFIG_OUTPUT"]), st.text(max_size=9)))
def test_any_command_line_has_an_answer(argv: list[str], environ: dict[str, str]) -> None:
    found = ServerSettings.of(argv, environ, HOME)

    assert found.data.is_absolute()
    assert found.kubeconfig.is_absolute()
    assert 0 < found.https_port < 65536


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", set()),
        ("--disable traefik,metrics-server --disable=servicelb", {"traefik", "metrics-server", "servicelb"}),
        ("--no-deploy traefik", {"traefik"}),
        ("--disable-agent", set()),
    ],
)
def test_what_is_disabled_is_told(arguments: str, expected: set[str]) -> None:
    assert expected == disabled((*UNIT, *arguments.split()))
