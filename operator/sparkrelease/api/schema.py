"""A model as a structural schema: what apiextensions v1 accepts, with references inlined and nothing said twice."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TypeAlias, cast

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from sparkrelease.api.base import Documented, format_duration
from sparkrelease.api.rules import LIST_KEYS, LIST_TYPE

Schema: TypeAlias = dict[str, object]

_INT32 = 2**31 - 1
_ORDER = ("description", "type", "format", "nullable", "default", "enum")
"""Keywords that come first; the rest follows as it comes, what is below a node last."""
_BELOW = ("items", "additionalProperties", "properties", "required")
_NOISE = frozenset({"title", "propertyNames", "anyOf", "$ref", "const"})


class _Generator(GenerateJsonSchema):
    """pydantic's own generator, but with defaults of durations in the form people write."""

    def encode_default(self, dft: object) -> object:
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def structural_schema(model: type[BaseModel], *, written_by_people: bool = True, brief: bool = False) -> Schema:
    """The schema of a model.

    What the operator writes has no defaults, which the API server would fill in beside it, and neither bounds nor
    required fields but the keys of lists: the model cuts what is too long, and a status must never be refused. `brief`
    leaves out what a word means in the items of lists, for a definition that has to stay small.
    """
    generated = model.model_json_schema(by_alias=True, mode="validation", schema_generator=_Generator)
    defs = cast("Mapping[str, Schema]", generated.pop("$defs", {}))
    return _Transformer(defs, written_by_people=written_by_people, brief=brief).node(generated)


class _Transformer:
    """Turns pydantic's JSON schema into a structural one."""

    def __init__(self, defs: Mapping[str, Schema], *, written_by_people: bool, brief: bool) -> None:
        self._defs = defs
        self._by_people = written_by_people
        self._brief = brief
        self._words = {words.__name__: words for words in Documented.__subclasses__()}

    def node(self, raw: Schema, *, in_list: bool = False) -> Schema:
        """One node and everything below it."""
        flat = self._flat(raw, explained=not (self._brief and in_list))
        out = {key: value for key, value in flat.items() if key not in _NOISE}
        self._default(out, in_list=in_list)
        self._bounds(out)
        if not self._by_people:
            for bound in ("maxLength", "maxItems", "minimum", "maximum", "required"):
                out.pop(bound, None)
        if "const" in flat:
            out["enum"] = [flat["const"]]
        if out.get("type") == "array":
            self._list(out)
        if isinstance(out.get("properties"), dict):
            fields = cast("dict[str, Schema]", out["properties"])
            out["properties"] = {name: self.node(field, in_list=in_list) for name, field in fields.items()}
        if isinstance(named := out.pop("patternProperties", None), dict):
            (out["additionalProperties"],) = named.values()
        if out.get("additionalProperties") is False:
            del out["additionalProperties"]
        elif isinstance(out.get("additionalProperties"), dict):
            out["additionalProperties"] = self.node(cast("Schema", out["additionalProperties"]))
        return _ordered(out)

    def _list(self, out: Schema) -> None:
        """What the items of a list are, and how two versions of it are merged."""
        items = self.node(cast("Schema", out["items"]), in_list=True)
        if self._by_people:
            out.setdefault(LIST_TYPE, "atomic")
        elif LIST_KEYS in out:
            items["required"] = out[LIST_KEYS]
        out["items"] = _ordered(items)

    def _flat(self, raw: Schema, *, explained: bool) -> Schema:
        """The node with its reference and its "or null" resolved; what stands beside them wins, words are explained."""
        node = dict(raw)
        if isinstance(choices := raw.get("anyOf"), list):
            (choice,) = (c for c in choices if c.get("type") != "null")
            node = {**self._flat(choice, explained=explained), **node}
        if isinstance(ref := raw.get("$ref"), str):
            target = ref.rpartition("/")[2]
            node = {**self._flat(self._defs[target], explained=explained), **node}
            if explained and target in self._words:
                told = " ".join(f"{word.value}: {word.help}" for word in self._words[target])
                node["description"] = f"{node['description']} {told}"
        return node

    def _default(self, node: Schema, *, in_list: bool) -> None:
        """Keeps a default, but not below a list: there it is only told.

        What the API server fills into the items of a list makes them differ from those in Git, for tools that compare
        lists as a whole (kubectl apply, Argo CD): the object would be out of sync for ever.
        """
        default = _pruned(node.pop("default", None))
        if not self._by_people or default in (None, [], ""):
            return
        if in_list:
            node["description"] = f"{node['description']} Default: {default}."
        else:
            node["default"] = default

    def _bounds(self, node: Schema) -> None:
        """OpenAPI's way of excluding a bound, whole numbers as such, and the formats kubectl shows."""
        for bound in ("minimum", "maximum"):
            exclusive = f"exclusive{bound.capitalize()}"
            if exclusive in node:
                node[bound], node[exclusive] = node[exclusive], True
            if bound in node:
                node[bound] = _pruned(node[bound])
        if node.get("type") == "integer":
            high = node.get("maximum")
            node["format"] = "int32" if isinstance(high, int) and high <= _INT32 else "int64"


def _pruned(value: object) -> object:
    """A default without its empty parts, and whole numbers without a decimal point."""
    match value:
        case dict():
            return {key: kept for key, part in value.items() if (kept := _pruned(part)) not in (None, [])}
        case list() | tuple():
            return [_pruned(part) for part in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def _ordered(node: Schema) -> Schema:
    middle = [key for key in node if key not in _ORDER and key not in _BELOW]
    keys = [*_ORDER, *middle, *_BELOW]
    return {key: node[key] for key in keys if key in node}
