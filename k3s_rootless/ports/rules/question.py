"""The argument of `ports`: a port or a Service.

This module imports little, since the argument is read before the first output.
"""

from __future__ import annotations

from dataclasses import dataclass

from k3s_rootless.errors import UsageError

_LAST_PORT, _DIGITS, _SHOWN = 65535, 5, 20


@dataclass(frozen=True, slots=True)
class Question:
    """A port by its number, or a Service by its name.

    `namespace` and `port` (name or number) are empty if the user did not name them.
    """

    text: str
    number: int | None = None
    namespace: str = ""
    name: str = ""
    port: str = ""

    @classmethod
    def of(cls, text: str) -> Question:
        """Read `80`, `web`, `default/web`, `web:http` or `default/web:80`.

        Raises UsageError for a number that is not a port.
        """
        if text.isascii() and text.isdecimal():
            return cls(text, number=_port(text))
        namespace, _, rest = text.rpartition("/")
        name, _, port = rest.partition(":")
        return cls(text, namespace=namespace, name=name, port=port)


def _port(text: str) -> int:
    # A number with more digits is not a port, apart from leading zeros, and int() refuses very long
    # numbers.
    number = 0
    if len(text) <= _DIGITS:
        number = int(text)
    if not 1 <= number <= _LAST_PORT:
        raise UsageError(
            f"cannot look up port {text[:_SHOWN]}: a port is a number from 1 to {_LAST_PORT}"
        )
    return number
