"""What a bundle is made of, asked side by side: the unit, its files and environment, the journal,
and the secrets of K3s.
"""

from __future__ import annotations

import os
import pwd
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from k3s_rootless import background, command
from k3s_rootless.errors import RootlessError
from k3s_rootless.operations import server_settings
from k3s_rootless.operations.bundle import starts
from k3s_rootless.paths import UNIT

if TYPE_CHECKING:
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.support.facts import Begun, Names

T = TypeVar("T")
LOOK_SECONDS = 8.0
"""For what other parts wait for."""
_SHOW_SECONDS = 5.0
_CONFIG_FILE = re.compile(r"(?:--config[= ]|[ \t]-c[= ]|K3S_CONFIG_FILE=)(?P<path>\S{1,4096})")
_ENVIRONMENT_FILE = re.compile(
    r"^[ \t]*EnvironmentFile[ \t]*=[ \t]*-?(?P<path>/[^\n]+?)[ \t]*$", re.MULTILINE
)
_REGISTRIES = re.compile(r"--private-registry[= ](?P<path>\S{1,4096})")
_TOKEN_FILE = re.compile(r"--(?:agent-)?token-file[= ](?P<path>/\S+)")


@dataclass(frozen=True, slots=True)
class UnitFile:
    """One file of the unit; `text` is None where it cannot be read, and `problem` says why."""

    path: Path
    text: str | None
    problem: str = ""


