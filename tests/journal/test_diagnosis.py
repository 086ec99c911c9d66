from __future__ import annotations

import json
import re
import time
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.finding import Finding, Verdict
from k3s_rootless.journal import diagnosis, verdict
from k3s_rootless.journal.catalogue import session
from k3s_rootless.journal.facts import Cause, Ending, Entry
from k3s_rootless.journal.sources import journald
from k3s_rootless.paths import UNIT
from tests.patience import PATIENCE

DATA = Path(__file__).parents[1] / "data"
KNOWN = json.loads((DATA / "fatal-lines.json").read_text())
FATAL = 'time="x" level=fatal msg="failed to find cpuset cgroup (v2)"'
TAKEN = "listen tcp :10080: bind: address already in use"
CONFLICT = f"level=error msg=\"error syncing '_all_': handler rootlessports: {TAKEN}, requeuing\""
MODULE = 'level=warning msg="Failed to load kernel module br_netfilter with modprobe"'
RUNNING = Ending("loaded", "active", "running")
SYSTEMD_ITSELF = {failure.id for failure in session.FAILURES}
SECONDARY = [
    'time="x" level=fatal msg="child died: parsing message from fd 3: EOF"',
    'time="x" level=fatal msg="child exited: exit status 1"',
    "[rootlesskit:child ] error: command [/proc/self/exe] exited: exit status 255",
    'level=fatal msg="context canceled"',
]


def entries(*messages: str) -> list[Entry]:
    return [
        Entry(datetime(2026, 11, 23, 21, 35, number, tzinfo=UTC), message)
        for number, message in enumerate(messages)
    ]


@pytest.mark.parametrize("case", KNOWN, ids=[case["line"][:60] for case in KNOWN])
def test_each_known_line_gives_its_cause(case: dict[str, Any]) -> None:
    """A note or a benign line is recognised, but is no cause."""
    found = diagnosis.first_cause(entries(case["line"]))

    if case["weight"] in {None, "note", "benign"}:
        assert found is None
    else:
        assert found is not None
        assert (found.id, found.check) == (case["id"], case["check"])
        assert found.fatal or case["weight"] == "survived"


def test_a_successful_start_has_no_cause() -> None:
    with (DATA / "journal-successful-start.jsonl").open("rb") as lines:
        found = [entry for line in lines if (entry := journald.parse(line)) is not None]

    assert 38 == len(found)
    assert diagnosis.first_cause(found) is None


def test_reading_stops_after_the_first_fatal_line() -> None:
    def journal() -> Any:
        yield from entries("k3s starts", *SECONDARY[:1], FATAL)
        raise AssertionError("read too far")

    found = diagnosis.first_cause(journal())

    assert found is not None
    assert (
        "cgroup.delegation.cpuset",
        "the controller cpuset is not delegated",
    ) == (found.check, found.title)
    assert FATAL == found.line
    assert found.time == datetime(2026, 11, 23, 21, 35, 2, tzinfo=UTC)


STOPPING = replace(
    entries("Stopping k3s-rootless.service - k3s (Rootless)...")[0], identifier="systemd", unit=UNIT
)


def test_after_a_requested_stop_no_line_is_a_cause() -> None:
    killed = replace(
        entries(f"{UNIT}: Main process exited, code=killed, status=9/KILL")[0],
        identifier="systemd",
        unit=UNIT,
    )

    found = diagnosis.read_start([*entries("k3s starts"), STOPPING, *entries(FATAL), killed])

    assert (found.stopped, found.cause) == (True, None)


@pytest.mark.parametrize(
    "line",
    [replace(STOPPING, identifier="k3s"), replace(STOPPING, unit="user@1000.service")],
    ids=["K3s", "another unit"],
)
def test_only_a_line_of_systemd_about_the_unit_is_a_stop(line: Entry) -> None:
    found = diagnosis.read_start([line, *entries(FATAL)])

    assert found.cause is not None
    assert not found.stopped


