from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.k3s import config_yaml, flags
from k3s_rootless.k3s.config_file import ConfigFile
from k3s_rootless.k3s.flags import FLAGS, Kind
from k3s_rootless.k3s.origin import Origin, Source, Value, Variable
from k3s_rootless.k3s.settings import HTTPS_PORT, Inputs, Settings, resolve
from k3s_rootless.k3s.version import parse
from tests.server import of_command

HOME = Path("/home/alice")
UNIT = ("/usr/local/bin/k3s", "server", "--rootless", "--snapshotter=fuse-overlayfs")
DATA = HOME / ".rancher/k3s"
KUBECONFIG = HOME / ".kube/k3s.yaml"


CONFIG = Path("/etc/rancher/k3s/config.yaml")


def settings(arguments: str, **environ: str) -> Settings:
    return of_command((*UNIT, *arguments.split()), environ, HOME)


def with_file(
    text: str, arguments: str = "", version: str = "v1.36.3+k3s1", **environ: str
) -> Settings:
    """Resolve the settings of a command line, one configuration file, and an environment."""
    files = (ConfigFile(CONFIG, config_yaml.parse(text)),)
    variables = {name: Variable(value) for name, value in environ.items()}
    argv = (*UNIT, *arguments.split())
    return resolve(Inputs(HOME, argv, files, variables, version=parse(version)))


def test_a_setting_without_a_source_has_k3ss_default() -> None:
    found = of_command((), {}, HOME)

    assert (DATA, KUBECONFIG, 6443) == (found.data, found.kubeconfig, found.https_port)
    assert found.servicelb
    assert found.traefik
    assert ("", "fuse-overlayfs") == (found.snapshotter, settings("").snapshotter)
    assert Value("snapshotter", "overlayfs", Origin(Source.DEFAULT)) == found.value("snapshotter")


@pytest.mark.parametrize(
    ("arguments", "environ", "field", "expected"),
    [
        ("--snapshotter native", {}, "snapshotter", "native"),
        ("--disable=traefik,metrics-server", {}, "traefik", False),
        ("--disable servicelb", {}, "traefik", True),
        ("--cluster-cidr=10.1.0.0/16", {}, "cluster_cidr", "10.1.0.0/16"),
        (
            "--cluster-cidr 10.1.0.0/16 --cluster-cidr=fd00::/56",
            {},
            "cluster_cidr",
            "10.1.0.0/16,fd00::/56",
        ),
        ("", {}, "cluster_cidr", "10.42.0.0/16"),
        ("--service-cidr=10.2.0.0/16", {}, "service_cidr", "10.2.0.0/16"),
        ("", {}, "service_cidr", "10.43.0.0/16"),
        ("--node-name a", {"K3S_NODE_NAME": "b"}, "node_name", "a"),
        ("", {"K3S_NODE_NAME": "b"}, "node_name", "b"),
        ("--selinux", {}, "selinux", True),
        ("--selinux=false", {"K3S_SELINUX": "true"}, "selinux", False),
        ("", {"K3S_SELINUX": "true"}, "selinux", True),
        ("", {}, "selinux", False),
    ],
)
def test_flags_and_variables_that_checks_use(
    arguments: str, environ: dict[str, str], field: str, expected: object
) -> None:
    assert expected == getattr(settings(arguments, **environ), field)


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
        ("--data-dir /srv/~", "/srv/home/alice"),
        ("--data-dir ../x/./y", "/home/x/y"),
        ("--data-dir ~bob/k3s", "/home/alicebob/k3s"),
        ("--data-dir k3s", "/home/alice/k3s"),
        ("--data-dir=/a=b", "/a=b"),
        ("--data-dir", "/home/alice/.rancher/k3s"),
        ("--data-dir=", "/home/alice/.rancher/k3s"),
        ("--data-dir-of-others=/srv/k3s data-dir=/srv/k3s d /srv", "/home/alice/.rancher/k3s"),
    ],
)
def test_the_data_directory_is_that_of_the_command_line(arguments: str, expected: str) -> None:
    assert expected == str(settings(arguments).data)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--write-kubeconfig ~/k.yaml", "/home/alice/~/k.yaml"),
        ("-o /srv/k.yaml", "/srv/k.yaml"),
        ("-o=/srv/k.yaml", "/srv/k.yaml"),
        (
            "--write-kubeconfig-mode=644 --write-kubeconfig-group wheel",
            "/home/alice/.kube/k3s.yaml",
        ),
    ],
)
def test_the_kubeconfig_is_that_of_the_command_line(arguments: str, expected: str) -> None:
    assert expected == str(settings(arguments).kubeconfig)


