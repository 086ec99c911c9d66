"""What a reader brings back: either what it saw and where, or why it could not look.

"Could not look" is an answer of its own. No judge may turn it into a yes or a no.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")
D = TypeVar("D")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Known(Generic[T_co]):
    """A value that was observed; `source` names the file, property or reply that it was read
    from.
    """

    value: T_co
    source: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nothing was observed; `reason` says why, as the end of a sentence."""

    reason: str


Observed: TypeAlias = Known[T_co] | Unknown


def value_or(observed: Observed[T], default: D) -> T | D:
    """Return the value that was observed, or `default` if none was."""
    if isinstance(observed, Unknown):
        return default
    return observed.value
