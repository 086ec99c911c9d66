"""`check` as a whole: what hangs or fails is unknown alone, the answer keeps its schema, and the
text folds what repeats.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator

from k3s_rootless.cli import admin_script
from k3s_rootless.cli.display.report import Report
from k3s_rootless.cli.session import Session
from k3s_rootless.errors import UnsupportedHost
from k3s_rootless.finding import Verdict
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.operations.check import document as documents
from k3s_rootless.operations.check import probing, selection
from k3s_rootless.operations.context import Context
from k3s_rootless.paths import Paths
from k3s_rootless.preflight.checks import checklist
from k3s_rootless.preflight.facts import Facts
from k3s_rootless.preflight.records import Problem
from tests.cli.conftest import USER
from tests.cli.test_bad_bus import environment
from tests.fakes.session import as_user
from tests.patience import PATIENCE
from tests.preflight.rows import ROWS
from tests.preflight.trees import HOSTS, write
from tests.strategies import HEALTHY, any_facts, sysctl

PROJECT = Path(__file__).parents[2]
SCHEMA: dict[str, Any] = json.loads((PROJECT / "docs/reference/schemas/check-v1.json").read_text())
SECONDS = 0.5
VALIDATOR = Draft202012Validator(SCHEMA)


def context(root: Path, **environ: str) -> Context:
    """A session whose host is a tree of files."""
    home = root / "home/alice"
    home.mkdir(parents=True, exist_ok=True)
    paths = replace(Paths.of({}, os.getuid(), home), root=root, runtime=root / "run/user/1000")
    return Context(paths, environ, os.getuid(), "alice")


def findings(root: Path, *ids: str) -> dict[str, Any]:
    needs = frozenset[str]().union(*(one.needs for one in selection.asked(ids)))
    begun = probing.Examination(context(root), needs, seconds=SECONDS)
    facts, _ = begun.finish(None, "there is none")
    return {one.check: one for one in checklist.judge(facts, selection.asked(ids))}


@pytest.fixture
def reader() -> Any:
    """Lets whoever waits at a FIFO go on, at the end."""
    opened: list[Path] = []
    yield opened
    for path in opened:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_NONBLOCK), "wb", buffering=0) as end:
            end.write(b"\n")


@pytest.mark.parametrize(
    ("file", "hanging", "going_on"),
    [
        ("etc/resolv.conf", "net.resolver", "net.route"),
        ("proc/net/route", "net.route", "net.resolver"),
        ("proc/self/mountinfo", "host.hidepid", "net.resolver"),
        ("proc/sys/net/ipv4/ip_forward", "sysctl.ip_forward", "net.resolver"),
        ("etc/passwd", "subid.overlap", "net.resolver"),
        ("proc/modules", "kernel.vxlan", "net.resolver"),
        ("proc/self/cgroup", "session.caller", "net.resolver"),
    ],
)
def test_what_hangs_is_unknown_in_its_time_and_the_others_go_on(
    tmp_path: Path, reader: list[Path], file: str, hanging: str, going_on: str
) -> None:
    """A FIFO that nobody writes to hangs like a file on a server that is gone."""
    write(tmp_path / "etc/resolv.conf", "nameserver 192.0.2.1\n")
    write(tmp_path / "proc/net/fib_trie", "Main:\n")
    write(tmp_path / "proc/net/route", "Iface Destination\n")
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    reader.append(path)
    begun = time.monotonic()

    found = findings(tmp_path, hanging, going_on)

    assert time.monotonic() - begun < PATIENCE
    assert found[hanging].verdict is Verdict.UNKNOWN
    assert "there was no answer in time" in found[hanging].reason
    assert found[going_on].verdict is not Verdict.UNKNOWN


def test_a_probe_that_fails_as_nobody_foresaw_is_unknown_alone(tmp_path: Path) -> None:
    """Memory that is no number: the probe raises, and says so."""
    write(tmp_path / "proc/meminfo", "MemAvailable: lots\n")
    write(tmp_path / "proc/self/mountinfo", "")
    write(tmp_path / "etc/resolv.conf", "nameserver 192.0.2.1\n")

    found = findings(tmp_path, "host.memory", "net.resolver")

    assert found["host.memory"].verdict is Verdict.UNKNOWN
    assert "ValueError" in found["host.memory"].reason
    assert found["net.resolver"].verdict is Verdict.PASS


def test_only_what_a_check_needs_is_read(tmp_path: Path, reader: list[Path]) -> None:
    """With a file that hangs for each other probe, one check is as quick as ever."""
    for file in ("proc/net/fib_trie", "proc/modules", "etc/passwd", "proc/sys/net/ipv4/ip_forward"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(tmp_path / file)
        reader.append(tmp_path / file)
    write(tmp_path / "etc/resolv.conf", "nameserver 192.0.2.1\n")
    begun, threads = time.monotonic(), threading.active_count()

    found = findings(tmp_path, "net.localhost")

    assert found["net.localhost"].verdict is Verdict.WARN
    assert time.monotonic() - begun < PATIENCE
    assert threading.active_count() <= threads + 1


def test_each_fact_that_a_check_needs_is_read_by_somebody(tmp_path: Path) -> None:
    """A name that is spelled wrong would be `nobody asked for it` for ever."""
    begun = probing.Examination(context(tmp_path))
    facts, _ = begun.finish(None, "there is none")

    unasked = [
        name for name in Facts.__slots__ if getattr(facts, name) == Unknown("nobody asked for it")
    ]
    assert unasked == []


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_each_answer_keeps_its_schema(row: Any) -> None:
    found = checklist.judge(row.host)

    document = documents.answered(found, ("cgroup",), documents.problem(found, ("cgroup",)))

    VALIDATOR.validate({"schema": "k3s-rootless/check/v1", **document})


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(any_facts())
def test_any_answer_keeps_its_schema(facts: Facts) -> None:
    found = checklist.judge(facts)

    VALIDATOR.validate(
        {
            "schema": "k3s-rootless/check/v1",
            **documents.answered(found, (), documents.problem(found, ())),
        }
    )


def test_the_schema_refuses_what_is_wrong() -> None:
    document = {
        "schema": "k3s-rootless/check/v1",
        **documents.answered(checklist.judge(HEALTHY), (), None),
    }
    for key, value in (
        ("verdict", "maybe"),
        ("severity", "bad"),
        ("documentation", "x"),
        ("check", "One"),
        ("remedy", {}),
    ):
        broken = json.loads(json.dumps(document))
        broken["checks"][0][key] = value
        assert not VALIDATOR.is_valid(broken), key
    assert VALIDATOR.is_valid(document)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"lingers": Known(value=False)}, None),
        ({"host": Known(replace(HEALTHY.host.value, hostname="a_b"))}, 6),  # type: ignore[union-attr]
        ({"problems": Known((Problem("A", "x", fatal=True),))}, 5),
        ({"systemd_booted": False}, 8),
        ({"network": Unknown("dark")}, None),
        ({"storage": Unknown("dark")}, 1),
    ],
    ids=[
        "healthy",
        "warning",
        "administrator",
        "user",
        "nobody",
        "unknown, not fatal",
        "unknown, fatal",
    ],
)
def test_the_exit_code_is_that_of_the_hardest(changes: dict[str, Any], code: int | None) -> None:
    error = documents.problem(checklist.judge(replace(HEALTHY, **changes)), ())

    assert (error.exit_code if error else None) == code


def printed(facts: Facts, capsys: pytest.CaptureFixture[str]) -> str:
    Report().findings(checklist.judge(facts))
    return capsys.readouterr().out


def test_failures_come_first_and_what_is_well_is_folded(capsys: pytest.CaptureFixture[str]) -> None:
    facts = replace(
        HEALTHY, lingers=Known(value=False), systemd_booted=False, iptables=Unknown("dark")
    )

    lines = [
        line.split()[0] for line in printed(facts, capsys).splitlines() if not line.startswith(" ")
    ]

    assert lines == [*("fail", "unknown", "warn"), *["pass"] * (len(lines) - 3)]
    assert len(lines) < 25


def test_a_remedy_that_mends_several_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    none = frozenset[str]()
    reach = replace(
        HEALTHY.delegation, effective=Known(none), realized=Known(none), configured=Known(none)
    )

    text = printed(replace(HEALTHY, delegation=reach), capsys)

    assert text.count("not delegated") == 5
    assert text.count("60-k3s-rootless.conf") == 1
    lines = text.splitlines()
    script = next(number for number, line in enumerate(lines) if "60-k3s-rootless.conf" in line)
    warning = next(number for number, line in enumerate(lines) if line.startswith("warn"))
    assert script < warning, "a failure has its remedy before the next warning"
    assert "administrator: the same as for cgroup.delegation.pids" in lines[warning + 2]


def test_colour_is_only_added_where_it_is_wanted() -> None:
    code = (
        "import sys; from k3s_rootless.cli.display.style import styled; sys.stdout.write(styled('fail',"
        " fg='red'))"
    )
    for environ, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environ,
            capture_output=True,
            text=True,
            check=True,
            cwd=PROJECT,
        )
        assert ("\x1b" in done.stdout) is coloured


def test_where_nobody_can_mend_it_there_is_no_script(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Alpine has no systemd: what else is missing there is not worth a change of the host."""
    at = context(HOSTS["Alpine"].plant(tmp_path))
    report = Report()
    here = Session(at.paths, at.environ, at.uid, at.user, report.hear, report)
    found = checklist.judge(
        replace(sysctl("net.ipv4.ip_forward", Known("0")), systemd_booted=False)
    )

    with pytest.raises(UnsupportedHost, match=r"systemd\.booted"):
        admin_script.give(here, found, undo=False)
    assert "" == capsys.readouterr().out
    admin_script.give(here, [one for one in found if one.check != "systemd.booted"], undo=False)
    assert "net.ipv4.ip_forward" in capsys.readouterr().out


