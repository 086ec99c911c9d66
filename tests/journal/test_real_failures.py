"""Tests with journals of a real K3s v1.36.3 that was made to fail, cut to the relevant lines.

Each failure is named, with its fix.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from k3s_rootless.finding import FixableBy
from k3s_rootless.journal import diagnosis, limits, verdict
from k3s_rootless.journal.facts import Cause, Ending, Entry, Limit, Place, StartLog
from k3s_rootless.journal.sources.exported import Exported

DATA = Path(__file__).parents[1] / "data"
CAPTURED = sorted((DATA / "failed-starts").glob("*.jsonl"))
DROP_IN = "/home/alice/.config/systemd/user/k3s-rootless.service.d/10-x.conf"
FAILED = Ending("loaded", "failed", "failed", "exit-code", code=1, status=1)
LOW = {
    "unit-memory-limit": Limit("MemoryMax", 200 * 2**20, DROP_IN, writable=True),
    "unit-tasks-limit": Limit("TasksMax", 24, DROP_IN, writable=True),
    "unit-open-files-limit": Limit("LimitNOFILE", 64, DROP_IN, writable=True),
}


def captured(name: str) -> StartLog:
    return diagnosis.last_start(Exported(DATA / "failed-starts" / f"{name}.jsonl"))


@pytest.mark.parametrize("file", CAPTURED, ids=lambda file: file.stem)
def test_each_failure_has_its_fix_and_no_harmless_lines(file: Path) -> None:
    log = captured(file.stem)
    limit = LOW.get(file.stem)

    cause = verdict.of_log(log, replace(FAILED, limits=(limit,) if limit else ()))

    assert cause is not None
    assert (file.stem, True) == (cause.id, cause.fatal)
    assert cause.line
    assert cause.remedy is not None
    assert cause.remedy.commands
    assert {one.id for one in (*log.others, *log.notes)} <= {cause.id, "restart-limit"}


def test_there_are_journals_of_seven_failures() -> None:
    assert 7 == len(CAPTURED)


def test_no_line_of_a_successful_start_is_reported() -> None:
    """The lines: a slow start, missing optional modules, and limits of a user namespace."""
    log = diagnosis.last_start(Exported(DATA / "journal-benign-1.36.jsonl"))

    assert 17 == log.lines
    assert (None, (), ()) == (log.cause, log.others, log.notes)


@pytest.mark.parametrize("name", LOW)
def test_a_limit_is_reported_with_its_file_and_raised_there(
    name: str,
) -> None:
    limit = LOW[name]

    cause = verdict.of_log(captured(name), replace(FAILED, limits=(limit,)))

    assert cause is not None
    assert cause.seen[0].endswith(f" is set in {DROP_IN}")
    assert f"{limit.name}=" in cause.title
    assert cause.remedy is not None
    assert FixableBy.USER is cause.remedy.fixable_by
    assert cause.remedy.commands[0].startswith(
        f"sed --in-place=.bak --follow-symlinks 's/^ *{limit.name} *=.*/{limit.name}="
    )
    assert DROP_IN in cause.remedy.commands[0]
    assert "k3s-rootless restart" == cause.remedy.commands[-1]


def remedy(limit: Limit, peak: int | None = None) -> tuple[FixableBy, str]:
    log = captured("unit-memory-limit")
    cause = verdict.of_log(log, replace(FAILED, limits=(limit,), memory_peak=peak))
    assert cause is not None
    assert cause.remedy is not None
    return cause.remedy.fixable_by, cause.remedy.commands[0]


def test_a_limit_is_raised_where_it_was_set() -> None:
    limit = LOW["unit-memory-limit"]

    assert (FixableBy.USER, "k3s-rootless config set MemoryMax 2G") == remedy(
        replace(limit, ours=True)
    )
    assert "sudo sed " == remedy(replace(limit, writable=False))[1][:9]
    assert FixableBy.ADMINISTRATOR is remedy(replace(limit, writable=False))[0]
    assert remedy(replace(limit, file="", writable=False))[1].startswith(
        "mkdir -p ~/.config/systemd/user"
    )


def test_a_high_limit_is_a_cause_only_if_the_unit_reached_it() -> None:
    generous = Limit("MemoryMax", 4096 * 2**20, ours=True)
    log = captured("unit-memory-limit")
    ending = replace(FAILED, limits=(generous,))
    unknown, low, reached = (
        verdict.of_log(log, replace(ending, memory_peak=peak))
        for peak in (None, 30 * 2**20, 4090 * 2**20)
    )

    assert ["killed-by-memory"] * 2 == [one.id for one in (unknown, low) if one]
    assert reached is not None
    assert "unit-memory-limit" == reached.id
    assert "the peak memory use of the unit was 4090 MiB" in reached.seen
    assert (FixableBy.USER, "k3s-rootless config set MemoryMax 8192M") == remedy(
        generous, 4090 * 2**20
    )


def test_without_a_unit_limit_the_log_line_is_the_cause() -> None:
    causes = {name: verdict.of_log(captured(name), FAILED) for name in LOW}

    assert ["killed-by-memory", "unit-tasks-limit", "unit-open-files-limit"] == [
        one.id for one in causes.values() if one
    ]
    assert all(one is not None and "=" not in one.title for one in causes.values())


def test_a_limit_explains_an_exit_with_an_unknown_last_line() -> None:
    """As in a real start: the API server exits first, since no more files can be opened."""
    lines = [
        (
            'level=info msg="dial unix /run/k3s/containerd/containerd.sock: socket: too many open'
            ' files"'
        ),
        'level=error msg="Shutdown request received: \\"apiserver exited: context deadline\\""',
    ]
    log = diagnosis.read_start(Entry(None, line) for line in lines)

    assert log.cause is not None
    assert "unknown" == log.cause.id
    found = verdict.of_log(log, replace(FAILED, limits=(LOW["unit-open-files-limit"],)))
    assert found is not None
    assert "unit-open-files-limit" == found.id


def test_the_result_oom_kill_outranks_an_unknown_last_line() -> None:
    log = diagnosis.read_start([Entry(None, 'level=fatal msg="something new"')])

    found = verdict.of_log(log, replace(FAILED, result="oom-kill"))

    assert found is not None
    assert "killed-by-memory" == found.id


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({"unit": "[Service]\nTasksMax=infinity\n", "a": "[Service]\nTasksMax=24"}, "a"),
        ({"unit": "[Service]\nTasksMax = 24\n", "a": "[Service]\nMemoryMax=1G"}, "unit"),
        ({"a": "[Service]\nTasksMax=24", "b": "[Service]\nTasksMax=\n"}, ""),
        ({"a": "[Service]\n#TasksMax=24"}, ""),
        ({"a": "[Service]\nTasksMax= \\\n 24", "b": "[Unit]\nTasksMax=24"}, "a"),
    ],
)
def test_the_last_file_that_sets_a_limit_is_found(texts: dict[str, str], expected: str) -> None:
    assert expected == limits.found_in("TasksMax", texts)


def test_only_low_limits_are_searched_in_files() -> None:
    usual = {"MemoryMax": None, "TasksMax": 4915, "LimitNOFILE": 524_288, "CPUWeight": 100}

    assert [] == limits.relevant(usual)
    low = {"MemoryMax": 2**33, "TasksMax": 24, "LimitNOFILE": 64}
    assert [("MemoryMax", 2**33), ("TasksMax", 24), ("LimitNOFILE", 64)] == limits.relevant(low)


def kubeconfig(*places: Place) -> tuple[FixableBy, str] | None:
    found = verdict.owner_remedy(places, "alice", 1500)
    return (found.fixable_by, found.commands[0]) if found else None


def test_the_owner_of_the_kubeconfig_decides_who_can_fix_it() -> None:
    directory, file = (
        Place("/home/a b/.kube", 1500, writable=True),
        Place("/home/a b/.kube/k3s.yaml", 0, writable=False),
    )
    foreign = replace(directory, uid=0, writable=False)

    assert (
        FixableBy.USER,
        "mv '/home/a b/.kube/k3s.yaml' '/home/a b/.kube/k3s.yaml'.old",
    ) == kubeconfig(directory, file)
    both = (
        FixableBy.ADMINISTRATOR,
        "sudo chown alice: '/home/a b/.kube' '/home/a b/.kube/k3s.yaml'",
    )
    assert both == kubeconfig(foreign, file)
    assert kubeconfig(directory, replace(file, uid=1500)) is None
    assert kubeconfig() is None


def relocated(name: str, data: str, *, usual: bool) -> tuple[str, ...]:
    cause = captured(name).cause
    assert cause is not None
    found = verdict.relocated(cause, data, usual=usual).remedy
    assert found is not None
    return found.commands


def test_commands_use_the_data_directory_of_k3s() -> None:
    assert (
        "mv ~/.rancher/k3s/server/db ~/"
        in relocated("datastore-damaged", "/home/a/.rancher/k3s", usual=True)[1]
    )
    assert (
        "mv '/my data/k3s'/server/db '/my data/k3s'/"
        in relocated("datastore-damaged", "/my data/k3s", usual=False)[1]
    )
    # In the commands of an administrator, `~` would be the home directory of root.
    assert (
        "--target /home/a/.rancher/k3s"
        in relocated("data-readonly", "/home/a/.rancher/k3s", usual=True)[1]
    )


def test_the_remedy_of_a_read_only_disk_keeps_the_cluster() -> None:
    from k3s_rootless.finding import Finding, Remedy, Verdict

    cause = captured("data-readonly").cause
    assert cause is not None
    elsewhere = Remedy(FixableBy.USER, "put the data elsewhere", ("true",))
    failed = Finding("storage.mount", "Mount", Verdict.FAIL, "ro", reason="it is", remedy=elsewhere)

    assert cause.remedy == verdict.with_host(cause, [failed], (), FAILED).remedy


OOM = captured("unit-memory-limit").cause
KILLED = "k3s-rootless.service: Main process exited, code=killed, status=9/KILL"
OF_OOM = "k3s-rootless.service: A process of this unit has been killed by the OOM killer."
TIMED_OUT = "k3s-rootless.service: State 'stop-sigterm' timed out. Killing."


def cause_of(*lines: tuple[float, str], ready: bool = False) -> Cause | None:
    assert OOM is not None
    assert OOM.time is not None
    begun = OOM.time
    entries = (
        Entry(begun + timedelta(seconds=at), line, identifier="systemd") for at, line in lines
    )
    return diagnosis.read_start(entries, ready=ready).cause


def test_a_kill_has_memory_as_its_cause_only_with_evidence() -> None:
    alone, near, long_ago = (
        cause_of((0, KILLED)),
        cause_of((0, OF_OOM), (1, KILLED)),
        cause_of((0, OF_OOM), (3600, KILLED)),
    )

    assert alone is not None
    assert ("killed", True) == (alone.id, alone.fatal)
    assert "memory" not in alone.title
    assert near is not None
    assert ("killed-by-memory", True) == (near.id, near.fatal)
    assert long_ago is not None
    assert "killed" == long_ago.id


def test_an_oom_kill_of_a_pod_is_not_a_failure_of_a_ready_k3s() -> None:
    assert cause_of((0, OF_OOM), ready=True) is None


def test_a_kill_after_a_stop_timeout_is_a_timeout() -> None:
    assert cause_of((0, TIMED_OUT), (1, KILLED)) is None
    by_status = verdict.of_ending(replace(FAILED, result="timeout", code=2, status=9))
    assert by_status is not None
    assert "timeout" == by_status.id