def test_a_stop_after_the_fatal_line_changes_nothing() -> None:
    found = diagnosis.read_start([*entries(FATAL), STOPPING])

    assert found.cause is not None
    assert not found.stopped


CAUSES = [case for case in KNOWN if case["weight"] in {"fatal", "survived"}]
CAUSE_IDS = [f"{case['id']}-{number}" for number, case in enumerate(CAUSES)]


@pytest.mark.parametrize("case", CAUSES, ids=CAUSE_IDS)
def test_the_words_of_a_cause_do_not_explain_another_end(case: dict[str, Any]) -> None:
    """After a request to stop, in systemd's own words, and in a K3s that is ready."""
    (line,) = entries(case["line"])
    stopped = diagnosis.read_start([STOPPING, line])
    requested_later = diagnosis.read_start([line, STOPPING])
    ready = diagnosis.read_start([line], ready=True)

    assert stopped.cause is None
    assert requested_later.cause is None or requested_later.cause.fatal
    assert ready.cause is None or not ready.cause.fatal
    if case["id"] not in SYSTEMD_ITSELF:
        assert diagnosis.first_cause([replace(line, identifier="systemd")]) is None


@pytest.mark.parametrize(
    "case",
    [case for case in CAUSES if case["weight"] == "survived" and case["check"]],
    ids=lambda case: case["line"][:40],
)
def test_a_survived_problem_is_no_cause_if_its_check_passes_now(case: dict[str, Any]) -> None:
    """K3s is ready, so it got over the problem. If K3s is not ready, the line still counts."""
    (cause,) = verdict.candidates(diagnosis.read_start(entries(case["line"])), RUNNING)
    findings = {
        kind: [Finding(cause.check, "", kind, "", reason="it is", remedy=None)]
        for kind in (Verdict.PASS, Verdict.FAIL)
    }

    # Some lines are the fatal line of K3s here, which keeps its meaning.
    assert cause.fatal is verdict.stands(cause, findings[Verdict.PASS], ready=True)
    assert verdict.stands(cause, findings[Verdict.PASS], ready=False)
    assert verdict.stands(cause, findings[Verdict.FAIL], ready=True)


TRANSIENT = 'msg="Waiting: dial unix /d/rootless/api.sock: connect: connection refused"'
API_READY = 'level=info msg="k3s is up and running"'


def test_a_transient_problem_is_over_when_the_api_server_is_ready() -> None:
    before = diagnosis.first_cause(entries(TRANSIENT))
    assert before is not None
    assert "stale-state" == before.id
    assert diagnosis.first_cause(entries(TRANSIENT, API_READY)) is None
    lasting = diagnosis.first_cause(entries(CONFLICT, API_READY))
    assert lasting is not None
    assert "forward-failed" == lasting.id


WAITS = (
    'msg="Waiting for containerd startup: rpc error: code = Unimplemented desc = unknown service'
    ' runtime.v1.RuntimeService"'
)
INOTIFY = 'E1 inotify.go:1] "failed to create fsnotify watcher: too many open files"'


@pytest.mark.parametrize("lines", [(INOTIFY, WAITS), (WAITS, INOTIFY)], ids=["before", "after"])
def test_a_resource_that_is_used_up_explains_its_effect(lines: tuple[str, str]) -> None:
    """K3s retries without end, so a later line can name the reason."""
    found = verdict.candidates(diagnosis.read_start(entries(*lines)), RUNNING)

    assert ["inotify", "containerd-plugin"] == [one.id for one in found]


def test_a_resource_that_is_used_up_does_not_explain_what_names_its_own_reason() -> None:
    found = verdict.candidates(diagnosis.read_start(entries(INOTIFY, FATAL)), RUNNING)

    assert ["cgroup-controller", "inotify"] == [one.id for one in found]


def test_the_log_of_containerd_can_name_the_resource() -> None:
    (effect,) = verdict.candidates(diagnosis.read_start(entries(WAITS)), RUNNING)

    behind = verdict.behind_line(effect, "failed to create fsnotify watcher: too many open files")

    assert ("inotify", "node", True) == (behind.id, behind.waits, behind.fatal)
    assert effect is verdict.behind_line(effect, "failed to do something else")