def last_lines(home: Path, *words: str) -> tuple[int, str]:
    command = [*as_user(USER), sys.executable, "-m", "k3s_rootless", "check", *words]
    run = subprocess.run(
        command,
        cwd=PROJECT,
        env=environment(home, home / "none"),
        capture_output=True,
        text=True,
        check=False,
    )
    return run.returncode, run.stdout.rpartition("\n\n")[2] if "--json" not in words else run.stdout


def test_a_few_checks_are_not_the_whole_host(home: Path) -> None:
    whole = json.loads(last_lines(home, "--json")[1])
    passed = next(one["check"] for one in whole["checks"] if one["verdict"] == "pass")

    assert whole["complete"] is True
    assert (0, "passed; the other checks were not run\nnext: k3s-rootless check\n") == last_lines(
        home, passed
    )
    assert json.loads(last_lines(home, passed, "--json")[1])["complete"] is False


def test_what_was_ignored_is_named_and_ignored_by_what_comes_next(home: Path) -> None:
    """This user has no session, so at least that check fails here."""
    whole = json.loads(last_lines(home, "--json")[1])
    grave = [
        one["check"]
        for one in whole["checks"]
        if one["verdict"] == "fail" or one["verdict"] == "unknown"
    ]
    groups = sorted({name.partition(".")[0] for name in grave})

    code, said = last_lines(
        home, *(word for name in groups for word in ("--ignore", name)), "--ignore", "env"
    )

    assert 0 == code
    assert said.startswith("ready, ")
    assert "apart from what you ignored: " in said
    assert all(one["check"] in said for one in whole["checks"] if one["verdict"] == "fail")
    assert any(f"next: k3s-rootless up --ignore {name}" in said for name in groups)
    assert "--ignore env" not in said or "env" in groups
