"""What `run` starts: the command, environment and limits of the installed unit, or of a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless import unit_file
from k3s_rootless.errors import UsageError
from k3s_rootless.k3s import flags, options
from k3s_rootless.operations import installation
from k3s_rootless.paths import FOREGROUND
from k3s_rootless.service.drop_ins import configuration
from k3s_rootless.service.drop_ins import environment as environment_drop_in
from k3s_rootless.service.drop_ins.limits import LIMITS
from k3s_rootless.service.environment import assignments
from k3s_rootless.service.facts import UnitState
from k3s_rootless.service.unit.transient import literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from k3s_rootless.preflight.facts import K3sBinary

_DEFAULT = ("k3s", "server", "--rootless")


def require_flags(arguments: Sequence[str]) -> None:
    """Raise UsageError unless the arguments are flags of `k3s server` for rootless K3s.

    The same flags are refused as by `config set`.
    """
    first = next(iter(arguments), "-")
    if not first.startswith("-"):
        raise UsageError(
            f"cannot pass `{first}` to K3s: the arguments of `run` are flags of `k3s server`",
            hint="pass flags only: k3s-rootless run -- --debug",
        )
    for name, _ in flags.words((*_DEFAULT, *arguments)):
        flag = flags.named(name)
        refused = flag is not None and flag.name != "rootless" and options.REFUSED.get(flag.name)
        if refused:
            raise UsageError(
                f"cannot pass --{name} to rootless K3s: {refused}",
                hint="list the flags that are possible with: k3s-rootless config list",
            )


def command(found: UnitState, arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the command of the unit with these arguments; `found` is the unit that may exist."""
    return (*(found.argv or _DEFAULT), *map(literal, arguments))


def unit(found: UnitState, directory: Path, k3s: K3sBinary, arguments: Sequence[str]) -> UnitState:
    """Return the unit to start, with these arguments for K3s.

    It has the command, environment and limits of the installed unit `found`. Without one, it has
    those of the unit that `up` would write to `directory`. Raises RootlessError.
    """
    base = found
    if found.load_state != "loaded" or not found.argv:
        base = _of_next_install(directory, k3s)
    return UnitState(
        name=FOREGROUND,
        load_state="not-found",
        active_state="inactive",
        sub_state="dead",
        argv=command(base, arguments),
        environment=base.environment,
        environment_files=base.environment_files,
        unset=base.unset,
        working_directory=base.working_directory,
        limits=base.limits,
    )


def _of_next_install(directory: Path, k3s: K3sBinary) -> UnitState:
    # systemd does not read the drop-ins of a unit that does not exist.
    text = installation.desired(k3s, directory).text
    configured = configuration.parse(
        installation.drop_in(directory, configuration.SUBJECT).text or ""
    )
    variables = environment_drop_in.read(text)
    own = installation.drop_in(directory, environment_drop_in.SUBJECT).text
    return UnitState(
        name=FOREGROUND,
        load_state="not-found",
        active_state="inactive",
        sub_state="dead",
        argv=configuration.foreseen(_words(text), configured),
        environment={**variables, **environment_drop_in.read(own)},
        unset=_unset(own),
        limits={
            LIMITS[name].prop: LIMITS[name].read(configured[name][-1])
            for name in LIMITS
            if name in configured
        },
    )


def _words(text: str) -> list[str]:
    (line,) = unit_file.values(text, "ExecStart")
    return [word.replace("%%", "%") for word in unit_file.words(line) or ()]


def _unset(text: str | None) -> tuple[str, ...]:
    return tuple(word for words in assignments.unset_by(text or "") for word in words or ())
