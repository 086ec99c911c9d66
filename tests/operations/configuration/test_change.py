"""Tests that settings are checked, written and read back from systemd.

The consequences of a change are reported.
"""

from __future__ import annotations

import os

import pytest

from k3s_rootless.errors import RootlessError, UsageError, WouldOverwrite
from k3s_rootless.linux import sockets
from k3s_rootless.operations.configuration import change
from k3s_rootless.operations.configuration.document import change_document
from tests.fakes.managed_host import ManagedHost

OURS = "50-k3s-rootless-config.conf"
COMMAND = ["/usr/local/bin/k3s", "server", "--rootless"]


@pytest.fixture
def installed(host: ManagedHost) -> ManagedHost:
    host.install()
    return host


def take(host: ManagedHost, *flags: str) -> None:
    """Make systemd start K3s with these flags: the fake reads no ExecStart= of a drop-in."""
    argv = [*COMMAND, *flags]
    command = [[argv[0], argv, False, 0, 0, 0, 0, 0, 0, 0]]
    host.bus.order(properties={"ExecStart": ("a(sasbttttuii)", command)})


def changed(
    host: ManagedHost, *, force: bool = False, **values: str | tuple[str, ...]
) -> change.Changed:
    given = {
        name.replace("_", "-"): (value,) if isinstance(value, str) else value
        for name, value in values.items()
    }
    return change.change(host.context, given, force=force)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("disable", "disable"),
        ("--disable", "disable"),
        ("NODE-LABEL", "node-label"),
        ("cpuweight", "CPUWeight"),
    ],
)
def test_a_setting_is_known_by_any_spelling(name: str, known: str) -> None:
    assert known == change.require_known(name)


@pytest.mark.parametrize(
    ("name", "reason", "hint"),
    [
        ("rootless", "because K3s needs root without it", "config list"),
        ("node-lable", "unknown setting `node-lable`", "did you mean `node-label`?"),
        ("xyz", "unknown setting `xyz`", "set other flags of K3s in a drop-in"),
    ],
)
def test_a_setting_that_cannot_be_set_is_refused_with_the_reason(
    name: str, reason: str, hint: str
) -> None:
    with pytest.raises(UsageError, match=reason) as refused:
        change.require_known(name)

    assert hint in (refused.value.hint or "")


def test_a_flag_is_written_reloaded_and_read_back(installed: ManagedHost) -> None:
    take(installed, "--disable=traefik", "--disable=metrics-server")

    done = changed(installed, disable=("traefik", "metrics-server", "traefik"))

    (one,) = done.settings
    assert (True, None) == (done.changed, done.restart_needed)
    assert ("disable", ("traefik", "metrics-server"), "config") == (
        one.name,
        one.values,
        one.origin,
    )
    assert (
        'ExecStart=/usr/local/bin/k3s server --rootless "--disable=traefik"'
        ' "--disable=metrics-server"'
    ) in installed.files()[OURS].split("\n")
    assert {"changed": True, "restart_needed": None, "errors": []} == change_document(done)
    assert not changed(installed, disable=("traefik", "metrics-server")).changed


def test_an_unset_flag_has_k3ss_default(installed: ManagedHost) -> None:
    take(installed, "--disable=traefik")
    changed(installed, disable="traefik")
    take(installed)

    done = changed(installed, disable=())

    (one,) = done.settings
    assert (True, (), "default") == (done.changed, one.values, one.origin)
    assert {} == installed.files()


def test_a_limit_needs_no_unit(host: ManagedHost) -> None:
    done = changed(host, CPUWeight="50")

    (one,) = done.settings
    assert done.state
    assert (True, False) == (done.changed, done.state.installed)
    assert (("50",), "config") == (one.values, one.origin)
    assert "CPUWeight=50" in host.files()[OURS].split("\n")


def test_a_flag_needs_a_unit_or_a_k3s(host: ManagedHost) -> None:
    with pytest.raises(RootlessError, match="cannot render the unit"):
        change.change(
            host.context_with(environ={"PATH": "/nowhere"}), {"disable": ("traefik",)}, force=False
        )

    k3s = host.provide_k3s()
    context = host.context_with(environ={"PATH": f"{k3s.parent}:/usr/bin:/bin"})
    done = change.change(context, {"disable": ("traefik",)}, force=False)

    assert (("traefik",), "config") == (done.settings[0].values, done.settings[0].origin)
    assert str(k3s) in host.files()[OURS]


def test_a_unit_without_a_command_is_refused(host: ManagedHost) -> None:
    host.install("[Service]\nNice=1\n")

    with pytest.raises(RootlessError, match="the unit has no ExecStart="):
        changed(host, disable="traefik")


def test_a_change_that_systemd_does_not_apply_is_undone(installed: ManagedHost) -> None:
    take(installed, "--disable=other")

    with pytest.raises(
        RootlessError, match="systemd did not apply the change: disable is other instead of traefik"
    ):
        changed(installed, disable="traefik")

    assert {} == installed.files()
    assert "the change was undone: the drop-ins are as before" == installed.notices[-1]


