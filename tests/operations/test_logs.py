"""Tests that `operations.logs` returns the requested lines in order, with their weights.

The peers are a journalctl that prints files, and a user manager on a private bus.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import pytest

from k3s_rootless.errors import NotRunning, UsageError
from k3s_rootless.operations import logs
from k3s_rootless.operations.events import Notice
from k3s_rootless.operations.logs import QUIET, CaughtUp, LogLine, Request
from k3s_rootless.paths import UNIT
from tests.fakes.host import Host, opened, user_session
from tests.fakes.session import Session
from tests.fakes.user import USER, ordinary_user

FIRST, SECOND = "1" * 32, "2" * 32
INFO = 'time="2026-11-23T21:35:11Z" level=info msg="Starting k3s v1.33.4+k3s1"'
UNPACKING = 'time="2026-11-23T21:35:10Z" level=info msg="Acquiring lock file /home/alice/.lock"'
DEBUG = 'time="2026-11-23T21:35:12Z" level=debug msg="details"'
FATAL = 'time="2026-11-23T21:35:13Z" level=fatal msg="failed to find memory cgroup (v2)"'
KUBELET = "E1123 21:35:14.000001      21 kubelet.go:240] something is wrong"
USUAL = (
    "E1127 07:04:46.846176      34 oomparser.go:151] exiting analyzeLines. OOM events will not be"
    " reported."
)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    with opened(monkeypatch) as found:
        yield found


@pytest.fixture
def bus(host: Host, dbus_daemon: None) -> Iterator[Session]:
    with user_session(host) as found:
        yield found


def write_containerd_log(host: Host, *lines: str) -> None:
    log = host.paths.data / "agent/containerd/containerd.log"
    host.write(log, "".join(f"{line}\n" for line in lines))


def said(message: str, **fields: str) -> dict[str, str]:
    return {"MESSAGE": message, "_SYSTEMD_INVOCATION_ID": FIRST, **fields}


def messages(records: Iterable[logs.Record]) -> list[str]:
    """Return the messages, and `…` where new lines begin."""
    return ["…" if isinstance(one, CaughtUp) else one.entry.message for one in records]


def test_lines_are_in_order_with_level_and_component(host: Host) -> None:
    host.log("existing", said(INFO), said(KUBELET), said("plain", PRIORITY="4"))

    found = [one for one in logs.read(host.context, Request(boot=True)) if isinstance(one, LogLine)]

    assert [INFO, KUBELET, "plain"] == [one.entry.message for one in found]
    assert [("info", "k3s"), ("error", "kubelet"), ("warning", "k3s")] == [
        (one.line.level, one.line.component) for one in found
    ]
    assert {""} == {one.weight for one in found}
    assert "--boot" in host.calls()[0]
    assert [] == host.events


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (Request(boot=True, level="error"), [FATAL, KUBELET]),
        (Request(boot=True, level="error", count=1), [KUBELET]),
        (Request(boot=True, component="kubelet"), [KUBELET]),
        (Request(boot=True, component="kubelet", level="fatal"), []),
        (Request(boot=True, level="trace", count=0), []),
    ],
)
def test_filters_and_the_last_lines(host: Host, request_: Request, expected: list[str]) -> None:
    host.log("existing", said(INFO), said(DEBUG), said(FATAL), said(KUBELET))

    assert expected == messages(logs.read(host.context, request_))
    # journalctl cannot count lines that pass these filters.
    assert not any("--lines" in word for word in host.calls()[0])


def test_journalctl_counts_lines_without_a_filter(host: Host) -> None:
    list(logs.read(host.context, Request(boot=True, count=7)))

    assert "--lines=7" in host.calls()[0]


def test_weights_on_request(host: Host) -> None:
    host.log("existing", said(INFO), said(DEBUG), said(FATAL), said(KUBELET), said(USUAL))

    records = logs.read(host.context, Request(boot=True, follow=True), weighed=True)

    weights = ["…" if isinstance(one, CaughtUp) else one.weight for one in records]
    assert ["info", QUIET, "fatal", "error", QUIET, "…"] == weights


def test_new_lines_follow_the_last_line_that_was_read(host: Host) -> None:
    host.log("existing", said("one"), said("two"))
    host.log("new", said("three", _SYSTEMD_INVOCATION_ID=SECOND))

    records = logs.read(host.context, Request(boot=True, follow=True, grep="t"))

    assert ["one", "two", "…", "three"] == messages(records)
    existing, new = host.calls()
    assert "--follow" not in existing
    assert {"--follow", "--no-tail", "--after-cursor=s=1;i=1", "--grep=t"} <= set(new)


def test_following_shows_the_last_ten_lines_unless_a_time_is_requested(host: Host) -> None:
    list(logs.read(host.context, Request(boot=True, follow=True)))
    list(logs.read(host.context, Request(since="yesterday", follow=True)))

    tailed, _, since, new = host.calls()
    assert "--lines=10" in tailed
    assert not any("--lines" in word for word in since)
    assert {"--since=yesterday", "--no-tail"} <= set(new)


def test_without_any_line_only_new_lines_are_followed(host: Host) -> None:
    list(logs.read(host.context, Request(boot=True, follow=True)))

    assert "--lines=0" in host.calls()[1]


def test_journalctl_ends_with_its_reader(host: Host) -> None:
    host.log("existing", said("one"), said("two"))
    (host.place / "bin/journalctl").write_text(
        f"#!/bin/sh\necho $$ > {host.place}/pid\ncat {host.place}/existing\nexec sleep 600\n"
    )
    records = logs.read(host.context, Request(boot=True))

    next(records)
    records.close()

    pid = int((host.place / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_current_start_is_the_default(host: Host, bus: Session) -> None:
    bus.order(properties={"InvocationID": ("ay", FIRST)})
    host.install(bus)
    host.log("existing", said("one"))

    assert ["one"] == messages(logs.read(host.context, Request()))
    assert f"_SYSTEMD_INVOCATION_ID={FIRST}" in host.calls()[0]
    assert [] == host.events


def test_the_previous_and_the_last_start_of_a_unit_that_is_not_loaded(
    host: Host, bus: Session
) -> None:
    bus.start_manager()
    started = [{"MESSAGE": "Started K3s", "USER_INVOCATION_ID": one} for one in (FIRST, SECOND)]
    host.log("starts", *started)
    host.log("existing", said("one"))

    assert ["one"] == messages(logs.read(host.context, Request()))
    assert [Notice("the K3s unit is not loaded; showing the log of its last start")] == host.events
    assert f"_SYSTEMD_INVOCATION_ID={SECOND}" in host.calls()[1]
    host.events.clear()
    assert ["one"] == messages(logs.read(host.context, Request(previous=True)))
    assert [] == host.events


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (Request(), "the journal contains no start of K3s"),
        (Request(previous=True), "the journal contains no start before this one"),
    ],
)
def test_a_k3s_that_was_never_started_has_no_log(
    host: Host, bus: Session, request_: Request, reason: str
) -> None:
    bus.start_manager()

    # Before the first line is requested: a caller can wait hours for a line.
    with pytest.raises(NotRunning, match=reason):
        logs.read(host.context, request_)


def test_the_command_line_for_raw_lines(host: Host) -> None:
    found = logs.journalctl(host.context, Request(since="09:00", count=3, grep="x", follow=True))

    assert [
        *("journalctl", "--no-pager", f"--user-unit={UNIT}"),
        *("--lines=3", "--since=09:00", "--grep=x", "--follow", f"_UID={USER}"),
    ] == found


def test_raw_lines_are_followed_into_later_starts(host: Host, bus: Session) -> None:
    bus.order(properties={"InvocationID": ("ay", FIRST)})
    host.install(bus)

    assert f"_SYSTEMD_INVOCATION_ID={FIRST}" in logs.journalctl(host.context, Request())
    assert not any(FIRST in word for word in logs.journalctl(host.context, Request(follow=True)))


def containerd_line(second: int, text: str) -> str:
    return f'time="2026-11-23T21:35:{second:02}.5Z" level=info msg="{text}"'


def test_containerd_has_a_file(host: Host, bus: Session) -> None:
    lines = [containerd_line(10, "old"), containerd_line(20, "New"), "  goes on"]
    write_containerd_log(host, *lines)
    started = datetime(2026, 11, 23, 21, 35, 15, tzinfo=UTC)
    microseconds = int(started.timestamp() * 1_000_000)
    bus.order(properties={"ExecMainStartTimestamp": ("t", microseconds)})
    host.install(bus)

    found = list(logs.read(host.context, Request(component="containerd")))
    last = logs.read(host.context, Request(component="containerd", count=1))
    by_pattern = logs.read(host.context, Request(component="containerd", grep="new"))
    by_capitals = logs.read(host.context, Request(component="containerd", grep="NEW"))

    assert lines[1:] == messages(found)
    assert ["  goes on"] == messages(last)
    assert lines[1:2] == messages(by_pattern)
    assert [] == messages(by_capitals)
    assert [] == host.calls()


def test_without_a_user_manager_the_log_of_containerd_is_read_in_the_default_directory(
    host: Host,
) -> None:
    write_containerd_log(host, "one")
    host.paths.runtime.mkdir(parents=True)
    os.chown(host.paths.runtime, USER, USER)

    with ordinary_user():
        records = logs.read(host.context, Request(component="containerd"))
        assert ["one"] == messages(records)

    (notice,) = host.events
    assert isinstance(notice, Notice)
    assert "reading the log of all starts in the default data directory" in notice.text


def test_containerd_that_never_ran_has_no_log(host: Host, bus: Session) -> None:
    bus.start_manager()

    with pytest.raises(NotRunning, match="containerd has not written a log") as refused:
        logs.read(host.context, Request(component="containerd"))

    assert "start K3s with: k3s-rootless up" == refused.value.hint


def test_an_invalid_pattern_is_refused(host: Host, bus: Session) -> None:
    write_containerd_log(host, "one")
    host.install(bus)

    with pytest.raises(UsageError, match=r"cannot search for `\(`"):
        logs.read(host.context, Request(component="containerd", grep="("))


def test_a_line_as_json(host: Host) -> None:
    host.log("existing", said(FATAL, PRIORITY="6", _PID="21", __REALTIME_TIMESTAMP="1000000"))

    (record,) = logs.read(host.context, Request(boot=True))

    assert isinstance(record, LogLine)
    assert {
        "time": "1970-01-01T00:00:01+00:00",
        "level": "fatal",
        "component": "k3s",
        "message": FATAL,
        "identifier": "k3s",
        "priority": 6,
        "pid": 21,
        "invocation": FIRST,
        "cursor": "s=1;i=0",
    } == logs.document(record)


def configure_file(host: Host, bus: Session, *lines: str) -> str:
    """Let K3s of the unit write a log file with these lines, and return its path."""
    path = host.paths.home / "k3s.log"
    host.write(path, "".join(f"{line}\n" for line in lines))
    argv = ("/usr/local/bin/k3s", "server", "--rootless", f"--log={path}")
    (bus.units / UNIT).write_text(f"[Service]\nExecStart={' '.join(argv)}\n")
    bus.start_manager()
    return str(path)


def test_the_file_of_k3s_is_read_with_its_klog_lines(host: Host, bus: Session) -> None:
    configure_file(host, bus, INFO, KUBELET, FATAL)

    found = list(logs.read(host.context, Request(file=True)))
    last = list(logs.read(host.context, Request(file=True, level="fatal")))

    assert [INFO, KUBELET, FATAL] == messages(found)
    assert [FATAL] == messages(last)
    assert ["k3s", "kubelet", "k3s"] == [
        one.line.component for one in found if isinstance(one, LogLine)
    ]


@pytest.mark.parametrize(("line", "reported"), [(UNPACKING, True), (INFO, False)])
def test_a_journal_without_lines_of_the_server_names_the_file(
    host: Host, bus: Session, line: str, *, reported: bool
) -> None:
    """K3s unpacks itself before it opens the file."""
    bus.order(properties={"InvocationID": ("ay", FIRST)})
    path = configure_file(host, bus, INFO)
    host.log("existing", said("Started k3s", SYSLOG_IDENTIFIER="systemd"), said(line))

    list(logs.read(host.context, Request()))

    assert reported is any(
        f"K3s writes its log to {path}, and not to the journal" in str(one) for one in host.events
    )


def test_without_a_log_file_the_option_is_refused(host: Host, bus: Session) -> None:
    host.install(bus)

    with pytest.raises(UsageError, match="`log` is not set"):
        logs.read(host.context, Request(file=True))


def test_a_log_file_that_does_not_exist_is_reported(host: Host, bus: Session) -> None:
    path = configure_file(host, bus)
    (host.paths.home / "k3s.log").unlink()

    with pytest.raises(NotRunning, match=f"{path} does not exist"):
        logs.read(host.context, Request(file=True))
