"""From what a server said to an answer, or to why there is none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from sparkrelease.adapters.prometheus.client import HTTPAnswer
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Missing
from sparkrelease.decide.series import Answer, RangeAnswer, Row, Series

_SHOWN = 160
_SHORTEST_SECRET = 6
_REFUSED = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})
_OF_THE_QUERY = frozenset({"bad_data", "execution"})
_UNREADABLE = Missing(Reason.PROMETHEUS_ERROR, "the answer's rows cannot be read", True)
_REMARK = "PromQL"
"""Prometheus begins its remarks on a query with it; other warnings are about the data behind it."""


def read_answer(answer: HTTPAnswer) -> Answer | Missing:
    """Reads an HTTP answer to an instant query. A refused query is the release's fault, all else the server's."""
    body = _body(answer, "vector")
    if isinstance(body, Missing):
        return body
    rows = _rows(body["data"]["result"])
    return rows if isinstance(rows, Missing) else Answer(rows, _texts(body.get("infos")))


def read_range(answer: HTTPAnswer) -> RangeAnswer | Missing:
    """Reads an HTTP answer to a range query."""
    body = _body(answer, "matrix")
    if isinstance(body, Missing):
        return body
    series = _series(body["data"]["result"])
    return series if isinstance(series, Missing) else RangeAnswer(series)


def _body(answer: HTTPAnswer, wanted: str) -> Mapping[str, Any] | Missing:
    """The body of a complete answer of the kind wanted."""
    if answer.status in range(300, 400):
        return Missing(Reason.PROMETHEUS_ERROR, f"HTTP {answer.status}: redirects are not followed", True)
    try:
        body = json.loads(answer.body, object_hook=_Reader().take)
    except (ValueError, RecursionError):
        return Missing(Reason.PROMETHEUS_ERROR, f"HTTP {answer.status}, not JSON: {_short(answer.body)}", True)
    if not isinstance(body, dict):
        return Missing(Reason.PROMETHEUS_ERROR, f"HTTP {answer.status}, not an answer: {_short(answer.body)}", True)
    if answer.status != HTTPStatus.OK or body.get("status") != "success":
        return _refusal(answer.status, body)
    warnings = _texts(body.get("warnings"))
    if warnings:
        whole_server = not all(warning.startswith(_REMARK) for warning in warnings)
        return Missing(Reason.PARTIAL_ANSWER, f"the server warns: {_short('; '.join(warnings))}", whole_server)
    data = body.get("data")
    if not isinstance(data, dict) or data.get("resultType") != wanted:
        kind = data.get("resultType") if isinstance(data, dict) else None
        return Missing(Reason.INVALID_QUERY, f"the query answers {_short(str(kind))}, a {wanted} is wanted")
    if not isinstance(data.get("result"), list):
        return _UNREADABLE
    return body


def clock_skew(answer: HTTPAnswer, received: datetime, most: timedelta) -> Missing | None:
    """Whether the server's clock is so far off that ages of samples mean nothing. No time told: no skew seen."""
    try:
        says = parsedate_to_datetime(answer.headers.get("Date", ""))
    except ValueError:
        return None
    says = says if says.tzinfo is not None else says.replace(tzinfo=UTC)
    off = says - received
    if abs(off) <= most:
        return None
    way = "ahead of" if off > timedelta(0) else "behind"
    text = f"the server's clock is {abs(off).total_seconds():.0f} s {way} the operator's"
    return Missing(Reason.CLOCK_SKEW, text, True)


def without(secrets: Iterable[str], text: str) -> str:
    """The text with every secret in it blotted out."""
    for secret in secrets:
        for part in (secret, secret.rpartition(" ")[2]):
            if len(part) >= _SHORTEST_SECRET:
                text = text.replace(part, "***")
    return text


def _refusal(status: int, body: Mapping[str, object]) -> Missing:
    kind, text = _short(str(body.get("errorType", ""))), _short(str(body.get("error", "")))
    if status in _REFUSED and kind in _OF_THE_QUERY:
        return Missing(Reason.INVALID_QUERY, f"{kind}: {text}")
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return Missing(Reason.PROMETHEUS_ERROR, f"HTTP {status}: the server does not let the operator in: {text}", True)
    return Missing(Reason.PROMETHEUS_ERROR, f"HTTP {status} {kind}: {text}", True)


class _Reader:
    """Makes a row of each series of an instant query as soon as it is read, with every text in it once.

    An answer for a thousand releases has thousands of series: as JSON they would take several times the memory.
    """

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def take(self, found: dict[str, Any]) -> object:
        """The row an object of the answer is; what is none is left as it is."""
        labels, value = found.get("metric"), found.get("value")
        if not isinstance(labels, dict) or not isinstance(value, list):
            return found
        try:
            once = {name: self._texts.setdefault(text, text) for name, text in _labels(labels).items()}
            return Row(once, float(value[1]))
        except (IndexError, TypeError, ValueError):
            return found


def _rows(result: list[Any]) -> list[Row] | Missing:
    odd = next((series for series in result if not isinstance(series, Row)), None)
    if odd is None:
        return result
    if isinstance(odd, dict) and "histogram" in odd:
        return Missing(Reason.INVALID_QUERY, "the query answers a native histogram, a number is wanted")
    return _UNREADABLE


def _series(result: list[Any]) -> list[Series] | Missing:
    found = []
    moments: dict[float, float] = {}
    for series in result:
        try:
            # Every series of an answer has the same instants: each is kept once.
            points = tuple((moments.setdefault(at, float(at)), float(value)) for at, value in series["values"])
            found.append(Series(_labels(series["metric"]), points))
        except (KeyError, TypeError, ValueError):
            return _UNREADABLE
    return found


def _labels(labels: object) -> Mapping[str, str]:
    if isinstance(labels, dict) and all(type(value) is str for value in labels.values()):
        return labels
    raise TypeError("labels are no map of texts")


def _texts(items: object) -> tuple[str, ...]:
    if not isinstance(items, list):
        return () if items is None else (str(items),)
    return tuple(str(item) for item in items)


def _short(body: bytes | str) -> str:
    text = body[: 4 * _SHOWN].decode(errors="replace") if isinstance(body, bytes) else body[: 4 * _SHOWN]
    text = re.sub(r"[\s\x00-\x1f\x7f]+", " ", text).strip()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
