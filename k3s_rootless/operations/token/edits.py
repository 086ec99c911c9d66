"""Replace a token in the files that set it, without any other change.

The token is replaced in the text, so that comments and layout stay. The file is parsed before and
after: a text in which anything else would change is refused before anything is written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from k3s_rootless import unit_file, user_file
from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import config_yaml, flags, token
from k3s_rootless.observation import Known
from k3s_rootless.operations.token.places import VARIABLES, Form, Place
from k3s_rootless.service.environment import assignments
from k3s_rootless.service.unit import seal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from k3s_rootless.user_file import UserFile

_END = r"(?![A-Za-z0-9_:~.%\\-])"
_LARGEST = 4 * 1024 * 1024
"""Bytes of a file that sets a token: a unit, a drop-in, or a configuration file."""
_BY_HAND = "remove the token there, and set `token-file` in K3s's configuration file instead"


@dataclass(frozen=True, slots=True)
class Edit:
    """The new content of one file."""

    file: UserFile
    content: bytes = field(repr=False)

    @property
    def path(self) -> Path:
        """The file."""
        return self.file.path


def plan(places: Iterable[Place], old: str, new: str, uid: int) -> tuple[Edit, ...]:
    """Return the edits that replace a token in all places that have it.

    `old` is the password of the token; a place with another token is left as it is. Raises
    RootlessError for a place that cannot be changed.
    """
    found: dict[Path, Edit] = {}
    for place in places:
        if token.password(place.text) != old:
            continue
        if place.path is None:
            name = VARIABLES[place.flag]
            raise RootlessError(
                f"cannot change {name} in the environment of the user manager: it is lost when the"
                " user manager exits, and K3s would not start then",
                hint=f"remove it there with: systemctl --user unset-environment {name}",
            )
        before = found.get(place.path)
        if before is None:
            file = user_file.read(place.path, uid, largest=_LARGEST, hint=_BY_HAND)
            before = Edit(file, file.content)
        text = before.content.decode("utf-8", "surrogateescape")
        changed = replaced(place, text, new)
        if changed is None:
            raise RootlessError(
                f"cannot replace the token in `{place}`: it is written in a form that k3s-rootless"
                " cannot change safely",
                hint=_BY_HAND,
            )
        found[place.path] = Edit(before.file, changed.encode("utf-8", "surrogateescape"))
    return tuple(found.values())


def perform(edits: Iterable[Edit]) -> None:
    """Write the files. Raises RootlessError."""
    for edit in edits:
        user_file.write(edit.file, edit.content)


def replaced(place: Place, text: str, new: str) -> str | None:
    """Return a text with a new token; None if nothing else must change, but would."""
    if place.form is Form.TOKEN_FILE:
        return f"{new}\n" if text.strip() == place.text else None
    pattern = re.compile(f"{_before(place)}{re.escape(place.text)}{_END}", re.MULTILINE)
    mark, body = _sealed(text)
    changed, count = pattern.subn(lambda found: f"{found[1]}{new}", body)
    if not count or _parsed(place, changed) != _expected(place, body, new):
        return None
    if mark:
        return seal.sealed(changed)
    return changed


def _before(place: Place) -> str:
    """Return the pattern of the text before the token."""
    short = "|t" if place.flag == "token" else ""
    names = f"(?:{re.escape(place.flag)}{short})"
    if place.form is Form.CONFIG_FILE:
        return rf"(^[ \t]*[\"']?{names}\+?[\"']?[ \t]*:[ \t]*[\"']?)"
    variable = rf"\b{VARIABLES[place.flag]}[ \t]*=[ \t]*[\"']?"
    if place.form is Form.ENVIRONMENT_FILE:
        return f"({variable})"
    return rf"({variable}|(?<![^\s\"'])--?{names}(?:=|[ \t]+)[\"']?)"


def _sealed(text: str) -> tuple[str, str]:
    """Return the mark of a file that k3s-rootless wrote, and the text after it."""
    if seal.author(text) is not seal.Author.OURS:
        return "", text
    mark, _, body = text.partition("\n")
    return mark, body


def _expected(place: Place, text: str, new: str) -> Any:  # noqa: ANN401 (nested tuples)
    """Return the values of a text in which each setting of this token is the new one."""
    return _values(place, text, lambda value: new if value == place.text else value)


def _parsed(place: Place, text: str) -> Any:  # noqa: ANN401 (nested tuples)
    return _values(place, text, lambda value: value)


def _values(place: Place, text: str, value: Any) -> Any:  # noqa: ANN401 (nested tuples)
    match place.form:
        case Form.CONFIG_FILE:
            return _of_config(place, text, value)
        case Form.ENVIRONMENT_FILE:
            return _of_variables(place, assignments.of_file(text), value)
        case _:
            return _of_unit(place, text, value)


def _of_config(place: Place, text: str, value: Any) -> Any:  # noqa: ANN401 (nested tuples)
    parsed = config_yaml.parse(text)
    if not isinstance(parsed, Known):
        return parsed
    return [
        (entry.key, [_of_flag(place, entry.key, item.text, value) for item in entry.items])
        for entry in parsed.value
    ]


def _of_unit(place: Place, text: str, value: Any) -> Any:  # noqa: ANN401 (nested tuples)
    environment = [
        line if line is None else _of_variables(place, line, value)
        for line in assignments.of_unit(text)
    ]
    commands = [
        [
            (name, _of_flag(place, name, given, value))
            for name, given in flags.words(unit_file.words(command) or ())
        ]
        for command in unit_file.values(text, "ExecStart")
    ]
    rest = [
        one for one in unit_file.assignments(text) if one.name not in {"Environment", "ExecStart"}
    ]
    return environment, commands, rest


def _of_variables(place: Place, values: Any, value: Any) -> Any:  # noqa: ANN401 (nested tuples)
    name = VARIABLES[place.flag]
    return {key: value(text) if key == name else text for key, text in values.items()}


def _of_flag(place: Place, name: str, text: str, value: Any) -> Any:  # noqa: ANN401
    known = flags.named(name)
    if known is None or known.name != place.flag:
        return text
    return value(text)
