"""Show the unit and its drop-ins without secrets, and how they differ from what `up` writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from k3s_rootless.operations import first_start, installation, k3s_search, renewal
from k3s_rootless.operations.declared_secrets import declared
from k3s_rootless.paths import UNIT
from k3s_rootless.service.observe import files
from k3s_rootless.service.unit import differences
from k3s_rootless.service.unit.seal import Author, author
from k3s_rootless.support.redaction.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import FoundFile


@dataclass(frozen=True, slots=True)
class File:
    """One file of the unit, with secrets removed; `text` is None if the file cannot be read.

    `loaded` is True if systemd has read the file.
    """

    path: Path
    text: str | None
    author: Author | None
    link: bool
    loaded: bool
    problem: str


@dataclass(frozen=True, slots=True)
class Shown:
    """The files of the unit, in the order in which systemd applies them."""

    files: tuple[File, ...]
    needs_reload: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference between a file and its expected text, as a unified diff without secrets."""

    path: Path
    author: Author | None
    diff: str


def show(context: Context) -> Shown:
    """Read the unit and its drop-ins. Raises NotRunning if there are none, RootlessError."""
    with context.manager() as manager:
        directory = first_start.unit_directory(manager, context.paths)
        state = manager.unit(UNIT)
    drop_ins = installation.drop_ins(directory, state)
    if not state.installed and not drop_ins:
        raise installation.absence(state)
    unit = files.read(state.fragment or directory / UNIT)
    redactor = Redactor(declared(one.text or "" for one in (unit, *drop_ins)))
    found = drop_ins
    if unit.text is not None:
        found = (unit, *drop_ins)
    loaded = {state.fragment, *state.drop_ins}
    shown = tuple(_file(one, redactor, loaded=one.path in loaded) for one in found)
    return Shown(shown, state.needs_reload)


def diff(context: Context) -> tuple[Difference, ...]:
    """Compare our files with the files that `up --force` would write. Raises RootlessError."""
    with context.manager() as manager:
        directory = first_start.unit_directory(manager, context.paths)
    k3s = k3s_search.found(context)
    desired = installation.desired(k3s, directory)
    compared: list[tuple[FoundFile, str | None]] = [(files.read(desired.path), desired.text)]
    compared += [(file, rendered.text) for file, rendered in renewal.rebuilt(desired)]
    texts = (text or "" for file, new in compared for text in (file.text, new))
    redactor = Redactor(declared(texts))
    found = []
    for file, new in compared:
        lines = differences.between(file, new).split("\n")
        shown = _redacted(redactor, lines, (file.text or "", new or ""))
        if shown:
            found.append(Difference(file.path, _author(file), shown))
    return tuple(found)


def show_document(shown: Shown) -> dict[str, Any]:
    """Return the JSON form of the result of `show`."""
    return {
        "files": [
            {
                "path": str(one.path),
                "author": _name(one.author),
                "link": one.link,
                "loaded": one.loaded,
                "text": one.text,
                "problem": one.problem or None,
            }
            for one in shown.files
        ],
        "needs_reload": shown.needs_reload,
        "errors": [],
    }


def diff_document(found: Iterable[Difference]) -> dict[str, Any]:
    """Return the JSON form of the result of `diff`."""
    differing = [
        {"path": str(one.path), "author": _name(one.author), "diff": one.diff} for one in found
    ]
    return {"differences": differing, "errors": []}


def _file(found: FoundFile, redactor: Redactor, *, loaded: bool) -> File:
    text = None
    if found.text is not None:
        text = redactor.unit(found.text)
    return File(found.path, text, _author(found), found.link, loaded, found.problem)


def _author(found: FoundFile) -> Author | None:
    if found.text is None:
        return None
    return author(found.text)


def _name(one: Author | None) -> str | None:
    return None if one is None else one.name.lower()


def _redacted(redactor: Redactor, lines: Sequence[str], texts: Iterable[str]) -> str:
    """Redact the lines of a diff.

    Each line is redacted as in its file, because a secret can continue on the next line.
    """
    redacted: dict[str, str] = {}
    for text in texts:
        pairs = zip(text.split("\n"), redactor.unit_lines(text), strict=True)
        redacted.update({differences.line_of(line): new for line, new in pairs if line != new})
    return "\n".join(_redacted_line(redactor, line, redacted) for line in lines)


def _redacted_line(redactor: Redactor, line: str, redacted: Mapping[str, str]) -> str:
    mark, text = line[:1], line[1:]
    if text in redacted:
        return mark + redacted[text]
    return mark + redactor.line(text)
