"""Tests of the environment of the next start of K3s, and of that of the running one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import pytest

from k3s_rootless.observation import Known, Unknown
from k3s_rootless.operations.environment import reading
from k3s_rootless.operations.environment.reading import ObservedEnvironment
from k3s_rootless.paths import UNIT
from k3s_rootless.service.environment.precedence import Origin
from k3s_rootless.service.facts import UnitState
from tests.fakes.managed_host import ManagedHost

MTU, CIDR, DRIVER = "K3S_ROOTLESS_MTU", "K3S_ROOTLESS_CIDR", "K3S_ROOTLESS_PORT_DRIVER"
SLEEP = "import time; print(flush=True); time.sleep(600)"


def read(host: ManagedHost, state: UnitState | None = None) -> ObservedEnvironment:
    with host.context.manager() as manager:
        return reading.read(host.context, manager, state)


def set_in_manager(host: ManagedHost, **values: str) -> None:
    with host.context.manager() as manager:
        manager.change_environment((), values)


@contextmanager
def running(host: ManagedHost, environ: Mapping[str, str]) -> Iterator[UnitState]:
    """Start a process with this environment, and return the unit with it as its main process."""
    given = {"PATH": os.defpath, "INVOCATION_ID": "0" * 32, **environ}
    with subprocess.Popen(
        [sys.executable, "-c", SLEEP], env=given, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            with host.context.manager() as manager:
                state = manager.unit(UNIT)
            yield replace(
                state,
                active_state="active",
                sub_state="running",
                main_pid=process.pid,
                invocation="0" * 32,
            )
        finally:
            process.kill()


def test_without_a_unit_the_drop_ins_of_its_first_start_count(
    host: ManagedHost,
) -> None:
    host.write_drop_in("50-k3s-rootless-environment.conf", f'Environment="{MTU}=1400"')
    host.write_drop_in("60-reset.conf", "Environment=", f"Environment={CIDR}=10.9.0.0/16 A=b")

    seen = read(host)

    assert (False, None) == (seen.state.installed, seen.version)
    assert (None, "10.9.0.0/16") == (seen.resolved(MTU).value, seen.resolved(CIDR).value)
    assert "60-reset.conf" == seen.resolved(CIDR).last.path.name  # type: ignore[union-attr]
    assert Unknown("K3s is not running") == seen.running
    assert None is seen.pending()


def test_the_unit_overrides_the_manager(host: ManagedHost) -> None:
    host.install(
        "# Written by k3s-rootless for K3s v1.33.4+k3s1\n[Service]\nExecStart=/k3s server\n"
    )
    own = host.write_drop_in("50-k3s-rootless-environment.conf", f'Environment="{MTU}=1400"')
    set_in_manager(host, **{MTU: "1300", CIDR: "10.9.0.0/16"})

    seen = read(host)

    layers = [(layer.origin, layer.value) for layer in seen.resolved(MTU).layers]
    assert [(Origin.MANAGER, "1300"), (Origin.DROP_IN, "1400")] == layers
    assert own == seen.own_path.resolve()
    assert {MTU: "1400", CIDR: "10.9.0.0/16"} == seen.values()
    with host.context.manager() as manager:
        assert {MTU: "1400", CIDR: "10.9.0.0/16"} == reading.next_start(
            manager.environment, seen.state
        )


def test_a_value_of_environment_d_is_reported_with_its_file(host: ManagedHost) -> None:
    directory = host.home / ".config" / "environment.d"
    directory.mkdir(parents=True)
    (directory / "k3s.conf").write_text(f"{MTU}=1400\nOTHER=x\n")
    generator = host.context.paths.root / "usr/lib/systemd/user-environment-generators"
    generator.mkdir(parents=True)
    program = generator / "30-systemd-environment-d-generator"
    program.write_text(f"#!/bin/sh\necho {MTU}=1400\n")
    program.chmod(0o755)
    set_in_manager(host, **{MTU: "1400"})

    last = read(host).resolved(MTU).last

    assert (Origin.ENVIRONMENT_D, directory / "k3s.conf") == (last.origin, last.path)


def test_unexpected_names_are_listed_last(host: ManagedHost) -> None:
    set_in_manager(
        host, _K3S_ROOTLESS_SOCK="/x", K3S_ROOTLESS_PORTDRIVER="x", http_proxy="p", OTHER="y"
    )

    seen = read(host)

    unexpected = ("K3S_ROOTLESS_PORTDRIVER", "_K3S_ROOTLESS_SOCK")
    assert unexpected == seen.unexpected()
    assert ("http_proxy", *unexpected) == seen.rows()[-3:]
    assert MTU == seen.rows()[0]


def test_a_value_that_differs_from_the_running_process_is_pending(host: ManagedHost) -> None:
    host.install()
    host.write_drop_in("50-k3s-rootless-environment.conf", f'Environment="{MTU}=1400"')

    with running(host, {MTU: "1300", DRIVER: ""}) as state:
        seen = read(host, state)
        with host.context.manager() as manager:
            pending = reading.pending(manager.environment, state)

    assert isinstance(seen.running, Known)
    assert "1300" == seen.running.value[MTU]
    assert (MTU,) == seen.pending()
    assert isinstance(pending, Known)
    assert (MTU,) == pending.value


def test_a_process_of_another_start_is_unknown(host: ManagedHost) -> None:
    host.install()

    with running(host, {}) as state:
        other = replace(state, invocation="1" * 32)
        seen = read(host, other)
        pending = reading.pending({}, other)

    assert isinstance(seen.running, Unknown)
    assert None is seen.pending()
    assert isinstance(pending, Unknown)


def test_a_value_of_the_unit_is_found_with_its_file(host: ManagedHost) -> None:
    host.install()
    own = host.write_drop_in("50-k3s-rootless-environment.conf", f'Environment="{MTU}=1400"')
    with host.context.manager() as manager:
        assigned = reading.assigned_by(manager.unit(UNIT))

    assert ("1400", own) == assigned[MTU]
    assert ("/usr/local/bin:/usr/bin", None) == assigned["PATH"]


def test_an_internal_variable_of_the_manager_causes_a_warning(host: ManagedHost) -> None:
    set_in_manager(host, _K3S_ROOTLESS_SOCK="/x", K3S_ROOTLESS_PORTDRIVER="x")

    with host.context.manager() as manager:
        reading.warn_about_internal(host.context, manager)

    (warning,) = host.notices
    assert (
        "warning: K3s does not start while the user manager sets _K3S_ROOTLESS_SOCK; remove with:"
        " k3s-rootless env unset --runtime _K3S_ROOTLESS_SOCK"
    ) == warning


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("HTTPS_PROXY", "http://bob:secret@proxy", "http://bob:***@proxy"),
        ("https_proxy", "http://bob:secret@proxy", "http://bob:***@proxy"),
        ("K3S_ROOTLESS_PROXY", "http://bob:secret@proxy", "http://bob:***@proxy"),
        (MTU, "a:b@c", "a:b@c"),
        ("HTTPS_PROXY", "", ""),
        ("HTTPS_PROXY", None, None),
    ],
)
def test_a_password_is_hidden_unless_it_is_requested(
    name: str, value: str | None, shown: str | None
) -> None:
    assert shown == reading.shown(name, value, reveal=False)
    assert value == reading.shown(name, value, reveal=True)
