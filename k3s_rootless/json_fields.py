"""Read typed fields from JSON and YAML of other programs.

A value of the wrong type is an error that names its place; no value is converted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import Enum
from typing import Any, TypeVar

from k3s_rootless.errors import PeerError
from k3s_rootless.printable import printable

T = TypeVar("T")
V = TypeVar("V")
E = TypeVar("E", bound=Enum)
Json = dict[str, Any]

_BLANK = " \t\n\r"
_KINDS: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a string",
    int: "an integer",
    bool: "a Boolean",
}
_decoder = json.JSONDecoder()


class InvalidField(Exception):
    """An invalid value; outer readers prepend their names to `place`."""

    def __init__(self, why: str, place: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.place = place


@contextmanager
def parsing(what: str) -> Iterator[None]:
    """Convert errors inside the context into PeerError, which names the first invalid place.

    `what` names the document that cannot be read.
    """
    try:
        yield
    except InvalidField as error:
        why = f"{error.place}: {error.why}" if error.place else error.why
    except UnicodeDecodeError:
        why = "it is not valid UTF-8"
    except RecursionError:
        why = "it is nested too deeply"
    except ValueError as error:
        # Only the message of `json`, which names a position and quotes nothing from the document.
        why = f"it is not valid JSON ({error})"
    else:
        return
    raise PeerError(f"cannot parse {what}: {printable(why)}")


def typed(value: Any, kind: type[T], place: str = "") -> T:  # noqa: ANN401 (untyped JSON)
    """Return `value` if it is of `kind`; a Boolean is not a number. Raises InvalidField."""
    if type(value) is not kind:
        raise InvalidField(f"must be {_KINDS[kind]}", place)
    return value


def field(subject: Json, key: str, kind: type[T]) -> T:
    """Return a required field. Raises InvalidField."""
    if key not in subject:
        raise InvalidField("required field is missing", key)
    return typed(subject[key], kind, key)


def optional(subject: Json, key: str, kind: type[T]) -> T | None:
    """Return an optional field; None if it is missing or null.

    Go writes null for an empty field. Raises InvalidField.
    """
    value = subject.get(key)
    return None if value is None else typed(value, kind, key)


def moment(subject: Json, key: str) -> datetime:
    """Return a required time with a time zone (ISO 8601). Raises InvalidField."""
    try:
        found = datetime.fromisoformat(field(subject, key, str))
    except ValueError:
        raise InvalidField("is no time", key) from None
    if found.tzinfo is None:
        raise InvalidField("has no time zone", key)
    return found


def member(subject: Json, key: str, kind: type[E]) -> E:
    """Return a required field with one of the values of an enumeration. Raises InvalidField."""
    try:
        return kind(field(subject, key, str))
    except ValueError:
        raise InvalidField("is unknown", key) from None


def each(subject: Json, key: str, read: Callable[[Any], V]) -> tuple[V, ...]:
    """Read the elements of a list that may be missing or null.

    Raises InvalidField for the first invalid element.
    """
    found = []
    for number, element in enumerate(optional(subject, key, list) or ()):
        with inside(f"{key}.{number}"):
            found.append(read(element))
    return tuple(found)


def port(subject: Json, key: str, *, lowest: int = 1) -> int:
    """Return a port number; `lowest=0` makes the field optional. Raises InvalidField."""
    number = (optional(subject, key, int) or 0) if lowest == 0 else field(subject, key, int)
    if not lowest <= number <= 65535:
        raise InvalidField("must be a port from 1 to 65535", key)
    return number


class inside:  # noqa: N801 (reads as a word in a `with` statement)
    """Prepend a place to the place of an error that is raised inside the context.

    This is a class because it is entered 20,000 times, and a generator would take twice the time.
    """

    __slots__ = ("_place",)

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None:
        """Do nothing on entry."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Prepend the place to an error."""
        if isinstance(error, InvalidField):
            error.place = f"{self._place}.{error.place}" if error.place else self._place


def elements(text: str) -> Iterator[Any]:
    """Decode a JSON list one element at a time.

    A long list of unexpected elements then needs no memory. Raises InvalidField and ValueError.
    """
    at = _skip(text, 0)
    if text[at : at + 1] != "[":
        # A text that is not JSON at all is the more useful error.
        _decoder.raw_decode(text, at)
        raise InvalidField("must be a list")
    at = _skip(text, at + 1)
    ended = text[at : at + 1] == "]"
    while not ended:
        element, at = _decoder.raw_decode(text, at)
        yield element
        at = _skip(text, at)
        ended = text[at : at + 1] == "]"
        if not ended:
            if text[at : at + 1] != ",":
                raise InvalidField("the list is not closed")
            at = _skip(text, at + 1)
    if text[at + 1 :].strip(_BLANK):
        raise InvalidField("there is data after the list")


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] and text[at] in _BLANK:
        at += 1
    return at