def test_few_lines_are_read_after_a_k3s_that_retries_without_end() -> None:
    def journal() -> Any:
        yield from entries(WAITS)
        for _ in range(5000):
            yield Entry(None, "later")
        raise AssertionError("read too far")

    assert 5001 == diagnosis.read_start(journal()).lines


@pytest.mark.parametrize("line", SECONDARY)
def test_a_consequence_is_not_a_cause(line: str) -> None:
    assert diagnosis.first_cause(entries(line)) is None
    found = diagnosis.first_cause(entries(line, 'level=fatal msg="something new"', line))
    assert found is not None
    assert "something new" == found.title


def test_a_survived_problem_is_a_cause_only_without_a_fatal_line() -> None:
    alone, followed = (
        diagnosis.first_cause(entries(CONFLICT, CONFLICT)),
        diagnosis.first_cause(entries(CONFLICT, FATAL)),
    )

    assert alone is not None
    assert followed is not None
    assert (alone.id, alone.fatal, alone.time) == (
        "forward-failed",
        False,
        datetime(2026, 11, 23, 21, 35, 0, tzinfo=UTC),
    )
    assert (
        "K3s cannot create all forwards: listen tcp :10080: bind: address already in use"
        == alone.title
    )
    assert ("cgroup-controller", True) == (followed.id, followed.fatal)


@pytest.mark.parametrize(
    ("line", "title"),
    [
        (
            'time="x" level=fatal msg="starting \\"etcd\\": no \\"quorum\\""',
            'starting "etcd": no "quorum"',
        ),
        ('time="x" level=fatal msg="Error: no luck"', "no luck"),
        ('time="x" level=fatal msg=boom', "boom"),
        ("\x1b[31mFATA\x1b[0m[0000] no luck ", "no luck"),
        ('level=error msg="Shutdown request received: \\"no luck\\""', "no luck"),
        ("F0403 06:48:33.824889      67 server.go:1] no luck", "server.go:1] no luck"),
        ('level=fatal msg="\u202eevil \x07"', "\ufffdevil \ufffd"),
    ],
)
def test_an_unknown_fatal_line_is_the_title_of_its_cause(line: str, title: str) -> None:
    found = diagnosis.first_cause(entries(line))

    assert isinstance(found, Cause)
    assert ("unknown", "", None, True) == (found.id, found.check, found.remedy, found.fatal)
    assert title == found.title
    assert found.line.isprintable()


@given(st.lists(st.text(max_size=300)))
def test_no_text_raises_an_exception(messages: list[str]) -> None:
    found = diagnosis.first_cause(Entry(None, message) for message in messages)

    assert found is None or found.line.isprintable()


@given(st.sampled_from(KNOWN), st.text(max_size=50), st.text(max_size=50))
def test_text_around_a_known_line_leaves_no_placeholder(
    case: dict[str, Any], before: str, after: str
) -> None:
    found = diagnosis.first_cause(entries(before + case["line"] + after))

    assert found is None or not re.search(r"\{\w+\}", found.check)


def test_a_panic_is_named_by_its_first_line() -> None:
    found = diagnosis.first_cause(
        entries("panic: runtime error: index out of range\n\ngoroutine 1 [running]:")
    )

    assert found is not None
    assert (
        "panic",
        "K3s crashed: panic: runtime error: index out of range",
    ) == (found.id, found.title)


