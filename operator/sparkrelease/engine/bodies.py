"""Reading the parts every Kubernetes object has, whatever is in them."""

from __future__ import annotations

from collections.abc import Mapping

_NOTHING: Mapping[str, object] = {}


def metadata_of(body: Mapping[str, object]) -> Mapping[str, object]:
    """The object's metadata; empty when there is none."""
    meta = body.get("metadata")
    return meta if isinstance(meta, Mapping) else _NOTHING


def text_of(part: Mapping[str, object], field: str) -> str:
    """A text field; empty when it is not there or not a text."""
    value = part.get(field)
    return value if isinstance(value, str) else ""


def texts_of(part: Mapping[str, object], field: str) -> Mapping[str, str]:
    """A map of texts, such as labels or annotations; what is not a text is left out."""
    value = part.get(field)
    if not isinstance(value, Mapping):
        return {}
    return {k: v for k, v in value.items() if isinstance(k, str) and isinstance(v, str)}
