"""Find every place where a token of K3s is set: configuration files, the unit, its environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from k3s_rootless import unit_file
from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import flags
from k3s_rootless.observation import Known
from k3s_rootless.operations import unit_environment
from k3s_rootless.service.environment import assignments
from k3s_rootless.service.observe import files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.service.facts import UnitState

SERVER = "token"
AGENT = "agent-token"
VARIABLES = {SERVER: "K3S_TOKEN", AGENT: "K3S_AGENT_TOKEN"}


class Form(Enum):
    """The syntax of a place; the value is the name of the place in messages."""

    CONFIG_FILE = "configuration file"
    UNIT = "unit"
    ENVIRONMENT_FILE = "environment file"
    TOKEN_FILE = "token file"  # noqa: S105 (a description)
    MANAGER = "environment of the user manager"


@dataclass(frozen=True, slots=True)
class Place:
    """One place that sets a token.

    `flag` is the flag of K3s that it sets, and `text` the token as it is written. `line` is the
    line in a configuration file. `path` is None for the environment of the user manager.
    """

    flag: str
    form: Form
    path: Path | None
    text: str = field(repr=False)
    line: int = 0

    def __str__(self) -> str:
        if self.path is None:
            return f"{self.form.value} ({VARIABLES[self.flag]})"
        if self.line:
            return f"{self.path}:{self.line}"
        return str(self.path)


def find(
    state: UnitState, settings: Settings, manager: Mapping[str, str], flag: str
) -> tuple[Place, ...]:
    """Return the places that set a token for the next start of K3s, also those without effect.

    `settings` are those of the next start. Raises RootlessError if a token file cannot be read.
    """
    found = (
        *_of_token_file(settings, flag),
        *_of_unit(state, flag),
        *_of_config_files(settings, flag),
        *_of_environment(state, manager, flag),
    )
    return tuple(dict.fromkeys(found))


def in_effect(settings: Settings, flag: str) -> str:
    """Return the token that the next start of K3s uses; empty if none is set.

    A token file overrides the token (K3s pkg/cli/server, v1.21 to v1.36). Raises RootlessError if
    the file cannot be read.
    """
    of_file = next((one.text for one in _of_token_file(settings, flag)), "")
    return of_file or settings.value(flag).text


def _of_token_file(settings: Settings, flag: str) -> Iterator[Place]:
    named = settings.value(f"{flag}-file").text
    if not named:
        return
    path = settings.directory / named
    found = files.or_problem(path)
    if found.text is None:
        reason = found.problem or f"`{path}` does not exist"
        raise RootlessError(
            f"cannot read the token file: {reason}",
            hint=f"the setting `{flag}-file` names it, and K3s does not start without it",
        )
    yield Place(flag, Form.TOKEN_FILE, path, found.text.strip())


def _of_config_files(settings: Settings, flag: str) -> Iterator[Place]:
    for file in settings.files:
        if not isinstance(file.entries, Known):
            continue
        for entry in file.entries.value:
            known = flags.named(entry.key)
            if known is None or known.name != flag:
                continue
            for item in entry.items:
                if not item.null:
                    yield Place(flag, Form.CONFIG_FILE, file.path, item.text, item.line)


def _of_unit(state: UnitState, flag: str) -> Iterator[Place]:
    for file in unit_environment.texts(state):
        text = file.text or ""
        for line in assignments.of_unit(text):
            value = (line or {}).get(VARIABLES[flag])
            if value:
                yield Place(flag, Form.UNIT, file.path, value)
        for command in unit_file.values(text, "ExecStart"):
            for name, value in flags.words(unit_file.words(command) or ()):
                known = flags.named(name)
                if known is not None and known.name == flag:
                    yield Place(flag, Form.UNIT, file.path, value)


def _of_environment(state: UnitState, manager: Mapping[str, str], flag: str) -> Iterator[Place]:
    name = VARIABLES[flag]
    if manager.get(name):
        yield Place(flag, Form.MANAGER, None, manager[name])
    for one in unit_environment.sources(manager, state).environment_files:
        if isinstance(one.values, Known) and one.values.value.get(name):
            yield Place(flag, Form.ENVIRONMENT_FILE, one.path, one.values.value[name])