CRASH = [
    "panic: runtime error: invalid memory address or nil pointer dereference [recovered]",
    "\tpanic: runtime error: invalid memory address or nil pointer dereference",
    "[signal SIGSEGV: segmentation violation code=0x1 addr=0x18 pc=0x1d4b9a6]",
    "",
    "goroutine 4242 [running]:",
    (
        "k8s.io/apimachinery/pkg/util/runtime.handleCrash({0x67d, 0xa}, {0x5a3, 0xb1}, {0x0, 0x0,"
        " 0x0})"
    ),
    "\t/go/pkg/mod/k8s.io/apimachinery/pkg/util/runtime/runtime.go:89 +0xee",
    "panic({0x5a3c1c0?, 0xb1d2f40?})",
    "\t/usr/local/go/src/runtime/panic.go:792 +0x132",
    "k8s.io/kube-openapi/pkg/cached.(*Atomic[...]).Get(0xc0041c2a00)",
    "\t/go/pkg/mod/k8s.io/kube-openapi/pkg/cached/cache.go:264 +0x5d",
    "main.main()",
    "\t/src/main.go:7",
    "created by net/http.(*Server).Serve in goroutine 912",
    "\t/usr/local/go/src/net/http/server.go:3454 +0x485",
    "",
    "goroutine 1 [select]:",
    "k8s.io/other.Wait(0x1)",
    "\t/other.go:1 +0x1",
]
FRAMES = (
    (
        "k8s.io/kube-openapi/pkg/cached.(*Atomic[...]).Get"
        " (/go/pkg/mod/k8s.io/kube-openapi/pkg/cached/cache.go:264)"
    ),
    "main.main (/src/main.go:7)",
)


@pytest.mark.parametrize("apart", [True, False], ids=["a line each", "in one entry"])
def test_a_panic_has_the_first_frames_of_its_goroutine(*, apart: bool) -> None:
    lines = CRASH if apart else ["\n".join(CRASH)]

    found = diagnosis.first_cause(Entry(None, line) for line in ["x", *lines])

    assert found is not None
    assert ("panic", FRAMES) == (found.id, found.frames)


def test_other_lines_within_a_panic_are_not_frames() -> None:
    noise = 'E1127 07:04:16.958447      34 controller.go:1] "x (y)"'
    mixed = [part for line in CRASH for part in (line, noise)]

    found = diagnosis.first_cause(Entry(None, line) for line in mixed)

    assert found is not None
    assert set(found.frames) <= set(FRAMES)


def test_a_panic_without_frames_is_read_only_in_part() -> None:
    read = 0

    def journal() -> Any:
        nonlocal read
        for message in (CRASH[0], *("noise",) * 5000):
            read += 1
            yield Entry(None, message)

    found = diagnosis.first_cause(journal())

    assert found is not None
    assert () == found.frames
    assert read < 500


def test_a_deep_panic_has_five_frames() -> None:
    deep = [
        line
        for number in range(50)
        for line in (f"main.f{number}(0x1)", f"\t/src/main.go:{number} +0x1")
    ]

    found = diagnosis.first_cause(
        Entry(None, line) for line in ["panic: x", "goroutine 1 [running]:", *deep]
    )

    assert found is not None
    assert [f"main.f{number} (/src/main.go:{number})" for number in range(5)] == list(found.frames)


def test_a_failure_before_many_later_starts_is_found() -> None:
    lines = [(0, FATAL), *((number, "Starting k3s") for number in range(1, 40))]

    log = diagnosis.last_start(
        Entry(None, message, invocation=f"{start:032x}") for start, message in lines
    )

    assert log.cause is not None
    assert ("cgroup-controller", True, f"{0:032x}") == (
        log.cause.id,
        log.cause.earlier,
        log.invocation,
    )


def test_the_last_failure_before_many_later_starts_is_found() -> None:
    lines = [
        (0, FATAL),
        (1, 'level=fatal msg="the last"'),
        *((number, "Starting k3s") for number in range(2, 40)),
    ]

    log = diagnosis.last_start(
        Entry(None, message, invocation=f"{start:032x}") for start, message in lines
    )

    assert log.cause is not None
    assert "the last" == log.cause.title


UP = 'time="x" level=info msg="k3s is up and running"'


