"""The result of reading a fact: the value and its source, or why it could not be read.

`Unknown` is a result like any other. A rule must not turn it into yes or no.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")
D = TypeVar("D")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Known(Generic[T_co]):
    """A value that was observed.

    `source` names the file, property or reply that the value was read from.
    """

    value: T_co
    source: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """No value was observed; `reason` explains why, as the end of a sentence."""

    reason: str


Observed: TypeAlias = Known[T_co] | Unknown


def value_or(observed: Observed[T], default: D) -> T | D:
    """Return the observed value, or `default` if there is none."""
    if isinstance(observed, Unknown):
        return default
    return observed.value
