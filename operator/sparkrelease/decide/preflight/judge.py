"""From an answer to what it means for the item: passed, failed, or not answered at all."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import assert_never

from sparkrelease.api.expectations import DENIALS, Expectation, Op, steps_of
from sparkrelease.api.preflight import PreflightItem
from sparkrelease.api.status import Verdict
from sparkrelease.decide.facts import Check
from sparkrelease.decide.preflight.answers import (
    FileAnswer,
    HttpAnswer,
    JobAnswer,
    PreflightAnswer,
    SeriesAnswer,
    Unanswered,
)
from sparkrelease.decide.preflight.files import file_faults, say_file
from sparkrelease.decide.series import Row

_SHOWN = 80
_MOST_FAULTS = 3
_OK = 200
_ABSENT = object()


def judge(item: PreflightItem, answer: PreflightAnswer) -> Check:
    """What the answer says of the item; the message is the sentence for a person."""
    match answer:
        case Unanswered(verdict, message, details):
            return Check(item.name, item.optional, verdict, message, dict(details))
        case SeriesAnswer():
            return _series(item, answer)
        case HttpAnswer():
            details = {"url": answer.url, "status": str(answer.status), "seconds": f"{answer.seconds:.3f}"}
            fine = f"{answer.status} in {answer.seconds:.3f} s"
            return _check(item, list(_http_faults(item, answer)), fine, details)
        case JobAnswer():
            return _job(item, answer)
        case FileAnswer():
            details = {"file": answer.file, "sha256": answer.sha256, "format": answer.form}
            return _check(item, list(file_faults(item, answer)), say_file(answer), details)
        case _:
            assert_never(answer)


def _check(item: PreflightItem, faults: list[str], fine: str, details: Mapping[str, str]) -> Check:
    if not faults:
        return Check(item.name, item.optional, Verdict.PASS, fine, details)
    more = f"; and {len(faults) - _MOST_FAULTS} more" if len(faults) > _MOST_FAULTS else ""
    return Check(item.name, item.optional, Verdict.FAIL, "; ".join(faults[:_MOST_FAULTS]) + more, details)


# ---------------------------------------------------------------- series


def _series(item: PreflightItem, answer: SeriesAnswer) -> Check:
    """Every series must fit: one database that is not up is one too many."""
    details = {"query": answer.query}
    if not answer.rows:
        return Check(item.name, item.optional, Verdict.NO_DATA, "the query answers no series", details)
    faults = [fault for row in answer.rows for fault in _row_faults(item, row)]
    values = [row.value for row in answer.rows]
    first = f"{values[0]:.6g}" if len(values) == 1 else f"{len(values)} series, {min(values):.6g} to {max(values):.6g}"
    return _check(item, faults, first, details)


def _row_faults(item: PreflightItem, row: Row) -> Iterator[str]:
    labels = ", ".join(f"{name}={value}" for name, value in sorted(row.labels.items()) if name != "__name__")
    whose = f" of {{{_short(labels)}}}" if labels else ""
    if row.histogram is not None:
        yield f"the value{whose} is a native histogram, a number is wanted"
        return
    if math.isnan(row.value):
        yield f"the value{whose} is not a number"
        return
    for expected in item.expected:
        if not _compares(expected, row.value):
            yield f"{row.value:.6g}{whose}, expected {expected.text}"


def _compares(expected: Expectation, value: float) -> bool:
    """A series may be infinite, which no text of an expectation is."""
    if math.isinf(value):
        above = value > 0
        return expected.op is Op.OTHER or expected.op in ({Op.ABOVE, Op.AT_LEAST} if above else {Op.BELOW, Op.AT_MOST})
    return expected.holds_of(repr(value))


# ---------------------------------------------------------------- HTTP


def _http_faults(item: PreflightItem, answer: HttpAnswer) -> Iterator[str]:
    if not any(expected.subject == "status" for expected in item.expected) and answer.status != _OK:
        yield f"status {answer.status}, expected 200{_redirect(answer)}"
    document: object = _ABSENT
    for expected in item.expected:
        if expected.subject == "status":
            if not expected.holds_of(str(answer.status)):
                yield f"status {answer.status}, expected {expected.text}{_redirect(answer)}"
        elif expected.subject.startswith("."):
            document = _json(answer.body) if document is _ABSENT else document
            yield from _field_fault(expected, document)
        else:
            found = [value for name, value in answer.headers if name.lower() == expected.subject.lower()]
            yield from _header_fault(expected, [value for value in found if value.strip()])


def _header_fault(expected: Expectation, found: list[str]) -> Iterator[str]:
    """A header that is empty is none. Of one that comes twice, one must say it, or none the contrary."""
    if not found:
        yield f"no header {expected.subject}"
        return
    bad = [value for value in found if not expected.holds_of(value)]
    if bad and (expected.op in DENIALS or len(bad) == len(found)):
        yield _other(expected, bad[0], f"{expected.subject}: {_short(bad[0])}")


def _other(expected: Expectation, found: str, shown: str) -> str:
    """What was found instead; of a list of words that must not be there, those that are."""
    if expected.op is Op.LACKS:
        return f"{expected.subject} has {_short(', '.join(expected.names_in(found)))}, expected none of that"
    return f"{shown}, expected {expected.text}"


def _redirect(answer: HttpAnswer) -> str:
    return " (redirects are not followed)" if answer.status in range(300, 400) else ""


def _json(body: bytes) -> object:
    """The document, or the ValueError that says it is none."""
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError):
        return ValueError()
    return found


def _field_fault(expected: Expectation, document: object) -> Iterator[str]:
    if isinstance(document, ValueError):
        yield "the body is not JSON"
        return
    found = _at(document, expected.subject)
    if found is _ABSENT:
        yield f"no field {expected.subject}"
    elif not expected.holds_of(_text(found)):
        yield _other(expected, _text(found), f"{expected.subject} is {_short(_text(found))}")


def _at(document: object, path: str) -> object:
    for step in steps_of(path):
        match document, step:
            case Mapping(), str() if step in document:
                document = document[step]
            case list(), int() if step < len(document):
                document = document[step]
            case _:
                return _ABSENT
    return document


def _text(value: object) -> str:
    """A JSON value as people write it in an expectation."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# ---------------------------------------------------------------- jobs


def _job(item: PreflightItem, answer: JobAnswer) -> Check:
    code = "" if answer.exit_code is None else f"exit code {answer.exit_code}"
    details = {"job": answer.job, "exitCode": "" if answer.exit_code is None else str(answer.exit_code)}
    details["log"] = answer.log
    faults = []
    if not answer.succeeded:
        said = answer.log.strip().splitlines()[-1:]
        words = [part for part in (code, answer.why, f"its log ends: {_short(said[0])}" if said else "") if part]
        faults.append("the Job failed: " + ", ".join(words or ["nobody says why"]))
    for expected in item.expected:
        if not expected.holds_of(answer.log):
            faults.append(f"the end of the log has no {_short(expected.value)!r}")
    return _check(item, faults, code or "succeeded", details)


def _short(text: str) -> str:
    """One line of it that can be stored: what a server sends may hold characters that are none."""
    line = " ".join(text.encode(errors="replace").decode().split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
