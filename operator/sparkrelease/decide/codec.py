"""Values of the domain as JSON and back without a loss: dataclasses, models, enums, times to the microsecond.

It follows the declared types, so that a field added to one of them is kept without anybody thinking of it. Fields that
have their default value are left out. JSON has no NaN and no infinity: they are the words Prometheus writes.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import Enum
from functools import cache

from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from sparkrelease.decide import points

_WORDS = {"NaN": math.nan, "+Inf": math.inf, "-Inf": -math.inf}
_KIND = "is"
"""Key that tells which member of a union an object is."""

_MICROSECOND = timedelta(microseconds=1)


# ---------------------------------------------------------------- writing


def write(hint: object, value: object) -> object:
    """The value as JSON's own types. `hint` is its declared type; TypeError for a type that is not known here."""
    if value is None or isinstance(value, bool):
        return value
    shape = _shape(hint)
    hint = shape.hint
    if shape.is_union:
        return _write_member(hint, value)
    if shape.is_points:
        return points.write(typing.cast("points.Points", value))
    kind: type = type(value)
    if _has_fields(kind):
        return _write_fields(value)
    if isinstance(value, Mapping):
        return _write_mapping(hint, value)
    if isinstance(value, tuple | frozenset):
        return [write(item_hint, item) for item_hint, item in _items(hint, value)]
    return _write_scalar(hint, value)


def _write_scalar(hint: object, value: object) -> object:
    match value:
        case Enum():
            return value.value
        case str():
            return value
        case int() | float():
            return _write_number(hint, value)
        case datetime():
            return value.isoformat()
        case timedelta():
            return value // _MICROSECOND
    raise TypeError(f"{type(value).__name__} cannot be kept")