def test_an_edited_drop_in_stays_without_force(host: ManagedHost) -> None:
    changed(host, CPUWeight="50")
    edited = host.files()[OURS] + "# mine\n"
    (host.drop_ins / OURS).write_text(edited)

    with pytest.raises(WouldOverwrite, match="edited since"):
        changed(host, CPUWeight="60")
    assert {OURS: edited} == host.files()

    changed(host, force=True, CPUWeight="60")
    assert edited in host.files().values()
    assert "CPUWeight=60" in host.files()[OURS]


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("cluster-init", ("true", "false"), "to 2 values: it accepts only one"),
        ("cluster-init", ("maybe",), "it must be true or false"),
        ("CPUWeight", ("0",), "cannot set CPUWeight to `0`"),
        ("MemoryMax", ("1M",), "cannot set MemoryMax to `1M`"),
        ("data-dir", ("relative",), "it is not an absolute path"),
        ("data-dir", ("~",), "it is your home directory"),
    ],
)
def test_an_invalid_value_is_refused_before_anything_is_written(
    installed: ManagedHost, name: str, values: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        change.change(installed.context, {name: values}, force=False)

    assert {} == installed.files()
    assert "Reload" not in installed.members


def test_a_data_directory_below_a_file_is_refused(installed: ManagedHost) -> None:
    (installed.home / "file").touch()

    with pytest.raises(UsageError, match=r"you cannot write to .*/file"):
        changed(installed, data_dir=str(installed.home / "file/data"))


def test_a_tilde_is_the_home_directory(installed: ManagedHost) -> None:
    data = installed.home / "data"
    take(installed, f"--data-dir={data}")

    done = changed(installed, data_dir="~/data")

    assert (str(data),) == done.settings[0].values
    assert any("data-dir: " in notice for notice in installed.notices)


@pytest.mark.skipif(sockets.unprivileged_from() < 2, reason="users can listen on every port")
def test_a_port_of_root_is_refused(installed: ManagedHost) -> None:
    with pytest.raises(UsageError, match="only root can listen on ports below"):
        changed(installed, https_listen_port="443")


@pytest.mark.parametrize(
    ("name", "values", "notice"),
    [
        (
            "disable",
            ("servicelb",),
            "disable: without servicelb, K3s forwards only the port of the API server",
        ),
        ("disable", ("mine",), "disable: K3s has no packaged component `mine`"),
        (
            "https-listen-port",
            ("10443",),
            "https-listen-port: K3s also forwards port 443 of traefik to host port 10443",
        ),
        ("log", ("/tmp/k3s.log",), "log: K3s writes its log to /tmp/k3s.log only: the journal"),
        ("alsologtostderr", ("true",), "alsologtostderr: it has no effect without `log`"),
        ("node-label", ("a=b",), "node-label: K3s sets it only when its node registers"),
    ],
)
def test_the_consequences_of_a_change_are_reported(
    installed: ManagedHost, name: str, values: tuple[str, ...], notice: str
) -> None:
    take(installed, *(f"--{name}={value}" for value in values))

    change.change(installed.context, {name: values}, force=False)

    assert installed.notices[0].startswith(notice)


def test_lazily_pulled_images_outlive_their_snapshotter(installed: ManagedHost) -> None:
    take(installed, "--snapshotter=stargz")
    changed(installed, snapshotter="stargz")
    assert installed.notices[1].startswith("snapshotter: stargz pulls images in eStargz format")
    installed.events.clear()
    take(installed, "--snapshotter=native")

    changed(installed, snapshotter="native")

    assert installed.notices[1].startswith("snapshotter: containerd still reads images that were")


def test_a_port_of_traefik_is_free_if_traefik_is_disabled(installed: ManagedHost) -> None:
    take(installed, "--disable=traefik", "--https-listen-port=10443")

    changed(installed, disable="traefik", https_listen_port="10443")

    assert not [notice for notice in installed.notices if "of traefik" in notice]


def test_a_low_limit_is_set_with_a_warning(host: ManagedHost) -> None:
    changed(host, MemoryHigh="500M")

    assert host.notices[0].startswith("warning: MemoryHigh=")


def test_a_running_k3s_needs_a_restart_for_a_newer_drop_in(installed: ManagedHost) -> None:
    with installed.context.manager() as manager:
        manager.start("k3s-rootless.service")
    take(installed, "--disable=traefik")
    changed(installed, disable="traefik")
    later = installed.unit.stat().st_mtime + 100
    os.utime(installed.drop_ins / OURS, (later, later))

    again = changed(installed, disable="traefik")

    assert "the unit or a drop-in changed after K3s was started" == again.restart_needed


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("k3s.log", "it is not an absolute path"),
        ("/tmp/../x", "contains `..`"),
        ("/tmp", "it is not a regular file"),
        ("/proc/self/k3s.log", "you cannot write to"),
        ("/dev/null/k3s.log", "/dev/null is not a directory"),
    ],
)
def test_a_log_file_that_k3s_cannot_write_is_refused(
    installed: ManagedHost, value: str, reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        changed(installed, log=value)
