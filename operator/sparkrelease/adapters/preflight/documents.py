"""What a file is on the outside: plain JSON, an in-toto statement, or either of them in a signed envelope (DSSE)."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass

STATEMENT = "https://in-toto.io/Statement/"
"""How the types of in-toto statements begin."""


class FileError(Exception):
    """The file is not what it should be; the text is for a person."""


@dataclass(frozen=True, slots=True)
class Document:
    """A file unpacked. `envelope` is the signed envelope around it, `statement` the in-toto statement it is part of.

    `body` is None for a file that is no JSON object, which is well as long as nobody wants to read in it.
    """

    body: Mapping[str, object] | None
    envelope: Mapping[str, object] | None = None
    statement: Mapping[str, object] | None = None

    @property
    def parts(self) -> Mapping[str, object]:
        """The body; FileError when there is none to read."""
        if self.body is None:
            raise FileError("it is not a JSON object")
        return self.body


def document_of(content: bytes) -> Document:
    """Unpacks a file. FileError when an envelope holds nothing that can be read."""
    outer = _json(content)
    if outer is None:
        return Document(None)
    bundle = outer.get("dsseEnvelope")
    envelope = bundle if isinstance(bundle, Mapping) else outer
    if not {"payload", "payloadType", "signatures"} <= envelope.keys():
        return _inside(outer, None)
    try:
        payload = _json(base64.b64decode(str(envelope["payload"]), validate=True))
    except ValueError as fault:
        raise FileError("the payload of its envelope is not base64") from fault
    if payload is None:
        raise FileError("the payload of its envelope is not a JSON object")
    return _inside(payload, envelope)


def _inside(body: Mapping[str, object], envelope: Mapping[str, object] | None) -> Document:
    if not str(body.get("_type", "")).startswith(STATEMENT):
        return Document(body, envelope)
    predicate = body.get("predicate")
    return Document(predicate if isinstance(predicate, Mapping) else None, envelope, body)


def _json(content: bytes) -> Mapping[str, object] | None:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def mapping(body: object, *path: str) -> Mapping[str, object]:
    """An object within an object; empty where there is none."""
    for name in path:
        body = body.get(name) if isinstance(body, Mapping) else None
    return body if isinstance(body, Mapping) else {}


def objects(body: object, name: str) -> list[Mapping[str, object]]:
    """The objects of a list within an object."""
    found = body.get(name) if isinstance(body, Mapping) else None
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []
