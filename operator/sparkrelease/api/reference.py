"""The pages under docs/reference, made from the same models and words as everything else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from sparkrelease.api.approval import EXPIRY_PATTERN
from sparkrelease.api.base import DURATION_PATTERN
from sparkrelease.api.conditions import ABNORMAL_TRUE, ConditionType
from sparkrelease.api.config import OperatorConfig
from sparkrelease.api.reasons import Reason
from sparkrelease.api.rules import VALIDATIONS
from sparkrelease.api.schema import Schema, structural_schema

_LARGE = 1_000_000
_NOTE = "<!-- Generated from operator/sparkrelease/api by `make generate`; edit the models there. -->"


def object_page(definition: Schema) -> str:
    """The page of a kind: every field of its spec and status."""
    spec = cast("Schema", definition["spec"])
    names = cast("Schema", spec["names"])
    version = cast("list[Schema]", spec["versions"])[0]
    root = cast("Schema", cast("Schema", version["schema"])["openAPIV3Schema"])
    fields = cast("dict[str, Schema]", root["properties"])
    scope = "In a namespace" if spec["scope"] == "Namespaced" else "Cluster-wide"
    short = "".join(f", short name `{name}`" for name in cast("list[str]", names.get("shortNames", [])))
    lines = [_NOTE, "", f"# {names['kind']}", "", str(root["description"]), ""]
    lines += [f"`{spec['group']}/{version['name']}`. {scope}{short}.", ""]
    for part in ("spec", "status"):
        if part in fields:
            lines += _section(part, fields[part])
    return "\n".join(lines).rstrip() + "\n"


def configuration_page() -> str:
    """The page of the operator's configuration file."""
    schema = structural_schema(OperatorConfig)
    lines = [_NOTE, "", "# Configuration of the operator", ""]
    lines += [
        "The YAML file given to `sparkrelease run --config`. Only an administrator writes it: servers, credentials and",
        "limits never come from a release.",
        "",
    ]
    lines += _section("configuration", schema, checked="Checked when the operator reads the file:")
    return "\n".join(lines).rstrip() + "\n"


def conditions_page() -> str:
    """The page of the conditions."""
    lines = [_NOTE, "", "# Conditions", ""]
    lines += [
        "Every condition has the standard Kubernetes fields; `lastTransitionTime` moves only when `status` flips.",
        "Wait for one with `kubectl wait --for=condition=Promoted sparkrelease/<name> --timeout=1h`.",
        "",
        "| Condition | Meaning | Present |",
        "| --- | --- | --- |",
    ]
    for kind in ConditionType:
        present = "while true" if kind in ABNORMAL_TRUE else "once known"
        lines.append(f"| `{kind.value}` | {_cell(kind.help)} | {present} |")
    return "\n".join(lines) + "\n"


def reasons_page() -> str:
    """The page of the reasons."""
    lines = [_NOTE, "", "# Reasons", ""]
    lines += [
        "What conditions, Events, verdicts and evidence give as `reason`.",
        "",
        "| Reason | Meaning |",
        "| --- | --- |",
    ]
    lines += [f"| `{reason.value}` | {_cell(reason.help)} |" for reason in Reason]
    return "\n".join(lines) + "\n"


def _section(path: str, schema: Schema, *, checked: str = "Checked by the API server:") -> Iterator[str]:
    """A heading, the rules and the table of an object, then the same for every object below it."""
    yield f"## {path}"
    yield ""
    if description := schema.get("description"):
        yield from (str(description), "")
    fields = cast("dict[str, Schema]", schema["properties"])
    required = cast("list[str]", schema.get("required", []))
    rules = [f"{rule['message']}." for rule in cast("list[Schema]", schema.get(VALIDATIONS, []))]
    for name, field in fields.items():
        rules += [f"`{name}`: {rule['message']}." for rule in cast("list[Schema]", field.get(VALIDATIONS, []))]
    if rules:
        yield from (checked, "")
        yield from (f"- {rule}" for rule in dict.fromkeys(rules))
        yield ""
    yield "| Field | Type | Default | Description |"
    yield "| --- | --- | --- | --- |"
    for name, field in fields.items():
        description, default = _told(field)
        value = "required" if name in required else default
        yield f"| `{name}` | {_type(field)} | {value} | {_cell(description)} |"
    yield ""
    for name, field in fields.items():
        below, suffix = _object_below(field)
        if below is not None:
            yield from _section(f"{path}.{name}{suffix}", below, checked=checked)


def _object_below(field: Schema) -> tuple[Schema | None, str]:
    for inner, suffix in ((field, ""), (field.get("items"), "[]"), (field.get("additionalProperties"), ".<name>")):
        if isinstance(inner, dict) and "properties" in inner:
            return inner, suffix
    return None, ""


def _type(field: Schema) -> str:
    if isinstance(items := field.get("items"), dict):
        return f"list of {_type(items)}" + _between(field, "minItems", "maxItems", " items")
    if isinstance(values := field.get("additionalProperties"), dict):
        return f"map of {_type(values)}"
    if isinstance(words := field.get("enum"), list):
        return ", ".join(f"`{word}`" if word else "`''`" for word in words)
    if field.get("format") == "date-time":
        return "time"
    pattern = field.get("pattern")
    if pattern in {DURATION_PATTERN, EXPIRY_PATTERN} or DURATION_PATTERN in str(field.get(VALIDATIONS)):
        return "duration"
    limits = _between(field, "minimum", "maximum", "") + _between(field, "", "maxLength", " characters")
    return f"{field['type']}{limits}"


def _between(field: Schema, low: str, high: str, unit: str) -> str:
    """Both bounds in words, such as `, 1 to 8 items` or `, above 0 and below 1`."""
    least, most = field.get(low), field.get(high)
    words = []
    if least is not None:
        words.append(f"{'above' if field.get('exclusiveMinimum') else 'at least'} {_number(least)}")
    if most is not None:
        words.append(f"{'below' if field.get('exclusiveMaximum') else 'at most'} {_number(most)}")
    text = " and ".join(words)
    if text.startswith("at least") and " and at most " in text:
        text = text.removeprefix("at least ").replace(" and at most ", " to ")
    return f", {text}{unit}" if text else ""


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) and abs(value) >= _LARGE else str(value)


def _told(field: Schema) -> tuple[str, str]:
    """Description and default; below a list the default is told in the description."""
    description, _, told = str(field.get("description", "")).partition(" Default: ")
    default = field.get("default", told.removesuffix(".") or None)
    if default is None:
        return description, ""
    if isinstance(default, dict):
        return description, "as below"
    return description, f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