def test_the_environment_counts_without_a_flag() -> None:
    environ = {"K3S_DATA_DIR": "~/data", "K3S_KUBECONFIG_OUTPUT": "/srv/k.yaml"}

    assert HOME / "data" == settings("", **environ).data
    assert Path("/srv/k.yaml") == settings("", **environ).kubeconfig
    assert settings("-d /flag -o /k", **environ).given == settings("-d /flag -o /k").given


def test_an_empty_variable_counts_as_not_set() -> None:
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
        ("--https-listen-port=0x1D13", 7443),
        ("--https-listen-port=010", 8),
        ("--https-listen-port=\u0667\u0664\u0664\u0663", HTTPS_PORT),
        ("--https-listen-port=" + "9" * 5000, HTTPS_PORT),
    ],
    ids=lambda value: ascii(value)[-20:],
)
def test_the_port_of_the_api_is_a_port(arguments: str, expected: int) -> None:
    assert expected == settings(arguments).https_port


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
    assert expected == settings(arguments).servicelb


def test_a_list_can_contain_spaces() -> None:
    assert not of_command((*UNIT, "--disable", "traefik, servicelb"), {}, HOME).servicelb


WORDS = st.sampled_from(
    ["-d", "--data-dir", "--https-listen-port", "--disable", "-o", "=", "-", "--", "~", ""]
) | st.text(max_size=9)


@given(
    st.lists(WORDS),
    st.dictionaries(
        st.sampled_from(["K3S_DATA_DIR", "K3S_KUBECONFIG_OUTPUT"]), st.text(max_size=9)
    ),
)
def test_any_command_line_has_an_answer(argv: list[str], environ: dict[str, str]) -> None:
    found = of_command(argv, environ, HOME)

    assert found.data.is_absolute()
    assert found.kubeconfig.is_absolute()
    assert 0 < found.https_port < 65536


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", set()),
        (
            "--disable traefik,metrics-server --disable=servicelb",
            {"traefik", "metrics-server", "servicelb"},
        ),
        ("--no-deploy traefik", {"traefik"}),
        ("--disable-agent", set()),
    ],
)
def test_disabled_components_are_read(arguments: str, expected: set[str]) -> None:
    assert expected == settings(arguments).disabled


def test_a_flag_overrides_the_file_and_the_file_the_environment() -> None:
    environ = {"K3S_DATA_DIR": "/environment", "K3S_NODE_NAME": "environment"}
    found = with_file(
        "data-dir: /file\nhttps-listen-port: 7443\nselinux: true\n",
        "--https-listen-port 8443",
        **environ,
    )

    assert (Path("/file"), 8443, "environment") == (found.data, found.https_port, found.node_name)
    assert found.selinux
    assert Origin(Source.CONFIG_FILE, CONFIG, 1) == found.value("data-dir").origin
    assert Origin(Source.COMMAND_LINE) == found.value("https-listen-port").origin
    assert Origin(Source.ENVIRONMENT, variable="K3S_NODE_NAME") == found.value("node-name").origin
    assert Value("cluster-domain", "cluster.local", Origin(Source.DEFAULT)) == found.value(
        "cluster-domain"
    )


@pytest.mark.parametrize("version", ["v1.31.4+k3s1", "v1.36.3+k3s1"])
def test_lists_of_file_and_command_line_are_combined(version: str) -> None:
    """K3s v1.31.4 (urfave/cli 1.22.14) and v1.36.3 (2.27.7) print `a=1 b=2 cli=1` for these."""
    found = with_file(
        "node-label: [a=1, b=2]\ndisable: traefik\n",
        "--node-label=cli=1 --disable servicelb",
        version,
    )

    assert ["a=1", "b=2", "cli=1"] == [value.text for value in found.values("node-label")]
    assert {"traefik", "servicelb"} == found.disabled


