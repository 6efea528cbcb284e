"""Grafana dashboards: whether each of their variables has a value when nobody has chosen one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sparkrelease.adapters.preflight.documents import Document, FileError, mapping

_FILTERS = frozenset({"adhoc", "groupby"})
"""Kinds of variables that filter what is there: without a choice nothing is left out."""

_MOST_NAMED = 64


def read_dashboard(document: Document) -> Mapping[str, object]:
    """How many variables there are, and which have no default; FileError for what is no dashboard.

    Taken as Grafana exports it, as its API answers it (within `dashboard`), and as an object of its own API (within
    `spec`, also in the second schema).
    """
    body = document.parts
    body = mapping(body, "dashboard") or mapping(body, "spec") or body
    if not (isinstance(body.get("panels"), list) or isinstance(body.get("elements"), Mapping)):
        raise FileError("it is no Grafana dashboard: it has no panels")
    variables = [*_variables(body)]
    empty = [name for name, has_default in variables if not has_default]
    return {"form": "Grafana dashboard", "variables": len(variables), "without_default": tuple(empty[:_MOST_NAMED])}


def _variables(body: Mapping[str, object]) -> Iterator[tuple[str, bool]]:
    """Name of each variable, and whether it has a default."""
    for one in _listed(mapping(body, "templating").get("list", []), "templating.list"):
        yield _named(one), _has_default(one, str(one.get("type", "")))
    for one in _listed(body.get("variables", []), "variables"):
        spec = mapping(one, "spec")
        yield _named(spec), _has_default(spec, str(one.get("kind", "")).lower().removesuffix("variable"))


def _listed(found: object, where: str) -> list[Mapping[str, object]]:
    """A list of objects; what is not one may hide variables that nobody sees."""
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise FileError(f"{where} is not a list of variables")
    return found


def _named(variable: Mapping[str, object]) -> str:
    return str(variable.get("name") or "one without a name")[:80]


def _has_default(variable: Mapping[str, object], kind: str) -> bool:
    if kind in _FILTERS:
        return True
    written = variable.get("query") if kind in {"constant", "textbox", "text"} else None
    return _is_value(mapping(variable, "current").get("value")) or _is_value(written)


def _is_value(value: object) -> bool:
    """Whether it is something to put in the place of a variable: text that is not empty, a number, or some of them."""
    if isinstance(value, list):
        return bool(value) and all(_is_value(one) for one in value)
    return value != "" if isinstance(value, str) else isinstance(value, (bool, int, float))