class Sources:
    """The sources, all of them being asked from the beginning; each method waits for one, and
    raises RootlessError.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.begun = time.monotonic()
        self._state = background.begin(self._ask_state)
        self._starts = background.begin(partial(starts.last, context.uid))
        self._environment = background.begin(self._ask_environment)
        self._files = background.begin(self._ask_files)
        self._settings = background.begin(self._ask_settings)
        self._observed = background.begin(self._ask_observed)

    def state(self) -> UnitState:
        """Give the unit as the user manager has it."""
        return background.answer(self._state, self.begun + LOOK_SECONDS)

    def last_starts(self, deadline: float) -> tuple[Begun, ...]:
        """Give the last starts, the newest first."""
        return background.answer(self._starts, deadline)

    def manager_environment(self) -> dict[str, str]:
        """Give the environment that the user manager hands to its units."""
        return background.answer(self._environment, self.begun + LOOK_SECONDS)

    def files(self) -> tuple[UnitFile, ...]:
        """Give the unit file and its drop-ins."""
        return background.answer(self._files, self.begun + LOOK_SECONDS + 1)

    def observed(self, deadline: float) -> starts.Observed:
        """Give what the journal of the last start tells."""
        return background.answer(self._observed, deadline)

    def settings(self) -> Settings:
        """Return K3s's settings; without a user manager, or in time, what is left of them."""
        try:
            return background.answer(self._settings, self.begun + LOOK_SECONDS + 1)
        except RootlessError as error:
            return server_settings.of_unit_alone(
                self.context, _or_nothing(self._state_or_none, None), error.message
            )

    def secrets(self) -> tuple[set[str], tuple[str, ...]]:
        """Give all secrets that are known, and what of their files could not be read."""
        from k3s_rootless.support import secret_files
        from k3s_rootless.support.redaction import known_secrets

        files: tuple[UnitFile, ...] = _or_nothing(self.files, ())
        texts_of_unit = [one.text or "" for one in files]
        text = "\n".join(texts_of_unit)
        settings = self.settings()
        environment: dict[str, str] = _or_nothing(self.manager_environment, {})
        state = _or_nothing(self._state_or_none, None)
        unit = dict(state.environment or {}) if state else {}
        argv = state.argv if state else ()
        found = {
            *known_secrets.from_environment(environment),
            *known_secrets.from_environment(unit),
            *known_secrets.from_argv(argv),
        }
        found.update(known_secrets.from_environment(self.context.environ), declared(texts_of_unit))
        named = [*(unit.get(name, "") for name in ("K3S_TOKEN_FILE", "K3S_AGENT_TOKEN_FILE"))]
        named += [one["path"] for one in _TOKEN_FILE.finditer(" ".join(argv) + "\n" + text)]
        texts = [
            Path(one["path"].replace("%h", str(self.context.paths.home)))
            for one in _ENVIRONMENT_FILE.finditer(text)
        ]
        tokens = [Path(path) for path in named if path.startswith("/")]
        words = "\n".join(
            (" ".join(argv), *(f"{name}={value}" for name, value in unit.items()), text)
        )
        texts += self._named(_REGISTRIES, words)
        # Also a file that K3s does not read because K3S_CONFIG_FILE names another one.
        configurations = [
            *self._named(_CONFIG_FILE, words),
            *(file.path for file in settings.files if not file.missing),
        ]
        kept = secret_files.read(
            settings.data,
            settings.kubeconfig,
            tokens,
            texts,
            configurations,
            self.context.paths.root,
        )
        found.update(known_secrets.from_files(kept))
        return found, kept.problems

    def names(self) -> Names:
        """Give what tells whose host this is."""
        from k3s_rootless.support import host
        from k3s_rootless.support.facts import Names

        context = self.context
        account, root, name = pwd.getpwuid(context.uid), context.paths.root, os.uname().nodename
        homes = (account.pw_dir, os.path.realpath(context.paths.home))
        node = self.settings().node_name
        return Names(
            user=context.user,
            full_name=account.pw_gecos.partition(",")[0],
            host=name,
            home=str(context.paths.home),
            addresses=host.addresses(root),
            aliases=(*host.aliases(root, name), *([node] if node else [])),
            domains=host.domains(root),
            homes=homes,
            identifiers=host.machine_ids(root),
        )

    def _named(self, pattern: re.Pattern[str], words: str) -> list[Path]:
        """List the files that the command line, the environment or the text of the unit names; an
        address is no file.
        """
        home = str(self.context.paths.home)
        given = dict.fromkeys(
            one["path"].strip("\"'").replace("%h", home) for one in pattern.finditer(words)
        )
        return [Path(home, one) for one in given if one and "://" not in one]

    def _state_or_none(self) -> UnitState | None:
        return self.state()

    def _ask_state(self) -> UnitState:
        with self.context.manager() as manager:
            return manager.unit(UNIT)

    def _ask_environment(self) -> dict[str, str]:
        environ: Mapping[str, str] = {"XDG_RUNTIME_DIR": str(self.context.paths.runtime)} | dict(
            self.context.environ
        )
        shown = command.run(
            ["systemctl", "--user", "show-environment"], timeout=_SHOW_SECONDS, environ=environ
        )
        if shown.status != 0:
            raise RootlessError(
                f"cannot read the environment of the user manager: {shown.stderr.strip()[:300]}"
            )
        pairs = (line.partition("=") for line in shown.stdout.splitlines() if "=" in line)
        # Values that need it are quoted for a shell: `$'two\\nlines'`.
        return {name: value[2:-1] if value.startswith("$'") else value for name, _, value in pairs}

    def _ask_settings(self) -> Settings:
        state = _or_nothing(self._state_or_none, None)
        environment: dict[str, str] = _or_nothing(self.manager_environment, {})
        return server_settings.of(self.context, state, environment)

    def _ask_files(self) -> tuple[UnitFile, ...]:
        try:
            state = self.state()
            paths = [*([state.fragment] if state.fragment else []), *state.drop_ins]
        except RootlessError:
            places = (
                self.context.paths.user_units,
                self.context.paths.runtime / "systemd" / "user",
            )
            paths = [place / UNIT for place in places if (place / UNIT).exists()]
            paths += [
                path for place in places for path in sorted((place / f"{UNIT}.d").glob("*.conf"))
            ]
        return tuple(map(_unit_file, paths))

    def _ask_observed(self) -> starts.Observed:
        try:
            invocation = self.state().invocation
        except RootlessError:
            # Nobody can say which start was the last one: the journal's newest.
            found = self.last_starts(self.begun + LOOK_SECONDS)
            invocation = found[0].invocation if found else ""
        return starts.observe(self.context.uid, invocation)


def declared(texts: Iterable[str]) -> set[str]:
    """Return the secrets that the texts of a unit and its drop-ins hold, as they stand there and as
    systemd reads them.
    """
    from k3s_rootless import unit_file
    from k3s_rootless.service.environment import assignments
    from k3s_rootless.support.redaction import known_secrets

    found: set[str] = set()
    for text in texts:
        found.update(known_secrets.from_text(text))
        for line in assignments.of_unit(text):
            values = {name: value for name, value in (line or {}).items() if value is not None}
            found.update(known_secrets.from_environment(values))
        for command_line in unit_file.values(text, "ExecStart"):
            found.update(known_secrets.from_argv(unit_file.words(command_line) or ()))
    return found


def _or_nothing(ask: Callable[[], T], nothing: T) -> T:
    try:
        return ask()
    except RootlessError:
        return nothing


def _unit_file(path: Path) -> UnitFile:
    from k3s_rootless.service.act import apply

    try:
        text = apply.read(path)[0]
    except RootlessError as error:
        return UnitFile(path, None, error.message)
    return UnitFile(path, text, "" if text is not None else f"`{path}` is not there")
