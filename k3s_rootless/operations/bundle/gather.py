"""Gathers a bundle: each part from its own source, within its own time, and all of it through one
redactor.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from k3s_rootless import __version__, background, command
from k3s_rootless.errors import RootlessError
from k3s_rootless.operations.bundle import parts as bundle_parts
from k3s_rootless.operations.bundle import starts
from k3s_rootless.operations.bundle.sources import Sources
from k3s_rootless.printable import json_text
from k3s_rootless.printable import printable_lines as safe
from k3s_rootless.support import archive, page
from k3s_rootless.support.facts import Begun, Item, Missing
from k3s_rootless.support.redaction.redact import Redactor

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context

PART_SECONDS = 12.0
PAGE_SECONDS = 10.0
LONGEST_LINE = 8192


@dataclass(frozen=True, slots=True)
class Bundle:
    """What was gathered: the files, the manifest and the page included, and what could not be
    read.
    """

    folder: str
    made: datetime
    items: tuple[Item, ...]
    missing: tuple[Missing, ...]
    about: Mapping[str, Any]


def gather(context: Context, *, anonymous: bool) -> Bundle:
    """Gather and redact everything; takes at most about 20 s, fails for no part, and leaves no
    program behind.
    """
    try:
        return _gathered(context, anonymous=anonymous)
    finally:
        command.end_all()


def _gathered(context: Context, *, anonymous: bool) -> Bundle:
    made = datetime.now(UTC).replace(microsecond=0)
    sources = Sources(context)
    deadline = sources.begun + PART_SECONDS
    asked = {
        name: (what, background.begin(ask))
        for name, (what, ask) in bundle_parts.all_of(sources, deadline).items()
    }
    redactor, note = _redactor(sources, anonymous=anonymous)
    items, documents = [], {}
    for name, (what, future) in asked.items():
        problem = ""
        try:
            document: Mapping[str, Any] = background.answer(future, deadline)
            if name == "status":
                problem = "; ".join(
                    f"{one['part']}: {one['reason']}" for one in document["unknown"]
                )
        except RootlessError as error:
            problem = error.message
            document = {"errors": [error.document()]}
        documents[name] = redactor.document(
            {"schema": f"k3s-rootless/{name}/v1", "errors": [], **document}
        )
        items.append(Item(f"{name}.json", what, _json(documents[name]), redactor.text(problem)))
    texts, missing = _unit(sources, redactor)
    begun, absent = _starts(sources, redactor, deadline)
    missing += absent
    items += texts
    items += [_journal(number, one) for number, one in enumerate(begun, 1)]
    about = {
        "made": made.isoformat(),
        "version": __version__,
        "anonymous": anonymous,
        "secrets_note": redactor.text(note),
        "redacted": dict(sorted(redactor.counts.items())),
        "redacted_total": redactor.counts.total(),
    }
    shown = page.Content(documents, begun, texts[0].text if texts else "", items, missing, about)
    items, missing = _with_page(items, missing, shown)
    items.append(archive.manifest(items, missing, about))
    return Bundle(
        f"{archive.NAME}-{made:%Y%m%dT%H%M%SZ}", made, tuple(items), tuple(missing), about
    )


def _with_page(
    items: list[Item], missing: list[Missing], shown: page.Content
) -> tuple[list[Item], list[Missing]]:
    what = "all of it on one page: open this first"
    try:
        text = background.answer(
            background.begin(partial(page.render, shown)), time.monotonic() + PAGE_SECONDS
        )
    except RootlessError as error:
        return items, [*missing, Missing("index.html", what, error.message)]
    return [Item("index.html", what, text), *items], missing


def _redactor(sources: Sources, *, anonymous: bool) -> tuple[Redactor, str]:
    names = sources.names() if anonymous else None
    try:
        known, problems = background.answer(
            background.begin(sources.secrets), sources.begun + PART_SECONDS
        )
    except RootlessError as error:
        return (
            Redactor((), names),
            (
                f"The secrets of K3s could not be read ({error.message}): they were searched by"
                " form and name only."
            ),
        )
    note = (
        f"Not read, so searched by form and name only: {'; '.join(problems)}." if problems else ""
    )
    return Redactor(known, names), note


def _unit(sources: Sources, redactor: Redactor) -> tuple[list[Item], list[Missing]]:
    what = "the unit and its drop-ins, as `systemctl --user cat` shows them"
    try:
        files = sources.files()
    except RootlessError as error:
        return [], [Missing("unit.txt", what, redactor.text(error.message))]
    if not files:
        return [], [
            Missing("unit.txt", what, "there is no unit: K3s is not installed for this user")
        ]
    parts = [
        safe(f"# {redactor.text(str(one.path))}\n{redactor.unit(one.text or '')}") for one in files
    ]
    problem = "; ".join(one.problem for one in files if one.problem)
    return [Item("unit.txt", what, "\n".join(parts), redactor.text(problem))], []


def _starts(
    sources: Sources, redactor: Redactor, deadline: float
) -> tuple[list[Begun], list[Missing]]:
    try:
        found = sources.last_starts(deadline)
    except RootlessError as error:
        return [], [
            Missing("journal/", "what K3s said in its last starts", redactor.text(error.message))
        ]
    return [_redacted(one, redactor) for one in found], []


def _redacted(begun: Begun, redactor: Redactor) -> Begun:
    # Cleaned after it was redacted: the redactor knows secrets that escape sequences stand in.
    sources = {
        source: safe(redactor.line(source)) for source in {line.source for line in begun.lines}
    }
    texts = redactor.lines(line.text for line in begun.lines)
    pairs = zip(begun.lines, texts, strict=True)
    return replace(
        begun,
        lines=tuple(
            replace(line, source=sources[line.source], text=safe(_cut(line.text, text)))
            for line, text in pairs
        ),
    )


def _cut(text: str, redacted: str) -> str:
    if len(text) == starts.LONGEST_LINE:
        # It was cut off before it was redacted, perhaps in the middle of a secret: the end of it is
        # not to be trusted.
        redacted = redacted[: max(0, len(redacted) - LONGEST_LINE)]
    return redacted if len(redacted) <= LONGEST_LINE else f"{redacted[:LONGEST_LINE]}… (cut)"


def _journal(number: int, begun: Begun) -> Item:
    what = (
        "what K3s said in its last start"
        if number == 1
        else f"what K3s said {number - 1} start(s) before the last"
    )
    lines = [
        f"{line.time.isoformat(timespec='microseconds') if line.time else '-'} {line.level:<7}"
        f" {line.source}: {line.text}\n"
        for line in begun.lines
    ]
    head = f"# start {begun.invocation or 'of unknown invocation'}, times are UTC"
    older = "; older lines had no room" if begun.cut else ""
    return Item(f"journal/start-{number}.txt", what, f"{head}{older}\n{''.join(lines)}")


def _json(document: Mapping[str, Any]) -> str:
    return json_text(json.dumps(document, indent=2, ensure_ascii=False, default=str)) + "\n"
