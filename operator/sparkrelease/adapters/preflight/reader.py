"""Reads one file in a process of its own: `python -m sparkrelease.adapters.preflight.reader`, JSON in, JSON out.

The parsers are large, and what they read was written by others. Here they cost memory for a second, not for the life of
the operator, and what they can do is bounded by the kernel.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import resource
import sys
from collections.abc import Mapping
from dataclasses import asdict

from sparkrelease.adapters.preflight.documents import Document, FileError, document_of
from sparkrelease.decide.preflight.answers import FileAnswer

MEMORY = 1 << 30
"""Bytes of address space; far more than the parsers take of a file of a megabyte."""

SECONDS = 30
"""Of the processor."""


def examine(request: Mapping[str, object]) -> FileAnswer:
    """What is in the file; a file that cannot be read as its kind is an answer, too."""
    content = base64.b64decode(str(request["content"]))
    answer = FileAnswer(str(request["file"]), hashlib.sha256(content).hexdigest(), len(content))
    kind, key = str(request["kind"]), str(request["key"])
    licenses = request.get("licenses")
    try:
        document = document_of(content)
        if key:
            _verify(document, content, key, str(request["signature"]))
    except SignatureError as fault:
        return _with(answer, signature=str(fault))
    except FileError as fault:
        return _with(answer, fault=str(fault))
    if kind == "file":
        return answer
    try:
        found = _read(kind, document, [str(name) for name in licenses] if isinstance(licenses, list) else [])
    except FileError as fault:
        return _with(answer, fault=str(fault))
    return _with(answer, **found)


class SignatureError(Exception):
    """The signature is not there, or not good."""


def _verify(document: Document, content: bytes, key: str, signature: str) -> None:
    from sparkrelease.adapters.preflight.signatures import fault_of  # noqa: PLC0415 - only where it is asked for

    fault = fault_of(document, content, key, signature)
    if fault:
        raise SignatureError(fault)


def _read(kind: str, document: Document, licenses: list[str]) -> Mapping[str, object]:
    if kind == "sbom":
        from sparkrelease.adapters.preflight.sboms import read_sbom  # noqa: PLC0415 - heavy, for this kind alone

        return read_sbom(document, licenses)
    if kind == "dashboard":
        from sparkrelease.adapters.preflight.dashboards import read_dashboard  # noqa: PLC0415

        return read_dashboard(document)
    from sparkrelease.adapters.preflight.reports import read_provenance, read_vulnerabilities  # noqa: PLC0415

    return read_vulnerabilities(document) if kind == "vulnerabilities" else read_provenance(document)


def _with(answer: FileAnswer, **changes: object) -> FileAnswer:
    return FileAnswer(**{**asdict(answer), **changes})


def main() -> None:
    """One request on standard input, one answer on standard output."""
    with contextlib.suppress(ValueError):  # a lower limit is in force already
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    answer = examine(json.load(sys.stdin.buffer))
    json.dump(asdict(answer), sys.stdout)


if __name__ == "__main__":
    main()
