"""Tests that each setting is listed with its value and the source of the value."""

from __future__ import annotations

from pathlib import Path

import pytest

from k3s_rootless.k3s.options import OPTIONS
from k3s_rootless.operations.configuration import document, settings_list
from k3s_rootless.operations.configuration.setting import Setting
from k3s_rootless.operations.configuration.settings_list import Answer
from k3s_rootless.own_settings import NAMES
from k3s_rootless.paths import UNIT
from k3s_rootless.service.drop_ins.limits import LIMITS
from k3s_rootless.service.unit.seal import Author, sealed
from tests.fakes.managed_host import COMMAND, ManagedHost

OURS = "50-k3s-rootless-config.conf"


def setting(host: ManagedHost, name: str) -> Setting:
    (found,) = (one for one in settings_list.read(host.context).settings if one.name == name)
    return found


def write_ours(host: ManagedHost, *lines: str) -> Path:
    path = host.write_drop_in(OURS)
    path.write_text(sealed("".join(f"{line}\n" for line in ("[X-K3sRootless]", *lines))))
    return path


def configure(host: ManagedHost, text: str) -> Path:
    path = host.context.paths.root / "etc/rancher/k3s/config.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def test_every_setting_is_listed_in_order(host: ManagedHost) -> None:
    answer = settings_list.read(host.context)

    assert [*OPTIONS, *LIMITS, *NAMES] == [one.name for one in answer.settings]
    assert (None, None) == (answer.drop_in, answer.restart_needed)


@pytest.mark.parametrize(
    ("name", "values"),
    [("disable", ()), ("https-listen-port", ("6443",)), ("CPUWeight", ())],
)
def test_an_unset_setting_has_k3ss_default(
    host: ManagedHost, name: str, values: tuple[str, ...]
) -> None:
    host.install()

    found = setting(host, name)

    assert (values, "default", "default", ()) == (
        found.values,
        found.origin,
        found.places,
        found.sources,
    )


def test_the_default_data_directory_is_in_the_home_directory(host: ManagedHost) -> None:
    host.install()
    with host.context.manager() as manager:
        home = manager.environment["HOME"]

    assert (f"{home}/.rancher/k3s",) == setting(host, "data-dir").values


@pytest.mark.parametrize(
    ("command", "base", "ours", "origin"),
    [
        ("--disable=a", "--disable=a", (), "unit"),
        ("--disable=a", "", ("disable=a",), "config"),
        ("--disable=a,b", "", ("disable=a", "disable=b"), "config"),
        ("--disable=a", "--disable=b", ("disable=c",), "another drop-in"),
    ],
)
def test_a_flag_of_the_command_line_comes_from_the_unit_or_a_drop_in(
    host: ManagedHost, command: str, base: str, ours: tuple[str, ...], origin: str
) -> None:
    host.install(f"[Service]\nExecStart={COMMAND} {base}\n")
    write_ours(host, *ours)
    argv = [*COMMAND.split(), command]
    exec_start = [[argv[0], argv, False, 0, 0, 0, 0, 0, 0, 0]]
    host.bus.order(properties={"ExecStart": ("a(sasbttttuii)", exec_start)})

    found = setting(host, "disable")

    assert (origin, origin) == (found.origin, found.places)
    assert tuple(line.partition("=")[2] for line in ours) == found.set_to


def test_values_of_a_configuration_file_add_up_and_are_placed(host: ManagedHost) -> None:
    path = configure(host, "disable: traefik\nhttps-listen-port: 7443\n")
    host.install(f"[Service]\nExecStart={COMMAND} --disable=metrics-server\n")

    disable, port = setting(host, "disable"), setting(host, "https-listen-port")

    assert ({"traefik", "metrics-server"}, "unit") == (set(disable.values), disable.origin)
    assert f"{path}:1" in disable.places
    assert "unit" in disable.places
    assert (("7443",), "configuration file") == (port.values, port.origin)
    assert {
        "name": "https-listen-port",
        "values": ["7443"],
        "origin": "configuration file",
        "set_to": [],
        "sources": [
            {
                "value": "7443",
                "origin": "configuration file",
                "path": str(path),
                "line": 2,
                "variable": None,
            }
        ],
        "errors": [],
    } == document.get_document(port)


