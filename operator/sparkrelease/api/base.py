"""The shape every API model shares, and the scalar types of the API (durations, weights, times)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache, lru_cache
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+)(ms|s|m|h)")
DURATION_PATTERN = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"
"""The form of Gateway API durations (GEP-2257), which Go, CEL and people read alike. No unit is above hours."""

DURATION_LENGTH = 32
DURATION_SCHEMA: JsonDict = {"type": "string", "pattern": DURATION_PATTERN, "maxLength": DURATION_LENGTH}


class Documented(StrEnum):
    """A closed set of words, each with what it means; `member.help` is the text the reference prints."""

    help: str

    def __new__(cls, value: str, help_text: str) -> Self:
        """A member is written `NAME = "Word", "What it means."`."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.help = help_text
        return member


# ---------------------------------------------------------------- models


class _Model(BaseModel):
    """What every model shares: it does not remember which of its fields were given.

    Pydantic keeps a set of their names in every object, which nothing here asks for, and which is as large as the rest
    of it. All objects of a model share one set instead, that of all its fields.
    """

    def model_post_init(self, context: object, /) -> None:  # noqa: ARG002 - pydantic's signature
        _take_all_as_given(self)

    def model_copy(self, *, update: Mapping[str, object] | None = None, deep: bool = False) -> Self:
        """The model with these fields in place of its own, unchecked.

        Done at once, as `model_construct` does it: a status is copied at every round, and pydantic's own way also
        copies the set of given fields, extra fields and private ones, which no model here has of its own.
        """
        if deep:
            copied = super().model_copy(update=update, deep=True)
        else:
            copied = type(self).__new__(type(self))
            object.__setattr__(copied, "__dict__", {**self.__dict__, **(update or {})})
            object.__setattr__(copied, "__pydantic_extra__", None)
            object.__setattr__(copied, "__pydantic_private__", None)
        _take_all_as_given(copied)
        return copied


def _take_all_as_given(model: BaseModel) -> None:
    object.__setattr__(model, "__pydantic_fields_set__", _fields(type(model)))


@cache
def _fields(model: type[BaseModel]) -> set[str]:
    """Names of the fields of a model; the same set every time, which nobody changes."""
    return {*model.model_fields}


class SpecModel(_Model):
    """A part of an object that people write: camelCase in YAML, frozen in memory, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class StatusModel(_Model):
    """A part of an object that the operator writes.

    A status is never refused, neither by the API server nor by the next operator that reads it: what another release
    of the operator wrote beside it is passed over, and what is longer than its limit is cut, on the way in and out.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _cut_what_is_read(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        cuts: dict[object, object] = {}
        for name, alias, limit in _limits(cls):
            for key in (name, alias):
                value = data.get(key)
                if isinstance(value, _LONG) and len(value) > limit:
                    cuts[key] = value[:limit]
        return {**data, **cuts} if cuts else data

    @model_serializer(mode="wrap")
    def _cut_what_is_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        cuts = {}
        for name, _, limit in _limits(type(self)):
            value = getattr(self, name)
            if isinstance(value, _LONG) and len(value) > limit:
                cuts[name] = value[:limit]
        written: dict[str, object] = handler(self.model_copy(update=cuts) if cuts else self)
        return written


_LONG = (str, list, tuple)
"""What can be too long; a tuple, since a union is made anew at each use and every part of every status passes here."""


@cache
def _limits(model: type[BaseModel]) -> tuple[tuple[str, str, int], ...]:
    """Name, alias and greatest length of the fields of a model that have one."""
    found = []
    for name, field in model.model_fields.items():
        for rule in field.metadata:
            limit = getattr(rule, "max_length", None)
            if isinstance(limit, int):
                found.append((name, field.alias or name, limit))
    return tuple(found)


# ---------------------------------------------------------------- durations


def parse_duration(value: object) -> object:
    """Reads a duration such as `90s`, `1h30m`, `500ms`; passes anything but a string on to pydantic."""
    if not isinstance(value, str):
        return value
    if not re.fullmatch(DURATION_PATTERN, value):
        raise ValueError("must be a duration such as 90s or 1h30m (hours, minutes, seconds, milliseconds)")
    return timedelta(seconds=sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(value)))


@lru_cache(maxsize=1024)
def format_duration(value: timedelta) -> str:
    """Writes a duration the way people do: `15m`, `1h30m`, `2.5s` becomes `2s500ms`; zero is `0s`."""
    rest = round(value.total_seconds() * 1000)
    parts = []
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({**DURATION_SCHEMA}),
]
"""A span of time, written `90s`, `15m`, `1h30m`."""


# ---------------------------------------------------------------- weights


def _rounded(value: float) -> float:
    return round(value, 3)


SeenWeight = Annotated[
    float,
    Field(ge=0, le=100),
    AfterValidator(_rounded),
    PlainSerializer(_rounded, return_type=float),
]
"""Share of requests in percent as it was found, rounded to three decimals when it is stored."""


# ---------------------------------------------------------------- times


def format_time(value: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, the form of every time in a status."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Time = Annotated[
    datetime,
    PlainSerializer(format_time, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""An instant, RFC 3339 with milliseconds."""
