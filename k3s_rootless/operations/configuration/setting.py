"""The record of one setting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3s_rootless.k3s.origin import Source

if TYPE_CHECKING:
    from k3s_rootless.k3s.origin import Value


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of the next start.

    `origin` is `config`, `unit`, `another drop-in`, `configuration file`, `environment` or
    `default`. `set_to` is the value set by `config`. `sources` are the values of the flag, each
    with its origin. `own` is true for a setting of k3s-rootless itself, which K3s does not have.
    """

    name: str
    values: tuple[str, ...]
    origin: str
    what: str
    set_to: tuple[str, ...] = ()
    sources: tuple[Value, ...] = ()
    own: bool = False

    @property
    def places(self) -> str:
        """The sources of the values, as text."""
        found = [self._place(one) for one in self.sources]
        return ", ".join(dict.fromkeys(found)) or self.origin

    def _place(self, value: Value) -> str:
        if value.origin.source in {Source.CONFIG_FILE, Source.ENVIRONMENT}:
            return str(value.origin)
        return self.origin