def test_an_empty_flag_overrides_the_environment() -> None:
    assert DATA == settings("--data-dir=", K3S_DATA_DIR="/x").data
    assert DATA == with_file("data-dir:\n", K3S_DATA_DIR="/x").data


@pytest.mark.parametrize(
    ("text", "version", "skipped", "disabled"),
    [
        ("no-deploy: traefik\n", "v1.25.4+k3s1", [], {"traefik"}),
        ("no-deploy: traefik\n", "v1.26.4+k3s1", ["no-deploy"], set()),
        ("Disable: traefik\nnothing: 1\n", "v1.36.3+k3s1", ["Disable", "nothing"], set()),
        ("write-kubeconfig-name: a\n", "v1.30.4+k3s1", ["write-kubeconfig-name"], set()),
    ],
)
def test_keys_that_this_release_does_not_have_are_skipped(
    text: str, version: str, skipped: list[str], disabled: set[str]
) -> None:
    found = with_file(text, "", version)

    assert [value.name for value in found.skipped] == skipped
    assert disabled == found.disabled


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("v1.30.3+k3s1", DATA),
        ("v1.30.4+k3s1", Path("/x")),
        ("v1.28.12+k3s1", DATA),
        ("v1.36.3+k3s1", Path("/x")),
    ],
)
def test_older_releases_do_not_read_the_variable_of_the_data_directory(
    version: str, expected: Path
) -> None:
    assert expected == with_file("", "", version, K3S_DATA_DIR="/x").data


def test_a_file_that_cannot_be_read_is_a_problem_and_the_rest_counts() -> None:
    found = with_file("- a\n", "--https-listen-port 7443")

    assert (f"{CONFIG}: line 1: it is not a mapping of options to values",) == found.problems
    assert 7443 == found.https_port


def test_relative_paths_start_in_the_working_directory() -> None:
    found = resolve(Inputs(HOME, ("server", "-d", "data", "-o", "k.yaml"), directory=Path("/srv")))

    assert (Path("/srv/data"), Path("/srv/k.yaml")) == (found.data, found.kubeconfig)
    assert DATA == resolve(Inputs(HOME, directory=Path("/srv"))).data


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--node-label --data-dir /x", [("node-label", "--data-dir")]),
        ("--selinux false --https-listen-port 7", [("selinux", "true")]),
        ("--selinux=false -v 3", [("selinux", "false"), ("v", "3")]),
        ("-- --https-listen-port 7", []),
        ("--unknown --data-dir /x", [("unknown", ""), ("data-dir", "/x")]),
        ("--unknown word --data-dir /x", [("unknown", "word"), ("data-dir", "/x")]),
        ("--data-dir", [("data-dir", "")]),
    ],
)
def test_a_command_line_is_read_as_go_reads_it(
    arguments: str, expected: list[tuple[str, str]]
) -> None:
    assert expected == list(flags.words(("k3s", "server", *arguments.split())))


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (Origin(Source.DEFAULT), "default"),
        (
            Origin(Source.COMMAND_LINE, Path("/u/k3s-rootless.service")),
            "command line /u/k3s-rootless.service",
        ),
        (Origin(Source.CONFIG_FILE, CONFIG, 3), "/etc/rancher/k3s/config.yaml:3"),
        (
            Origin(
                Source.ENVIRONMENT, Path("/e"), variable="K3S_DATA_DIR", place="EnvironmentFile"
            ),
            "K3S_DATA_DIR (EnvironmentFile /e)",
        ),
        (Origin(Source.PROCESS, place="its lock in /d"), "running K3s: its lock in /d"),
    ],
)
def test_an_origin_has_a_text(origin: Origin, expected: str) -> None:
    assert expected == str(origin)


def test_a_value_of_a_running_k3s_can_replace_one() -> None:
    seen = Value("data-dir", "/seen", Origin(Source.PROCESS, place="its lock"))

    assert Path("/seen") == settings("-d /flag").having({"data-dir": seen}).data


def test_every_flag_has_one_name() -> None:
    names = [name for flag in FLAGS.values() for name in (flag.name, flag.alias) if name]
    variables = [flag.variable for flag in FLAGS.values() if flag.variable]

    assert len(set(names)) == len(names)
    assert len(set(variables)) == len(variables)
    assert not any(flag.variable for flag in FLAGS.values() if flag.kind is Kind.LIST)
