"""Change a drop-in of containerd with the editor of the user; it is checked before it counts."""

from __future__ import annotations

import re
import shlex
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless import atomic, command, user_file
from k3s_rootless.errors import RootlessError, UsageError, WouldOverwrite
from k3s_rootless.linux import job
from k3s_rootless.node.containerd import files, forms
from k3s_rootless.node.containerd.facts import Role
from k3s_rootless.operations.consent import Ask
from k3s_rootless.operations.containerd import check
from k3s_rootless.operations.containerd import place as places
from k3s_rootless.operations.containerd.check import Problem

if TYPE_CHECKING:
    from k3s_rootless.node.containerd.facts import Form
    from k3s_rootless.operations.containerd.place import Place
    from k3s_rootless.operations.context import Context
    from k3s_rootless.user_file import UserFile

DEFAULT = "user"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_EDITORS = ("VISUAL", "EDITOR")
_FALLBACK = "vi"
_HEAD = """# Settings of containerd, in addition to those of K3s. Lines with # are comments.
# containerd reads this file after {rendered}
# See the settings in effect with: k3s-rootless containerd show
version = {version}

"""
_TEMPLATE_HEAD = """{base}

# Settings of containerd follow, in addition to those of K3s. They must not repeat a table above.
"""


@dataclass(frozen=True, slots=True)
class Edited:
    """The result: the file, whether it changed, and the problems that it still has."""

    path: Path
    problems: tuple[Problem, ...]
    validated: bool
    changed: bool = False
    removed: bool = False
    restart_needed: str = ""


def edit(context: Context, name: str, ask: Ask) -> Edited:
    """Open the drop-in in an editor, check it, and put it in place.

    Without drop-ins in the release of K3s, this is the template. Raises UsageError for a name that
    is none, RootlessError if the editor fails or the text stays wrong; the text is kept then.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"cannot edit `{name}`: it is not a name of a drop-in",
            hint="use letters, digits, `-`, `_` and `.`, for example: k3s-rootless containerd edit",
        )
    place = places.find(context)
    path, role, start = _target(place, name.removesuffix(".toml"))
    file = user_file.read(path, context.uid, largest=files.LARGEST)
    _require_text(file)
    return _edited(context, place, file, role, start, ask)


def _target(place: Place, name: str) -> tuple[Path, Role, str]:
    """Return the file to edit, its role, and the text of a new one."""
    form: Form = places.read(place).form
    if forms.has(forms.DROP_INS, place.release):
        head = _HEAD.format(rendered=place.directory / forms.RENDERED, version=form.version)
        return place.directory / form.drop_ins / f"{name}.toml", Role.DROP_IN, head
    if not forms.has(forms.BASE, place.release):
        raise RootlessError(
            f"cannot edit the settings of containerd: K3s {place.release} has neither drop-ins nor"
            " a template that can be extended",
            hint=f"upgrade K3s, or copy the whole template of K3s to {place.directory}",
        )
    head = _TEMPLATE_HEAD.format(base=forms.BASE_WORDS)
    return place.directory / form.template, Role.TEMPLATE, head


def _edited(
    context: Context, place: Place, file: UserFile, role: Role, start: str, ask: Ask
) -> Edited:
    before = file.content or start.encode()
    copy = _copy(file.path, before)
    try:
        problems = _until_good(context, place, file, role, copy, ask)
    except BaseException:
        if _content(copy) in {before, None}:
            _remove(copy)
        raise
    new = _content(copy) or b""
    validated = place.program is not None
    if new == before or (file.mode is None and not new.strip()):
        _remove(copy)
        return Edited(file.path, tuple(problems), validated=validated)
    removed = not new.strip()
    with context.locked():
        _put(context, file, new, copy, removed=removed)
    _remove(copy)
    restart = ""
    if place.state.running:
        action = "removed" if removed else "written"
        restart = f"the running containerd was started before `{file.path}` was {action}"
    return Edited(
        file.path,
        tuple(problems),
        changed=True,
        removed=removed,
        restart_needed=restart,
        validated=validated,
    )


def _until_good(
    context: Context, place: Place, file: UserFile, role: Role, copy: Path, ask: Ask
) -> list[Problem]:
    """Run the editor until the text has no fatal problem; return the other problems."""
    argv = (*_editor(context.environ), str(copy))
    while True:
        _run(argv, context.environ)
        candidate = files.file(copy)
        if candidate is None or not (candidate.text or candidate.problem).strip():
            return []
        if candidate.problem:
            raise RootlessError(f"cannot use `{copy}`: {candidate.problem}")
        problems = check.problems_of(context, place, candidate, role)
        fatal = [one for one in problems if one.fatal]
        if not fatal:
            return [Problem(file.path, one.row, one.text, one.fatal) for one in problems]
        _require_another_try(context, file, copy, fatal, ask)


def _require_another_try(
    context: Context, file: UserFile, copy: Path, fatal: Sequence[Problem], ask: Ask
) -> None:
    for one in fatal:
        context.notice(f"error: {_line(one)}{one.text}")
    if not ask("Edit the file again?"):
        raise RootlessError(
            f"cannot use the new text of `{file.path}`: {_line(fatal[0])}{fatal[0].text}",
            hint=f"nothing was changed; your text is kept in {copy}",
        )


def _editor(environ: Mapping[str, str]) -> Sequence[str]:
    for name in _EDITORS:
        try:
            words = shlex.split(environ.get(name, ""))
        except ValueError as error:
            raise RootlessError(
                f"cannot run the editor in {name}: {error}",
                hint=f"set another one, for example: export {name}=nano",
            ) from None
        if words:
            return words
    return (_FALLBACK,)


def _run(argv: Sequence[str], environ: Mapping[str, str]) -> None:
    run: Callable[[], None] = lambda: command.become(argv, environ)  # noqa: E731
    ended = job.run(run)
    if ended.status:
        raise RootlessError(
            f"cannot edit the settings of containerd: the editor `{argv[0]}` ended with status"
            f" {ended.status}",
            hint="nothing was changed; choose another editor, for example: export EDITOR=nano",
        )


def _put(context: Context, file: UserFile, new: bytes, copy: Path, *, removed: bool) -> None:
    """Replace the file, unless another program changed it meanwhile."""
    now = user_file.read(file.path, context.uid, largest=files.LARGEST)
    if now.content != file.content:
        raise WouldOverwrite(
            f"cannot write `{file.path}`: another program changed it meanwhile",
            hint=f"your text is kept in {copy}",
        )
    if not removed:
        user_file.write(file, new)
        return
    try:
        atomic.remove(file.resolved)
    except OSError as error:
        raise RootlessError(f"cannot remove `{file.path}`: {atomic.reason(error)}") from error


def _require_text(file: UserFile) -> None:
    try:
        file.content.decode("utf-8")
    except UnicodeDecodeError:
        raise RootlessError(f"cannot edit `{file.path}`: it is not UTF-8 text") from None


def _copy(path: Path, content: bytes) -> Path:
    """Return a private copy for the editor, which also keeps a text that is refused."""
    directory = Path(tempfile.mkdtemp(prefix="k3s-rootless-containerd-"))
    copy = directory / path.name
    copy.touch(0o600)
    copy.write_bytes(content)
    return copy


def _content(copy: Path) -> bytes | None:
    try:
        return copy.read_bytes()
    except OSError:
        return None


def _remove(copy: Path) -> None:
    # Editors can leave files and directories of their own beside it.
    shutil.rmtree(copy.parent, ignore_errors=True)


def _line(problem: Problem) -> str:
    if problem.row is None:
        return ""
    return f"line {problem.row}: "