def test_a_variable_of_the_manager_is_named(host: ManagedHost) -> None:
    host.install()
    with host.context.manager() as manager:
        manager.change_environment((), {"K3S_DATA_DIR": "/srv/k3s"})

    found = setting(host, "data-dir")

    assert (("/srv/k3s",), "environment") == (found.values, found.origin)
    assert "K3S_DATA_DIR" in found.places


def test_before_the_unit_is_installed_its_drop_in_counts(host: ManagedHost) -> None:
    write_ours(host, "disable=traefik", "CPUWeight=50")

    disable, weight = setting(host, "disable"), setting(host, "CPUWeight")

    assert (("traefik",), "config") == (disable.values, disable.origin)
    assert (("50",), "config") == (weight.values, weight.origin)


@pytest.mark.parametrize(("ours", "origin"), [("50", "config"), ("60", "another drop-in")])
def test_a_limit_of_an_installed_unit_is_systemds(
    host: ManagedHost, ours: str, origin: str
) -> None:
    host.install()
    write_ours(host, f"CPUWeight={ours}")
    host.bus.order(properties={"CPUWeight": ("t", 50)})

    found = setting(host, "CPUWeight")

    assert (("50",), origin, (ours,)) == (found.values, found.origin, found.set_to)


def test_the_files_that_k3s_reads_and_the_ignored_keys_are_noted(host: ManagedHost) -> None:
    path = configure(host, "no-such-option: 1\n")
    host.install()
    own = write_ours(host)

    answer = settings_list.read(host.context)

    assert [
        f"K3s also reads {path}",
        f"K3s ignores `no-such-option` ({path}:1): this release has no such option",
    ] == settings_list.notes(answer)
    found = document.list_document(answer)
    assert [{"name": "no-such-option", "path": str(path), "line": 1}] == found["skipped"]
    assert [{"path": str(path), "missing": None}] == found["config_files"]
    assert answer.drop_in is not None
    assert (own, Author.OURS) == (answer.drop_in.path.resolve(), answer.drop_in.author)
    assert "ours" == found["drop_in"]["author"]


def test_a_missing_configuration_file_is_noted(host: ManagedHost) -> None:
    host.install(f"[Service]\nExecStart={COMMAND} --config=/etc/no-such.yaml\n")

    answer: Answer = settings_list.read(host.context)

    (note,) = settings_list.notes(answer)
    assert note.startswith("K3s reads no settings from ")
    assert [True] == [
        bool(one["missing"]) for one in document.list_document(answer)["config_files"]
    ]


def test_a_file_that_changed_after_the_start_needs_a_restart(host: ManagedHost) -> None:
    host.install()
    with host.context.manager() as manager:
        manager.start("k3s-rootless.service")
    assert None is settings_list.read(host.context).restart_needed

    path = configure(host, "disable: traefik\n")
    host.bus.order(properties={"ExecMainStartTimestamp": ("t", 1_000_000)})
    host.unit.touch()

    cause = settings_list.read(host.context).restart_needed
    assert cause in {
        "the unit or a drop-in changed after K3s was started",
        f"`{path}` changed after K3s was started",
    }


def test_labels_of_a_running_node_that_cannot_be_read_are_unknown(host: ManagedHost) -> None:
    host.install(f"[Service]\nExecStart={COMMAND} --node-label=tier=web\n")
    with host.context.manager() as manager:
        manager.start(UNIT)

    answer = settings_list.read(host.context)

    (one,) = answer.drift
    assert one.describe().startswith("unknown: whether the node has node-label tier=web: ")
    assert one.document()["unknown"] == document.list_document(answer)["drift"][0]["unknown"]
