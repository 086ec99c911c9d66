"""Dataclasses with slots, made for a sixth of what `dataclasses` takes.

That writes and compiles eight methods for each class, 0.3 ms; the sixty records of `ports` were a fifth of its instructions,
and most of them are never compared, hashed or shown. Here one method is compiled, `__init__`; the others are shared, and go by
the fields' names. To type checkers these are dataclasses, and to `replace`, `fields` and `asdict` as well, which make what they
ask for when they ask. A test holds them to what `dataclasses` makes of the same class.

For what is loaded whenever `ports` or `status` is; elsewhere the gain is not worth a second way.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

_MISSING: Any = object()
_ORDERS = (operator.lt, operator.le, operator.gt, operator.ge)


class _Field:
    __slots__ = ("compare", "default", "factory", "repr")

    def __init__(self, default: Any, factory: Any, *, repr: bool, compare: bool) -> None:  # noqa: A002, ANN401 (as theirs)
        self.default, self.factory, self.repr, self.compare = default, factory, repr, compare


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # noqa: PLC0414 (exported)
    from dataclasses import field as field  # noqa: PLC0414 (exported)
    from dataclasses import replace as replace  # noqa: PLC0414 (exported)
else:

    def field(
        *,
        default: Any = _MISSING,  # noqa: ANN401 (as dataclasses')
        default_factory: Any = _MISSING,  # noqa: ANN401 (as dataclasses')
        repr: bool = True,  # noqa: A002 (as dataclasses')
        compare: bool = True,
    ) -> Any:  # noqa: ANN401 (as dataclasses')
        """Describe a field, as dataclasses.field does."""
        return _Field(default, default_factory, repr=repr, compare=compare)

    def dataclass(*, slots: bool, frozen: bool = False, order: bool = False) -> Callable[[type], type]:
        """Make a record of a class, as dataclasses.dataclass does; of no class that inherits fields, nor one without slots."""
        if not slots:
            raise TypeError("a record has slots; dataclasses make all else")
        return lambda cls: _made(cls, frozen=frozen, order=order)

    def replace(record: Any, /, **changes: Any) -> Any:  # noqa: ANN401 (as dataclasses')
        """Give a record that differs in some fields, as dataclasses.replace does."""
        return type(record)(**{name: getattr(record, name) for name in record.__match_args__} | changes)


def _made(cls: Any, *, frozen: bool, order: bool) -> type:  # noqa: ANN401 (a class, as it is being made)
    fields = {name: _described(cls.__dict__.get(name, _MISSING)) for name in cls.__annotations__}
    shared: dict[str, Any] = {
        **_comparing([name for name, one in fields.items() if one.compare], order=order),
        "__repr__": _showing([name for name, one in fields.items() if one.repr]),
        "__dataclass_fields__": _Told(fields),
        "__slots__": tuple(fields),
        "__match_args__": tuple(fields),
        "__qualname__": cls.__qualname__,
    }
    if frozen:
        shared |= {"__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete}
    else:
        shared["__hash__"] = None  # what changes has no hash
    own = {name: value for name, value in vars(cls).items() if name not in {*fields, "__dict__", "__weakref__"}}
    # Slots are made with their class, so the class is made anew, as dataclasses do.
    made: type = type(cls)(cls.__name__, cls.__bases__, {**shared, **own})
    made.__init__ = _init(made, fields)  # type: ignore[misc]
    return made


def _described(value: Any) -> _Field:  # noqa: ANN401 (a default)
    return value if isinstance(value, _Field) else _Field(value, _MISSING, repr=True, compare=True)


def _init(made: type, fields: Mapping[str, _Field]) -> Any:  # noqa: ANN401 (a function)
    known: dict[str, Any] = {"_missing": _MISSING}
    arguments, lines = [], []
    for name, one in fields.items():
        known[f"_set_{name}"] = getattr(made, name).__set__
        known[f"_default_{name}"], known[f"_make_{name}"] = one.default, one.factory
        if one.factory is not _MISSING:
            arguments.append(f"{name}=_missing")
            lines.append(f" _set_{name}(self, _make_{name}() if {name} is _missing else {name})")
        else:
            arguments.append(name if one.default is _MISSING else f"{name}=_default_{name}")
            lines.append(f" _set_{name}(self, {name})")
    exec(f"def __init__(self, {', '.join(arguments)}):\n" + "\n".join(lines), known)  # noqa: S102 (names of our own fields)
    return known["__init__"]


def _comparing(names: Sequence[str], *, order: bool) -> dict[str, Any]:
    values: Callable[[Any], Any] = operator.attrgetter(*names)

    def equal(self: Any, other: Any) -> Any:  # noqa: ANN401 (records)
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    def ordered(by: Callable[[Any, Any], bool]) -> Any:  # noqa: ANN401 (a function)
        return lambda self, other: by(values(self), values(other)) if other.__class__ is self.__class__ else NotImplemented

    orders = {f"__{one.__name__}__": ordered(one) for one in _ORDERS} if order else {}
    return {"__eq__": equal, "__hash__": lambda self: hash(values(self)), **orders}


def _showing(names: Sequence[str]) -> Callable[[Any], str]:
    return lambda self: f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"


def _refuse_to_set(_self: object, name: str, _value: object) -> NoReturn:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(_self: object, name: str) -> NoReturn:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot delete field {name!r}")


class _Told:
    """What dataclasses know of the fields, for whoever asks."""

    def __init__(self, fields: Mapping[str, _Field]) -> None:
        self._fields = fields

    def __get__(self, _instance: object, owner: Any) -> Any:  # noqa: ANN401 (as a descriptor is called)
        import dataclasses

        namespace: dict[str, Any] = {"__annotations__": owner.__annotations__, "__module__": owner.__module__}
        for name, one in self._fields.items():
            given = {"default": one.default, "default_factory": one.factory, "repr": one.repr, "compare": one.compare}
            namespace[name] = dataclasses.field(**{key: value for key, value in given.items() if value is not _MISSING})
        told: Any = dataclasses.dataclass(type(owner.__name__, (), namespace))
        owner.__dataclass_fields__ = told.__dataclass_fields__
        return owner.__dataclass_fields__
