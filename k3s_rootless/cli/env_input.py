"""Read the names and values for `env set` and `unset` from the command line and standard input.

Standard input is for values with a password: other users of the host can read a command line
(proc(5)).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from k3s_rootless.cli import secret_input
from k3s_rootless.errors import UsageError
from k3s_rootless.service.drop_ins import environment
from k3s_rootless.service.environment import variables
from k3s_rootless.service.environment.pending import PREFIX
from k3s_rootless.support.redaction import addresses

if TYPE_CHECKING:
    from k3s_rootless.cli.session import Session

_HINT = "list the variables with: k3s-rootless env list"
_USAGE = "usage: k3s-rootless env set --stdin NAME < file"


def require_known(names: Iterable[str], verb: str, *, allow_foreign: bool = False) -> None:
    """Raise UsageError for an unknown name.

    With `allow_foreign`, a name with one of our prefixes is allowed, because another program may
    have set it.
    """
    for name in names:
        has_prefix = name.startswith((PREFIX, variables.INTERNAL))
        if name not in variables.VARIABLES and not (allow_foreign and has_prefix):
            # An address in place of a name is a value without its `NAME=`.
            shown = addresses.hidden(name)
            raise UsageError(f"cannot {verb} `{shown}`: {variables.unknown(shown)}", hint=_HINT)


def warn_about_passwords(session: Session, given: Sequence[str]) -> None:
    """Warn about values with a password in the command line."""
    for word in given:
        name, _, value = word.partition("=")
        if name in variables.SECRETIVE and addresses.hidden(value) != value:
            session.report.notice(
                f"warning: other users of this host can read the password of {name} in the process"
                " list, and your shell may keep it in its history; pass it on standard input"
                f" instead: k3s-rootless env set --stdin {name}"
            )


def assignments(given: Sequence[str], *, stdin: bool) -> dict[str, str]:
    """Return the value of each name; with `stdin`, read the one missing value from standard input.

    Raises UsageError.
    """
    require_known((word.partition("=")[0] for word in given), "set")
    if stdin:
        given = completed(given)
    values: dict[str, str] = {}
    for word in given:
        name, equals, value = word.partition("=")
        if not equals:
            raise UsageError(
                f"cannot set {name}: the value is missing",
                hint=f"usage: k3s-rootless env set {name}=VALUE",
            )
        if name in values and values[name] != value:
            raise UsageError(
                f"cannot set {name}: it has two different values", hint="give only one of them"
            )
        reason = environment.refusal(name, value)
        if reason:
            raise UsageError(f"cannot set {name}: {reason}", hint="use another value")
        values[name] = value
    return values


def completed(given: Sequence[str]) -> tuple[str, ...]:
    """Return the assignments, with the missing value read from the first line of standard input.

    On a terminal, the value is typed without an echo. Raises UsageError if the number of names
    without a value is not one, or if the input has no line, several lines, or a line that no
    variable can contain.
    """
    names = [word for word in given if "=" not in word]
    if len(names) != 1:
        reason = "every variable has a value"
        if names:
            reason = f"several variables have no value: {', '.join(names)}"
        raise UsageError(f"cannot read a value from standard input: {reason}", hint=_USAGE)
    name = names[0]
    value = secret_input.read(f"value of {name}", f"set {name}", _USAGE)
    return tuple(f"{word}={value}" if word == names[0] else word for word in given)
