"""`k3s-rootless unit`: the unit and its drop-ins as they are, and as they would be written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from k3s_rootless.cli.options import json_option

if TYPE_CHECKING:
    from k3s_rootless.service.facts import FoundFile
    from k3s_rootless.support.redaction.redact import Redactor


@click.group("unit")
def command() -> None:
    """Show the unit and its drop-ins as systemd has them, and what would change."""


@command.command("show")
@json_option
def show(*, as_json: bool) -> None:
    """Show the unit and its drop-ins, and who wrote each.

    They come in the order in which they count, and without secrets.

    Exit codes: 0 shown, 3 there is no unit.
    """
    from k3s_rootless.cli.session import Session
    from k3s_rootless.operations import first_start, installation
    from k3s_rootless.operations.declared_secrets import declared
    from k3s_rootless.paths import UNIT
    from k3s_rootless.service.observe import files
    from k3s_rootless.support.redaction.redact import Redactor

    session = Session.begin("unit-show" if as_json else None)
    with session.manager() as manager:
        directory = first_start.unit_directory(manager, session.paths)
        state = manager.unit(UNIT)
    drop_ins = installation.drop_ins(directory, state)
    if not state.installed and not drop_ins:
        raise installation.absence(state)
    found = files.read(state.fragment or directory / UNIT)
    redactor = Redactor(declared(one.text or "" for one in (found, *drop_ins)))
    parts = []
    for one in (*([found] if found.text is not None else []), *drop_ins):
        loaded = one.path in {state.fragment, *state.drop_ins}
        text = redactor.unit(one.text or "")
        parts.append(_document(one, text, loaded=loaded))
        session.report.verbatim(f"# {one.path}\n# {_told(one, loaded=loaded)}\n{text}")
    if state.needs_reload:
        session.report.answer(
            "systemd has not read all of this yet; `k3s-rootless restart` lets it, and applies it"
        )
    document: dict[str, Any] = {"files": parts, "needs_reload": state.needs_reload, "errors": []}
    session.report.document(document)


@command.command("diff")
@json_option
def diff(*, as_json: bool) -> None:
    """Show how ours differ from what `up --force` would write, without secrets.

    Exit codes: 0 they are the same, 1 they differ.
    """
    from k3s_rootless.cli.session import Session
    from k3s_rootless.k3s.unit_path import unit_search
    from k3s_rootless.operations import first_start, installation
    from k3s_rootless.operations.declared_secrets import declared
    from k3s_rootless.preflight.probes import host
    from k3s_rootless.service.observe import files
    from k3s_rootless.service.unit import differences, seal
    from k3s_rootless.support.redaction.redact import Redactor

    session = Session.begin("unit-diff" if as_json else None)
    with session.manager() as manager:
        directory = first_start.unit_directory(manager, session.paths)
    k3s = host.k3s_binary(session.environ, unit_search(), session.paths.home)
    wanted, found = installation.desired(k3s, directory), []
    drop_ins = [(file, rendered.text) for file, rendered in installation.rebuilt(wanted)]
    compared = [(files.read(wanted.path), wanted.text), *drop_ins]
    redactor = Redactor(declared(text or "" for file, new in compared for text in (file.text, new)))
    for file, text in compared:
        lines = differences.between(file, text).split("\n")
        if told := _redacted(redactor, lines, (file.text or "", text or "")):
            whose = seal.author(file.text) if file.text is not None else None
            found.append(
                {"path": str(file.path), "author": whose and whose.name.lower(), "diff": told}
            )
            session.report.verbatim(told.rstrip("\n"))
    session.report.document({"differences": found, "errors": []})
    click.get_current_context().exit(1 if found else 0)


def _redacted(redactor: Redactor, lines: Sequence[str], texts: Iterable[str]) -> str:
    """Redact the lines of a diff: each as in its file, where a secret may continue in the next
    line.
    """
    from k3s_rootless.service.unit import differences

    instead: dict[str, str] = {}
    for text in texts:
        pairs = zip(text.split("\n"), redactor.unit_lines(text), strict=True)
        instead.update({differences.line_of(line): shown for line, shown in pairs if line != shown})
    return "\n".join(
        line[:1] + (instead[line[1:]] if line[1:] in instead else redactor.line(line[1:]))
        for line in lines
    )


def _document(found: FoundFile, text: str, *, loaded: bool) -> dict[str, Any]:
    from k3s_rootless.service.unit.seal import author

    return {
        "path": str(found.path),
        "author": author(found.text).name.lower() if found.text is not None else None,
        "link": found.link,
        "loaded": loaded,
        "text": text if found.text is not None else None,
        "problem": found.problem or None,
    }


def _told(found: FoundFile, *, loaded: bool) -> str:
    from k3s_rootless.service.unit.seal import author

    words = (
        [author(found.text).value] if found.text is not None else [found.problem or "it is gone"]
    )
    words += ["a link"] if found.link else []
    return ", ".join((*words, *([] if loaded else ["not read by systemd yet"])))
