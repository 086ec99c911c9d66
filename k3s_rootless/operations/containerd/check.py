"""Check the files of containerd before K3s starts, and what containerd wrote to its log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.errors import CommandFailed
from k3s_rootless.node.containerd import forms, settings, validation
from k3s_rootless.node.containerd.facts import File, Message, Part, Role
from k3s_rootless.operations.containerd import own_log
from k3s_rootless.operations.containerd import place as places

if TYPE_CHECKING:
    from k3s_rootless.operations.containerd.place import Files, Place
    from k3s_rootless.operations.context import Context

_OLD_PLUGIN = "io.containerd.grpc.v1.cri"
_OLD_TABLE = re.compile(
    r"^\s*\[\s*plugins\s*\.\s*[\"']io\.containerd\.grpc\.v1\.cri[\"']\s*\.", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem in a file; `fatal` if containerd, and K3s with it, or all pods fail."""

    path: Path
    row: int | None
    text: str
    fatal: bool


@dataclass(frozen=True, slots=True)
class Checked:
    """The result: which files count, the problems, what is unknown, and lines of the log."""

    directory: Path
    parts: tuple[Part, ...]
    problems: tuple[Problem, ...]
    unknown: tuple[str, ...]
    log: Path
    lines: tuple[str, ...]
    validated: bool

    @property
    def good(self) -> bool:
        """Whether there is no problem in the files, and none in the log of this start."""
        return not self.problems and not self.lines


def check(context: Context) -> Checked:
    """Check the files. Raises RootlessError."""
    place = places.find(context)
    files = places.read(place)
    unknown: list[str] = []
    problems = [*_of_texts(files), *_of_containerd(context, files, unknown)]
    unknown += _of_templates(files)
    return Checked(
        place.directory,
        files.parts,
        tuple(dict.fromkeys(problems)),
        tuple(unknown),
        place.log,
        own_log.failures(files),
        place.program is not None,
    )


def problems_of(context: Context, place: Place, file: File, role: Role) -> list[Problem]:
    """Return the problems of one file: a new drop-in, or a new template."""
    files = places.read(place)
    found = list(_of_text(file, role, files))
    if role is Role.TEMPLATE:
        return [*found, *_of_own_lines(context, place, file, files.form.version)]
    return [*found, *_of_drop_in(context, place, file, files.form.version)]


def _of_texts(files: Files) -> Iterator[Problem]:
    for part in files.parts:
        if part.file.problem:
            text = f"it cannot be read: {part.file.problem}"
            yield Problem(part.file.path, None, text, fatal=part.read)
            continue
        if part.role is not Role.RENDERED and not part.read:
            yield Problem(part.file.path, None, f"it is not read: {part.reason}", fatal=False)
        if part.read:
            yield from _of_text(part.file, part.role, files)


def _of_text(file: File, role: Role, files: Files) -> Iterator[Problem]:
    text = file.text or ""
    if settings.uses_systemd(file):
        reason = (
            f"{settings.CGROUP} is true: pods cannot start, because runc reaches no systemd in the"
            " namespaces of K3s; remove the line"
        )
        yield Problem(file.path, _row(text, settings.CGROUP), reason, fatal=True)
    if role is Role.RENDERED:
        return
    old = _OLD_TABLE.search(text)
    if files.form.version > forms.SECOND.version and old is not None:
        reason = (
            f"tables below {_OLD_PLUGIN} are those of version 2; containerd reads the settings of"
            " images in io.containerd.cri.v1.images, and those of runtimes in"
            " io.containerd.cri.v1.runtime"
        )
        yield Problem(file.path, text.count("\n", 0, old.start()) + 1, reason, fatal=False)
    if role is Role.TEMPLATE:
        yield from _of_template(file, text, files.place)


def _of_template(file: File, text: str, place: Place) -> Iterator[Problem]:
    if forms.includes_base(text) and not forms.has(forms.BASE, place.release):
        firsts = ", ".join(map(str, forms.BASE.firsts))
        reason = f"K3s {place.release} has no template `base`; the first are {firsts}"
        yield Problem(file.path, _row(text, "base"), reason, fatal=True)
    if text.count("{{") != text.count("}}"):
        yield Problem(file.path, None, "the numbers of `{{` and `}}` differ", fatal=True)


def _of_templates(files: Files) -> Iterator[str]:
    for part in files.parts:
        if part.role is Role.TEMPLATE and part.read:
            yield (
                f"{part.file.path}: it is a Go template, which only K3s can render; its lines"
                " without `{{` are checked, and the rendered configuration after the next start"
            )


def _of_containerd(context: Context, files: Files, unknown: list[str]) -> Iterator[Problem]:
    place = files.place
    if place.program is None:
        unknown.append(
            "K3s has not unpacked its containerd yet, so only the TOML syntax is checked"
        )
    found = [
        problem
        for part in files.parts
        if part.read and part.file.text is not None
        for problem in _of_own_file(context, place, part, files.form.version)
    ]
    yield from found
    rendered = files.found.rendered
    if rendered is None or rendered.text is None:
        return
    # The rendered configuration imports the drop-ins, and fails for the same reasons.
    known = {one.text for one in found}
    for one in _of_rendered(context, place, rendered):
        if one.text not in known:
            yield one


def _of_own_file(context: Context, place: Place, part: Part, version: int) -> Iterator[Problem]:
    if part.role is Role.DROP_IN:
        yield from _of_drop_in(context, place, part.file, version)
    if part.role is Role.TEMPLATE:
        yield from _of_own_lines(context, place, part.file, version)


def _of_rendered(context: Context, place: Place, file: File) -> Iterator[Problem]:
    if place.program is None:
        yield from _of_toml(file)
        return
    try:
        found = validation.of_file(place.program, file.path, context.environ)
    except CommandFailed as error:
        yield Problem(file.path, None, f"it cannot be validated: {error.message}", fatal=False)
        return
    yield from (_problem(one, file.path) for one in found)


def _of_drop_in(context: Context, place: Place, file: File, version: int) -> Iterator[Problem]:
    if place.program is None:
        yield from _of_toml(file)
        return
    try:
        found = validation.of_drop_in(place.program, file.path, version, context.environ)
    except (CommandFailed, OSError) as error:
        yield Problem(file.path, None, f"it cannot be validated: {error}", fatal=False)
        return
    yield from (_problem(one, file.path) for one in found)


def _of_own_lines(context: Context, place: Place, file: File, version: int) -> Iterator[Problem]:
    """Check the lines of a template beside K3s's own one, if they are no template themselves."""
    text = forms.without_base(file.text or "")
    if "{{" in text or not forms.includes_base(file.text or ""):
        return
    try:
        found = validation.of_text(place.program, text, version, context.environ)
    except (CommandFailed, OSError) as error:
        yield Problem(file.path, None, f"it cannot be validated: {error}", fatal=False)
        return
    yield from (Problem(file.path, one.row, one.text, one.fatal) for one in found)


def _of_toml(file: File) -> Iterator[Problem]:
    for one in validation.of_toml(file.text or ""):
        yield _problem(one, file.path)


def _problem(message: Message, path: Path) -> Problem:
    return Problem(message.path or path, message.row, message.text, message.fatal)


def _row(text: str, word: str) -> int | None:
    for number, line in enumerate(text.splitlines(), 1):
        if word in line:
            return number
    return None
