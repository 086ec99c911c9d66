"""A record is what `dataclasses` makes of the same class, for all that anybody asks of one."""

from __future__ import annotations

import dataclasses
import itertools
import operator
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, Generic, TypeVar

import pytest

from k3s_rootless import record
from k3s_rootless.release.version import Version, parse

T = TypeVar("T")


def made(by: ModuleType) -> tuple[Any, ...]:
    """Make the same classes with `dataclasses` and with `record`."""

    @by.dataclass(frozen=True, slots=True)
    class Plain(Generic[T]):
        """Said."""

        name: T
        number: int = 3
        kept: dict[str, int] = by.field(default_factory=dict)

        @property
        def twice(self) -> int:
            return 2 * self.number

        @classmethod
        def of(cls, *args: Any) -> Any:
            return cls(*args)

    @by.dataclass(frozen=True, slots=True, order=True)
    class Ordered:
        text: str = by.field(compare=False)
        first: int = 0
        second: int = by.field(default=0, repr=False)

    @by.dataclass(frozen=True, slots=True)
    class Single:
        value: bytes = by.field(repr=False)

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 1

    @by.dataclass(slots=True)
    class Changing:
        name: str
        found: list[str] = by.field(default_factory=list)

    return Plain, Ordered, Single, Changing


THEIRS, OURS = made(dataclasses), made(record)


def outcome(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except (TypeError, AttributeError) as error:
        return type(error)


ARGUMENTS: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...] = (
    ((), {}),
    (("a",), {}),
    (("a", 4), {}),
    (("a",), {"number": 5}),
    ((), {"name": "b", "kept": {"x": 1}}),
    (("a", 1, {}, 4), {}),
    (("a",), {"unheard": 1}),
)


@pytest.mark.parametrize(("args", "more"), ARGUMENTS)
def test_it_takes_the_same_arguments_and_shows_the_same(args: tuple[Any, ...], more: dict[str, Any]) -> None:
    assert outcome(lambda: repr(THEIRS[0](*args, **more))) == outcome(lambda: repr(OURS[0](*args, **more)))


def test_a_default_that_is_made_is_made_for_each() -> None:
    first, second = OURS[0]("a"), OURS[0]("a")

    assert first.kept == {}
    assert first.kept is not second.kept


@pytest.mark.parametrize("number", range(3))
def test_it_compares_and_hashes_the_same(number: int) -> None:
    values = [("a", 1), ("a", 2), ("b", 1)] if number < 2 else [(b"a",), (b"b",)]
    for kinds in itertools.product((THEIRS, OURS), repeat=2):
        for one, two in itertools.product(values, repeat=2):
            asked = kinds[0][number](*one), kinds[1][number](*two)
            plain = THEIRS[number](*one), THEIRS[number](*two)
            if kinds[0] is kinds[1]:
                assert (asked[0] == asked[1]) == (plain[0] == plain[1])
                for by in (operator.lt, operator.le, operator.gt, operator.ge):
                    assert outcome(partial(by, *asked)) == outcome(partial(by, *plain))
            elif number < 2:
                assert asked[0] != asked[1]
    if number == 1:
        assert hash(OURS[1]("a", 1)) == hash(OURS[1]("b", 1))
        assert hash(OURS[1]("a", 1)) != hash(OURS[1]("a", 2))


def test_it_is_frozen_and_has_slots() -> None:
    one = OURS[0]("a")

    for name in ("name", "other"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(one, name, "b")
        with pytest.raises(dataclasses.FrozenInstanceError):
            delattr(one, name)
    assert not hasattr(one, "__dict__")
    with pytest.raises(TypeError, match="slots"):
        record.dataclass(frozen=True, slots=False)


def test_dataclasses_take_it_for_one_of_theirs() -> None:
    theirs: Any = THEIRS[0]("a", 4, {"x": 1})
    ours: Any = OURS[0]("a", 4, {"x": 1})

    assert "__dataclass_fields__" in dir(ours)
    assert dataclasses.asdict(theirs) == dataclasses.asdict(ours)
    assert dataclasses.astuple(theirs) == dataclasses.astuple(ours)
    assert repr(dataclasses.replace(theirs, number=9)) == repr(dataclasses.replace(ours, number=9))
    assert dataclasses.replace(ours, number=9) == record.replace(ours, number=9)
    shown = [[(one.name, one.repr, one.compare) for one in dataclasses.fields(kind)] for kind in (*THEIRS, *OURS)]
    assert shown[:4] == shown[4:]
    match ours:
        case _Plain(name, number):
            assert (name, number) == ("a", 4)
        case _:
            pytest.fail("it matches by position")


_Plain: Any = OURS[0]


def test_what_is_not_frozen_changes_and_has_no_hash() -> None:
    for kind in (THEIRS[3], OURS[3]):
        one = kind("a")
        one.name = "b"
        assert one == kind("b")
        assert one != kind("a")
        with pytest.raises(TypeError, match="unhashable"):
            hash(one)


def test_what_a_class_has_of_its_own_stays() -> None:
    assert OURS[0].__doc__ == "Said."
    assert OURS[0].of("a").twice == 6
    assert OURS[0].__qualname__ == THEIRS[0].__qualname__
    assert OURS[0][int].__origin__ is OURS[0]
    assert OURS[2](b"a") == 4


def test_versions_are_records_in_order() -> None:
    found = sorted(one for text in ("v1.34.3+k3s3", "v1.34.3+k3s1", "v1.9.0+k3s1") if (one := parse(text)))

    assert ["v1.9.0+k3s1", "v1.34.3+k3s1", "v1.34.3+k3s3"] == [one.text for one in found]
    assert isinstance(found[0], Version)
