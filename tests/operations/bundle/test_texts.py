"""Tests of the texts of a bundle: redacted, printable, and cut only outside of secrets."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from k3s_rootless.operations.bundle import starts, texts
from k3s_rootless.operations.bundle.sources import UnitFile
from k3s_rootless.support.facts import Line, LoggedStart
from k3s_rootless.support.redaction.redact import Redactor

TIME = datetime(2026, 11, 23, 21, 35, 11, 5, tzinfo=UTC)


def lines(*messages: str) -> LoggedStart:
    return LoggedStart("1" * 32, tuple(Line(TIME, "info", "k3s[7]", one) for one in messages))


def test_the_unit_is_one_text_and_lists_unreadable_files() -> None:
    files = (
        UnitFile(Path("/a/k3s.service"), "[Service]\nEnvironment=K3S_TOKEN=hush-hush\n"),
        UnitFile(Path("/a/k3s.service.d/x.conf"), None, "permission denied"),
    )

    item = texts.unit(files, Redactor())

    assert "hush-hush" not in item.text
    assert item.text.startswith("# /a/k3s.service\n[Service]\n")
    assert "\n# /a/k3s.service.d/x.conf\n" in item.text
    assert ("unit.txt", "permission denied") == (item.name, item.problem)


def test_lines_are_redacted_before_they_are_made_printable() -> None:
    begun = texts.redacted(
        lines("sent \x1b[1mhush-\x1b[0mhush", "bell\x07"), Redactor(["hush-hush"])
    )

    first, second = begun.lines
    assert "sent [redacted:known]" == first.text
    assert "\x07" not in second.text


def test_the_end_of_a_truncated_line_is_removed_after_redaction() -> None:
    cut = "x " * (starts.LONGEST_LINE // 2 - 2) + "hush"
    assert starts.LONGEST_LINE == len(cut)

    (line,) = texts.redacted(lines(cut), Redactor()).lines

    assert "hush" not in line.text
    assert line.text.endswith("… (cut)")
    assert len(line.text) <= texts.LONGEST_LINE + len("… (cut)")


def test_the_file_of_a_start_identifies_the_start() -> None:
    last = texts.journal(1, lines("one"))
    earlier = texts.journal(3, LoggedStart("", (Line(None, "error", "k3s", "two"),), cut=True))

    assert ("journal/start-1.txt", "log of the last start of K3s") == (last.name, last.what)
    assert [
        f"# invocation {'1' * 32}; times are UTC",
        "2026-11-23T21:35:11.000005+00:00 info    k3s[7]: one",
    ] == last.text.splitlines()
    assert "log of start 3, counted back from the last start" == earlier.what
    assert [
        "# invocation unknown; times are UTC; older lines were left out (size limit)",
        "- error   k3s: two",
    ] == earlier.text.splitlines()
