"""Gather a bundle: each part within its time limit, and all of it redacted."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from k3s_rootless import __version__, background, command, schemas
from k3s_rootless.errors import RootlessError
from k3s_rootless.operations.bundle import known, parts, texts
from k3s_rootless.operations.bundle.parts import Part
from k3s_rootless.operations.bundle.sources import Sources
from k3s_rootless.printable import json_text
from k3s_rootless.support import archive, page
from k3s_rootless.support.facts import Item, LoggedStart, Missing
from k3s_rootless.support.redaction.redact import Redactor

if TYPE_CHECKING:
    from k3s_rootless.background import BackgroundQuery
    from k3s_rootless.operations.context import Context

PART_SECONDS = 12.0
PAGE_SECONDS = 10.0
_PAGE = "all parts on one page; open this file first"


@dataclass(frozen=True, slots=True)
class Bundle:
    """The gathered files, including the manifest and the page, and what could not be read."""

    folder: str
    made: datetime
    items: tuple[Item, ...]
    missing: tuple[Missing, ...]
    about: Mapping[str, Any]


def gather(context: Context, *, anonymous: bool) -> Bundle:
    """Gather and redact everything in at most about 20 s.

    A part that fails does not fail the bundle, and all child processes are ended.
    """
    try:
        return _gathered(context, anonymous=anonymous)
    finally:
        command.end_all()


def _gathered(context: Context, *, anonymous: bool) -> Bundle:
    made = datetime.now(UTC).replace(microsecond=0)
    sources = Sources(context)
    deadline = sources.begun + PART_SECONDS
    queries = [(part, background.begin(part.read)) for part in parts.every_part(sources, deadline)]
    redactor, note = _redactor(sources, anonymous=anonymous)
    items: list[Item] = []
    missing: list[Missing] = []
    documents: dict[str, Mapping[str, Any]] = {}
    for part, query in queries:
        document, problem = _document(part, query, deadline)
        documents[part.name] = redactor.document(document)
        text = _json(documents[part.name])
        items.append(Item(f"{part.name}.json", part.what, text, redactor.text(problem)))
    unit = _unit(sources, redactor)
    if isinstance(unit, Missing):
        missing.append(unit)
    else:
        items.append(unit)
    starts = _starts(sources, redactor, deadline)
    if isinstance(starts, Missing):
        missing.append(starts)
        starts = ()
    items += [texts.journal(number, one) for number, one in enumerate(starts, 1)]
    log = _log_file(sources, redactor, deadline)
    if isinstance(log, Missing):
        missing.append(log)
    elif log is not None:
        items.append(log)
    about = {
        "made": made.isoformat(),
        "version": __version__,
        "anonymous": anonymous,
        "secrets_note": redactor.text(note),
        "redacted": dict(sorted(redactor.counts.items())),
        "redacted_total": redactor.counts.total(),
    }
    unit_text = unit.text if isinstance(unit, Item) else ""
    shown = _page(page.Content(documents, starts, unit_text, items, missing, about))
    if isinstance(shown, Missing):
        missing.append(shown)
    else:
        items.insert(0, shown)
    items.append(archive.manifest(items, missing, about))
    folder = f"{archive.NAME}-{made:%Y%m%dT%H%M%SZ}"
    return Bundle(folder, made, tuple(items), tuple(missing), about)


def _redactor(sources: Sources, *, anonymous: bool) -> tuple[Redactor, str]:
    """Return the redactor, and a note about the secrets that it does not know."""
    names = known.names(sources) if anonymous else None
    try:
        reading = background.begin(partial(known.secrets, sources))
        secrets, problems = background.answer(reading, sources.begun + PART_SECONDS)
    except RootlessError as error:
        note = (
            f"The secrets of K3s could not be read ({error.message}), so secrets were found by form"
            " and name only."
        )
        return Redactor((), names), note
    note = ""
    if problems:
        note = (
            "Some files with secrets could not be read, so these secrets were found by form and"
            f" name only: {'; '.join(problems)}."
        )
    return Redactor(secrets, names), note


def _document(
    part: Part, query: BackgroundQuery[Mapping[str, Any]], deadline: float
) -> tuple[dict[str, Any], str]:
    """Return the document of a part, and what could not be read."""
    problem = ""
    try:
        document = background.answer(query, deadline)
    except RootlessError as error:
        problem = error.message
        document = {"errors": [error.document()]}
    else:
        if part.name == "status":
            unknown = (f"{one['part']}: {one['reason']}" for one in document["unknown"])
            problem = "; ".join(unknown)
    return {"schema": schemas.name(part.name), "errors": [], **document}, problem


def _unit(sources: Sources, redactor: Redactor) -> Item | Missing:
    try:
        files = sources.files()
    except RootlessError as error:
        return Missing(texts.UNIT_FILE, texts.UNIT, redactor.text(error.message))
    if not files:
        reason = "there is no unit, because K3s is not installed for this user"
        return Missing(texts.UNIT_FILE, texts.UNIT, reason)
    return texts.unit(files, redactor)


def _starts(
    sources: Sources, redactor: Redactor, deadline: float
) -> tuple[LoggedStart, ...] | Missing:
    try:
        found = sources.last_starts(deadline)
    except RootlessError as error:
        return Missing(texts.JOURNAL, texts.STARTS, redactor.text(error.message))
    return tuple(texts.redacted(one, redactor) for one in found)


def _log_file(sources: Sources, redactor: Redactor, deadline: float) -> Item | Missing | None:
    try:
        found = sources.log_file(deadline)
    except RootlessError as error:
        return Missing(texts.LOG_FILE, texts.LOG, redactor.text(error.message))
    if found is None:
        return None
    return texts.log_file(texts.redacted(found, redactor))


def _page(content: page.Content) -> Item | Missing:
    rendering = background.begin(partial(page.render, content))
    try:
        text = background.answer(rendering, time.monotonic() + PAGE_SECONDS)
    except RootlessError as error:
        return Missing("index.html", _PAGE, error.message)
    return Item("index.html", _PAGE, text)


def _json(document: Mapping[str, Any]) -> str:
    return json_text(json.dumps(document, indent=2, ensure_ascii=False, default=str)) + "\n"