@pytest.mark.parametrize(
    ("lines", "earlier", "recovered"),
    [
        ([("a", FATAL)], False, None),
        ([("a", "x"), ("b", FATAL)], False, None),
        ([("a", FATAL), ("b", UP)], True, True),
        ([("a", FATAL), ("b", "x"), ("c", UP)], True, False),
    ],
)
def test_an_earlier_failure_is_marked_with_the_result_of_the_next_start(
    lines: list[tuple[str, str]], *, earlier: bool, recovered: bool | None
) -> None:
    log = diagnosis.last_start(
        Entry(None, message, invocation=start * 32) for start, message in lines
    )

    assert log.cause is not None
    assert (earlier, recovered) == (log.cause.earlier, log.recovered)


def test_the_last_start_with_a_cause_is_found() -> None:
    """During a restart of K3s by systemd, the newest start has not failed yet."""
    lines = [
        ("a", FATAL),
        ("b", 'level=fatal msg="something new"'),
        ("c", "Starting k3s"),
        ("b", "Stopped"),
    ]

    log = diagnosis.last_start(
        Entry(None, message, invocation=start * 32) for start, message in lines
    )

    assert log.cause is not None
    assert ("something new", "b" * 32) == (log.cause.title, log.invocation)


@pytest.mark.thorough
def test_many_starts_are_read_in_bounded_memory() -> None:
    tracemalloc.start()
    log = diagnosis.last_start(
        Entry(None, CONFLICT, invocation=f"{number:032x}") for number in range(20_000)
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert log.cause is not None
    assert peak < 2_000_000


def test_a_forward_that_was_created_later_is_not_a_cause() -> None:
    bound = 'level=info msg="Bound parent port :10080 to child namespace port 80"'

    assert diagnosis.first_cause(entries(CONFLICT, bound)) is None
    assert diagnosis.first_cause(entries(CONFLICT, bound.replace("10080", "10443"))) is not None


def test_a_quoted_unit_description_is_not_a_cause() -> None:
    quoting = Entry(
        None, f"Started k3s-rootless.service - /bin/sh -c '{FATAL}'.", identifier="systemd"
    )
    failing = Entry(
        None,
        "k3s-rootless.service: Failed at step EXEC spawning /x: Permission denied",
        identifier="systemd",
    )

    assert diagnosis.first_cause([quoting]) is None
    found = diagnosis.first_cause([quoting, failing])
    assert found is not None
    assert "exec-failed" == found.id


def test_other_problems_before_the_cause_are_reported_once() -> None:
    log = diagnosis.read_start(
        entries(CONFLICT, CONFLICT, MODULE, FATAL, "listen tcp :1: bind: address already in use")
    )

    assert log.cause is not None
    assert ["forward-failed"] == [one.id for one in log.others]
    assert ["kernel-modules"] == [one.id for one in log.notes]
    assert 4 == log.lines


def test_a_ready_start_has_no_fatal_line() -> None:
    """K3s retries until its snapshotter works, and then continues."""
    fuse = (
        'level=info msg="Waiting to retrieve agent configuration; server is not ready:'
        ' fuse-overlayfs not functional"'
    )

    assert diagnosis.read_start(entries(fuse), ready=True).cause is None
    assert diagnosis.read_start(entries(fuse)).cause is not None


@pytest.mark.parametrize("times", [[5, 3, 1], [1, 1, 1], [None, 2, None]])
def test_the_clock_can_jump(times: list[int | None]) -> None:
    lines_read = [
        Entry(datetime(2026, 1, at, tzinfo=UTC) if at else None, line)
        for at, line in zip(times, ["x", FATAL, "y"], strict=True)
    ]

    found = diagnosis.first_cause(lines_read)

    assert found is not None
    assert found.time == lines_read[1].time


def test_a_goroutine_dump_is_read_quickly() -> None:
    """A K3s that panics writes more than 20,000 lines for one start."""
    noise = [
        Entry(None, f"goroutine {number} [select]: k8s.io/kubernetes/pkg/x/y.go:{number} +0x1d5")
        for number in range(20_000)
    ]
    start = time.process_time()

    assert diagnosis.first_cause(noise) is None

    assert time.process_time() - start < PATIENCE
