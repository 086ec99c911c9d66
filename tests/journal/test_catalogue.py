"""Tests that the catalogue of failures is complete and that its lines are recognised.

tests/test_linear.py proves that its patterns are not slow.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from k3s_rootless.finding import FixableBy, matches
from k3s_rootless.journal import diagnosis, exits
from k3s_rootless.journal.catalogue import CATALOGUE, Failure, Sign, Weight
from k3s_rootless.journal.facts import Entry
from k3s_rootless.journal.sources import journald
from k3s_rootless.node import subcommands
from k3s_rootless.node.facts import Place
from k3s_rootless.operations.readiness import phases
from k3s_rootless.preflight.checks.checklist import CHECKS
from tests.journal import failures_page
from tests.patience import PATIENCE

DATA = Path(__file__).parents[1] / "data"
KNOWN: list[dict[str, Any]] = json.loads((DATA / "fatal-lines.json").read_text())
SIGNS = [(failure, sign) for failure in CATALOGUE for sign in failure.signs]
IDS = {failure.id for failure in CATALOGUE}
# The failure modes from issues and sources; F38 (the lost address of clients) leaves no line in the
# log.
MODES = {f"F{number:02}" for number in range(1, 68)} - {"F38"}


@pytest.mark.parametrize("case", KNOWN, ids=[case["line"][:60] for case in KNOWN])
def test_each_line_is_recognised_in_all_forms(case: dict[str, Any]) -> None:
    """The forms: as written, with escaped or plain quotes, after a klog prefix, and in colour."""
    line = case["line"]
    plain = diagnosis.normal(line)
    forms = [line, plain, f"\x1b[36m{line}\x1b[0m"]
    if not (
        line.startswith(("open: ", "open /dev/kmsg", "panic", "fatal error", "-- "))
        or line.endswith('"')
    ):
        forms.append(f"E1123 21:36:23.006508      21 remote.go:114] {line}")
    for form in forms:
        seen = diagnosis.recognise(diagnosis.normal(re.sub(r"\x1b\[\d+m", "", form)))
        assert (seen[0].id if seen else None) == (case["id"] if case["id"] in IDS else None), form


def test_each_failure_mode_has_a_line() -> None:
    assert MODES == {case["mode"] for case in KNOWN if "mode" in case}


@pytest.mark.parametrize(
    ("failure", "sign"),
    SIGNS,
    ids=lambda one: getattr(one, "id", None) or getattr(one, "literal", ""),
)
def test_each_sign_is_the_first_match_of_a_line(failure: Failure, sign: Sign) -> None:
    known_by = [
        case["line"]
        for case in KNOWN
        if (seen := diagnosis.recognise(diagnosis.normal(case["line"]))) is not None
        and seen[1] is sign
    ]

    assert known_by, failure.id


@pytest.mark.parametrize("failure", CATALOGUE, ids=lambda failure: failure.id)
def test_each_entry_has_a_reason_and_a_fix(failure: Failure) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", failure.id)
    assert failure.title
    assert failure.why
    assert failure.remedy.fixable_by in FixableBy
    assert failure.remedy.text
    assert failure.signs or failure.same_lines_as in IDS
    assert failure.signs == () or not failure.same_lines_as


def test_a_failure_without_an_exit_names_the_phase_that_is_never_reached() -> None:
    waiting = {failure.id: failure.waits for failure in CATALOGUE if failure.waits}

    of_containerd = {"containerd-exited", "containerd-plugin", "snapshotter-fuse"}
    assert of_containerd | {"datastore-damaged", "datastore-unreachable"} == waiting.keys()
    assert set(waiting.values()) <= set(phases.KEYS)


def test_the_fix_for_the_containerd_socket_enters_the_namespace_of_k3s() -> None:
    """Only there, the paths that containerd reports exist."""
    (command,) = next(
        failure.remedy.commands for failure in CATALOGUE if failure.id == "containerd-socket"
    )

    assert "k3s-rootless k3s crictl ps" == command
    assert Place.NAMESPACES is subcommands.find(command.split()[2:]).place


def test_ids_are_unique() -> None:
    assert len(CATALOGUE) == len(IDS)


@pytest.mark.parametrize(
    "case", [case for case in KNOWN if case["check"]], ids=lambda case: case["line"][:60]
)
def test_each_named_check_exists(case: dict[str, Any]) -> None:
    assert any(matches(check.id, case["check"]) for check in CHECKS)


def test_texts_use_only_groups_of_their_patterns() -> None:
    for failure, sign in SIGNS:
        groups = dict.fromkeys(sign.pattern.groupindex, "x")
        for text in (sign.title or failure.title, sign.check or failure.check):
            assert "{" not in text.format_map(groups)


def test_no_line_of_a_successful_start_is_a_cause() -> None:
    """Some of its lines are notes, which also occur in failed starts."""
    with (DATA / "journal-successful-start.jsonl").open("rb") as lines:
        found = [entry for line in lines if (entry := journald.parse(line)) is not None]

    assert 38 == len(found)
    assert all(diagnosis.first_cause([entry]) is None for entry in found)
    log = diagnosis.read_start(found)
    assert (None, ()) == (log.cause, log.others)


@pytest.mark.parametrize(
    "line",
    ['level=fatal msg="' * 40_000, 'level=fatal msg="' + "\\" * 999_999, "FATA[1] " * 99_999],
)
def test_no_line_can_make_the_diagnosis_slow(line: str) -> None:
    begun = time.process_time()
    diagnosis.first_cause([Entry(None, line)])
    assert time.process_time() - begun < PATIENCE


def test_the_page_of_failures_is_up_to_date() -> None:
    written = failures_page.PAGE.read_text("utf-8")

    assert written == failures_page.page(), "renew it: python -m tests.journal.failures_page"


def test_each_cause_that_only_systemd_reports_has_a_section() -> None:
    """The `documentation` of an answer links to this section."""
    headings = set(re.findall(r"^## (\S+)$", failures_page.PAGE.read_text("utf-8"), re.MULTILINE))
    from_systemd = {cause.id for cause in failures_page.by_systemd()}

    assert len(from_systemd) == len(failures_page.ENDINGS)
    assert {exits.identifier(status) for status in exits.STEPS} | IDS | from_systemd == headings


def test_weights_are_used() -> None:
    assert {sign.weight or failure.weight for failure, sign in SIGNS} == set(Weight)
