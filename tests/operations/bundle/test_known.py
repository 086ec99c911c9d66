"""Tests that the redactor knows the secrets of the unit, of K3s and of the user."""

from __future__ import annotations

from k3s_rootless.operations.bundle import known
from k3s_rootless.operations.bundle.sources import Sources
from k3s_rootless.paths import UNIT
from tests.fakes.host import Host
from tests.fakes.session import Session
from tests.operations.bundle.conftest import TOKEN


def test_secrets_of_the_unit_its_files_and_the_environment_are_found(
    host: Host, bus: Session
) -> None:
    home = host.paths.home
    host.write(home / "agent-token", "of-the-flag-19")
    host.write(home / "k3s.env", "SMTP_PASSWORD=of-the-environment-file-20\n")
    host.write(home / "registries.yaml", "auth:\n  password: of-the-registries-21\n")
    host.write(home / "config.yaml", "token: of-the-configuration-22\n")
    host.write(home / "config.yaml.d/10.yaml", "agent-token: of-its-drop-in-23\n")
    host.install(
        bus,
        f"ExecStartPre=/bin/x --agent-token-file {home}/agent-token",
        f"EnvironmentFile=-{home}/k3s.env",
        f"ExecStartPre=/bin/x --private-registry={home}/registries.yaml",
        f"ExecStartPre=/bin/x --config {home}/config.yaml \\",
        " --token of-the-continued-line-24",
        'Environment="DB_PASSWORD=of the unit 25"',
    )

    found, problems = known.secrets(Sources(host.context))

    assert () == problems
    assert {
        TOKEN,
        "of-the-flag-19",
        "of-the-environment-file-20",
        "of-the-registries-21",
        "of-the-configuration-22",
        "of-its-drop-in-23",
        "of-the-continued-line-24",
        "of the unit 25",
        "zinnober-17",
    } <= found


def test_without_a_user_manager_the_files_are_found_on_disk(host: Host) -> None:
    home = host.paths.home
    host.program("systemctl", "#!/bin/sh\nexit 1\n")
    host.write(home / "k3s.env", "SMTP_PASSWORD=of-the-environment-file-20\n")
    host.write(
        host.paths.user_units / "k3s-rootless.service.d/50-x.conf",
        f"[Service]\nEnvironmentFile={home}/k3s.env\n",
    )

    found, _ = known.secrets(Sources(host.context))

    assert {TOKEN, "of-the-environment-file-20"} <= found


def test_the_names_of_user_host_and_node(host: Host, bus: Session) -> None:
    etc = host.place / "etc"
    host.write(etc / "hostname", "box\n")
    host.write(etc / "machine-id", "0123456789abcdef0123456789abcdef\n")
    host.write(etc / "resolv.conf", "search corp.example lan\n")
    host.write(bus.units / f"{UNIT}.d/50-x.conf", "[Service]\nEnvironment=K3S_NODE_NAME=node-7\n")
    host.install(bus)

    found = known.names(Sources(host.context))

    assert ("alice", str(host.paths.home)) == (found.user, found.home)
    assert {"box", "node-7"} <= {*found.aliases}
    assert ("corp.example", "lan") == found.domains
    assert ("0123456789abcdef0123456789abcdef",) == found.identifiers
