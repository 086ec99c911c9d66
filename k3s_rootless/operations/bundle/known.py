"""Find what the redactor must know: the secrets of K3s, and the names of the user and the host."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.operations.bundle.sources import UnitFile, or_default
from k3s_rootless.operations.declared_secrets import declared
from k3s_rootless.operations.token import record as replaced_tokens
from k3s_rootless.support import host, secret_files
from k3s_rootless.support.facts import Names
from k3s_rootless.support.redaction import known_secrets

if TYPE_CHECKING:
    from k3s_rootless.operations.bundle.sources import Sources
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.support.facts import SecretFiles

_CONFIG_FILE = re.compile(r"(?:--config[= ]|[ \t]-c[= ]|K3S_CONFIG_FILE=)(?P<path>\S{1,4096})")
_ENVIRONMENT_FILE = re.compile(
    r"^[ \t]*EnvironmentFile[ \t]*=[ \t]*-?(?P<path>/[^\n]+?)[ \t]*$", re.MULTILINE
)
_REGISTRIES = re.compile(r"--private-registry[= ](?P<path>\S{1,4096})")
_TOKEN_FILE = re.compile(r"--(?:agent-)?token-file[= ](?P<path>/\S+)")
_TOKEN_VARIABLES = ("K3S_TOKEN_FILE", "K3S_AGENT_TOKEN_FILE")


@dataclass(frozen=True, slots=True)
class _Unit:
    """The text of the unit's files, and what systemd loaded from them."""

    texts: tuple[str, ...]
    argv: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = None

    @property
    def text(self) -> str:
        return "\n".join(self.texts)

    @property
    def command(self) -> str:
        return " ".join(self.argv)

    @property
    def references(self) -> str:
        """All texts in which the unit can name a file."""
        variables = (f"{name}={value}" for name, value in (self.environment or {}).items())
        return "\n".join((self.command, *variables, self.text))


def secrets(sources: Sources) -> tuple[set[str], tuple[str, ...]]:
    """Return all known secrets, and which of their files could not be read."""
    unit = _unit(sources)
    environment: dict[str, str] = or_default(sources.manager_environment, {})
    found = declared(unit.texts)
    found.update(known_secrets.from_environment(environment))
    found.update(known_secrets.from_environment(unit.environment or {}))
    found.update(known_secrets.from_environment(sources.context.environ))
    found.update(known_secrets.from_argv(unit.argv))
    found.update(replaced_tokens.secrets(sources.context.paths))
    kept = _files(sources, unit)
    found.update(known_secrets.from_files(kept))
    return found, kept.problems


def names(sources: Sources) -> Names:
    """Return the names that identify the user and the host."""
    context = sources.context
    root = context.paths.root
    account = pwd.getpwuid(context.uid)
    name = os.uname().nodename
    node = sources.settings().node_name
    aliases = host.aliases(root, name)
    if node:
        aliases = (*aliases, node)
    return Names(
        user=context.user,
        full_name=account.pw_gecos.partition(",")[0],
        host=name,
        home=str(context.paths.home),
        addresses=host.addresses(root),
        aliases=aliases,
        domains=host.domains(root),
        homes=(account.pw_dir, os.path.realpath(context.paths.home)),
        identifiers=host.machine_ids(root),
    )


def _unit(sources: Sources) -> _Unit:
    files: tuple[UnitFile, ...] = or_default(sources.files, ())
    texts = tuple(one.text or "" for one in files)
    state: UnitState | None = or_default(sources.state, None)
    if state is None:
        return _Unit(texts)
    return _Unit(texts, state.argv, state.environment)


def _files(sources: Sources, unit: _Unit) -> SecretFiles:
    paths = sources.context.paths
    settings = sources.settings()
    named = [(unit.environment or {}).get(variable, "") for variable in _TOKEN_VARIABLES]
    named += _found(_TOKEN_FILE, f"{unit.command}\n{unit.text}")
    environment_files = [
        path.replace("%h", str(paths.home)) for path in _found(_ENVIRONMENT_FILE, unit.text)
    ]
    # This includes a file that K3s does not read because K3S_CONFIG_FILE names another one.
    configurations = _named(_CONFIG_FILE, unit.references, paths.home)
    configurations += [file.path for file in settings.files if not file.missing]
    return secret_files.read(
        settings.data,
        settings.kubeconfig,
        tokens=[Path(path) for path in named if path.startswith("/")],
        texts=[*map(Path, environment_files), *_named(_REGISTRIES, unit.references, paths.home)],
        configurations=configurations,
        root=paths.root,
    )


def _found(pattern: re.Pattern[str], text: str) -> list[str]:
    return [found["path"] for found in pattern.finditer(text)]


def _named(pattern: re.Pattern[str], text: str, home: Path) -> list[Path]:
    """Return the files that the command line, the environment or the text of the unit names.

    Addresses with `://` are not files.
    """
    plain = (path.strip("\"'").replace("%h", str(home)) for path in _found(pattern, text))
    return [Path(home, path) for path in dict.fromkeys(plain) if path and "://" not in path]