def _write_number(hint: object, value: float) -> object:
    if hint is int:
        return value
    number = float(value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "+Inf" if number > 0 else "-Inf"


def _write_fields(value: object) -> dict[str, object]:
    written: dict[str, object] = {}
    kind: type = type(value)
    for field in _fields(kind):
        found = getattr(value, field.name)
        if not _same(found, field.default):
            written[field.key] = write(field.hint, found)
    return written


def _same(one: object, other: object) -> bool:
    """Equal, and told apart by nothing: 0.0 and -0.0 are equal, and differ when they are printed."""
    return one is other or (type(one) is type(other) and one == other and repr(one) == repr(other))


def _write_member(hint: object, value: object) -> object:
    member = next((one for one in _members(hint) if _fits(one, value)), None)
    if member is None:
        raise TypeError(f"{type(value).__name__} is no member of {hint}")
    written = write(member, value)
    return {_KIND: type(value).__name__, **written} if isinstance(written, dict) and _tagged(hint) else written


def _fits(member: object, value: object) -> bool:
    kind = typing.get_origin(member) or member
    if kind is typing.Literal:
        return value in typing.get_args(member)
    if kind is float:
        return isinstance(value, int | float)
    return isinstance(kind, type) and isinstance(value, kind)


def _write_mapping(hint: object, value: Mapping[object, object]) -> object:
    key, item = typing.get_args(hint)
    if _plain(key) is str:
        return {str(name): write(item, one) for name, one in value.items()}
    return [[write(key, name), write(item, one)] for name, one in value.items()]


def _items(hint: object, value: tuple[object, ...] | frozenset[object]) -> list[tuple[object, object]]:
    kinds = typing.get_args(hint)
    if isinstance(value, frozenset):
        return [(kinds[0], item) for item in sorted(value, key=repr)]
    if len(kinds) == 2 and kinds[1] is Ellipsis:  # noqa: PLR2004  (tuple[X, ...] has two arguments)
        return [(kinds[0], item) for item in value]
    return list(zip(kinds, value, strict=True))


# ---------------------------------------------------------------- reading


def read(hint: object, data: object) -> object:
    """The inverse of `write`. Raises ValueError for data it did not write."""
    shape = _shape(hint)
    hint, kind = shape.hint, shape.kind
    if shape.is_union:
        return _read_member(hint, data)
    if shape.is_points:
        return points.read(data)
    if kind is typing.Literal:
        return data
    if kind in {tuple, frozenset}:
        return _read_items(hint, kind, data)
    if isinstance(kind, type) and _has_fields(kind):
        return _read_fields(kind, data)
    if isinstance(kind, type) and issubclass(kind, Mapping):
        return _read_mapping(hint, data)
    return _read_scalar(kind, data)


def _read_scalar(kind: object, data: object) -> object:
    match data:
        case bool() if kind is bool:
            return data
        case int() if kind is timedelta and not isinstance(data, bool):
            return data * _MICROSECOND
        case int() if kind is int and not isinstance(data, bool):
            return data
        case int() | float() if kind is float and not isinstance(data, bool):
            return float(data)
        case str():
            return _read_text(kind, data)
    raise ValueError(f"not a {getattr(kind, '__name__', kind)}: {data!r}")


def _read_text(kind: object, data: str) -> object:
    if kind is str:
        return data
    if kind is datetime:
        return datetime.fromisoformat(data)
    if kind is float and data in _WORDS:
        return _WORDS[data]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(data)
    raise ValueError(f"not a {getattr(kind, '__name__', kind)}: {data!r}")


def _read_member(hint: object, data: object) -> object:
    if data is None and type(None) in typing.get_args(hint):
        return None
    members = _members(hint)
    if _tagged(hint) and isinstance(data, dict):
        name = data.get(_KIND)
        chosen = next((one for one in members if getattr(one, "__name__", "") == name), None)
        if chosen is None:
            raise ValueError(f"not a member of {hint}: {name!r}")
        return read(chosen, {key: one for key, one in data.items() if key != _KIND})
    for member in members:
        if _tagged(hint) and typing.get_origin(member) is None:
            continue
        return read(member, data)
    raise ValueError(f"not a member of {hint}: {data!r}")


def _read_mapping(hint: object, data: object) -> dict[object, object]:
    key, item = typing.get_args(hint)
    if isinstance(data, dict):
        return {name: read(item, one) for name, one in data.items()}
    if isinstance(data, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in data):  # noqa: PLR2004
        return {read(key, name): read(item, one) for name, one in data}
    raise ValueError(f"not a mapping: {data!r}")


def _read_items(hint: object, kind: object, data: object) -> object:
    if not isinstance(data, list):
        raise ValueError(f"not a list: {data!r}")
    kinds = typing.get_args(hint)
    if kind is frozenset:
        return frozenset(read(kinds[0], item) for item in data)
    if len(kinds) == 2 and kinds[1] is Ellipsis:  # noqa: PLR2004
        return tuple(read(kinds[0], item) for item in data)
    return tuple(read(one, item) for one, item in zip(kinds, data, strict=True))


def _read_fields(kind: type, data: object) -> object:
    if not isinstance(data, dict):
        raise ValueError(f"not a {kind.__name__}: {data!r}")
    fields = _fields(kind)
    unknown = data.keys() - {field.key for field in fields}
    if unknown:
        raise ValueError(f"{kind.__name__} has no field {', '.join(sorted(unknown))}")
    found = {field.name: read(field.hint, data[field.key]) for field in fields if field.key in data}
    missing = [field.key for field in fields if field.name not in found and field.required]
    if missing:
        raise ValueError(f"{kind.__name__} lacks {', '.join(missing)}")
    # Not validated: a status in memory is cut and rounded when it is written, and decisions are made on what it was.
    make: Callable[..., object] = kind.model_construct if issubclass(kind, BaseModel) else kind
    return make(**found)


# ---------------------------------------------------------------- types


class _Missing:
    """Stands for the default of a field that has none."""


_NONE_SUCH = _Missing()


@dataclasses.dataclass(frozen=True, slots=True)
class _Field:
    name: str
    key: str
    hint: object
    default: object
    """Only compared with, so that one for all objects will do."""

    @property
    def required(self) -> bool:
        return self.default is _NONE_SUCH


@cache
def _fields(kind: type) -> tuple[_Field, ...]:
    if issubclass(kind, BaseModel):
        named = kind.model_fields.items()
        return tuple(_Field(name, to_camel(name), field.annotation, _default_of(field)) for name, field in named)
    hints = typing.get_type_hints(kind)
    declared: Mapping[str, dataclasses.Field[object]] = getattr(kind, "__dataclass_fields__", {})
    return tuple(_Field(name, to_camel(name), hints[name], _default_in(field)) for name, field in declared.items())


def _default_of(field: FieldInfo) -> object:
    return _NONE_SUCH if field.is_required() else field.get_default(call_default_factory=True, validated_data={})


def _default_in(field: dataclasses.Field[object]) -> object:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return _NONE_SUCH if field.default is dataclasses.MISSING else field.default


def _plain(hint: object) -> object:
    """The type without what `Annotated` says about it."""
    while typing.get_origin(hint) is typing.Annotated:
        hint = typing.get_args(hint)[0]
    return hint


@dataclasses.dataclass(frozen=True, slots=True)
class _Shape:
    """What is asked of a type again and again: itself without annotations, and what it is made of."""

    hint: object
    kind: object
    is_union: bool
    is_points: bool


@cache
def _shape(hint: object) -> _Shape:
    plain = _plain(hint)
    origin = typing.get_origin(plain)
    return _Shape(plain, origin or plain, origin in {typing.Union, types.UnionType}, plain == points.Points)


@cache
def _has_fields(kind: type) -> bool:
    return issubclass(kind, BaseModel) or dataclasses.is_dataclass(kind)


@cache
def _members(hint: object) -> tuple[object, ...]:
    return tuple(_plain(one) for one in typing.get_args(hint) if one is not type(None))


@cache
def _tagged(hint: object) -> bool:
    """Whether an object of the union says which member it is."""
    return len(_members(hint)) > 1
