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
from sparkrelease.decide.native import Bucket, Histogram, histogram_of
from sparkrelease.decide.series import Answer, RangeAnswer, Row, Series, row_of

_SHOWN = 160
_SHORTEST_SECRET = 6
_REFUSED = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})
_OF_THE_QUERY = frozenset({"bad_data", "execution"})
_UNREADABLE = Missing(Reason.PROMETHEUS_ERROR, "the answer's rows cannot be read", True)
_REMARK = "PromQL"
"""Prometheus begins its remarks on a query with it; other warnings are about the data behind it."""

_LEFT_OUT = re.compile(
    r"PromQL warning: (vector contains a mix of histograms with exponential and custom buckets schemas"
    r"|incompatible bucket layout encountered for binary operator)"
)
"""Native histograms of two kinds cannot be added up: the server leaves out those of one Service, not of the others."""


def read_answer(answer: HTTPAnswer) -> Answer | Missing:
    """Reads an HTTP answer to an instant query. A refused query is the release's fault, all else the server's."""
    body = _body(answer, "vector", may_leave_out=True)
    if isinstance(body, Missing):
        return body
    rows = _rows(body["data"]["result"])
    left_out = _short("; ".join(_texts(body.get("warnings"))))
    return rows if isinstance(rows, Missing) else Answer(rows, _texts(body.get("infos")), left_out)


def read_range(answer: HTTPAnswer) -> RangeAnswer | Missing:
    """Reads an HTTP answer to a range query."""
    body = _body(answer, "matrix")
    if isinstance(body, Missing):
        return body
    series = _series(body["data"]["result"])
    return series if isinstance(series, Missing) else RangeAnswer(series)


def _body(answer: HTTPAnswer, wanted: str, *, may_leave_out: bool = False) -> Mapping[str, Any] | Missing:
    """The body of a complete answer of the kind wanted, or of one that says which series are not in it."""
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
    if warnings and not (may_leave_out and all(_LEFT_OUT.match(warning) for warning in warnings)):
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
        """The row an object of the answer is, or the histogram; what is none is left as it is."""
        labels, value, histogram = found.get("metric"), found.get("value"), found.get("histogram")
        try:
            if isinstance(labels, dict) and isinstance(value, list):
                return Row(self._once(labels), float(value[1]))
            if isinstance(labels, dict) and isinstance(histogram, list):
                return row_of(self._once(labels), _histogram(histogram[1]))
            # Without buckets it may as well be the labels of a series: it is read where it is known to be none.
            return _histogram(found) if isinstance(found.get("buckets"), list) else found
        except (KeyError, IndexError, TypeError, ValueError):
            return found

    def _once(self, labels: object) -> Mapping[str, str]:
        return {name: self._texts.setdefault(text, text) for name, text in _labels(labels).items()}


def _histogram(found: object) -> Histogram | Missing:
    """A compound sample. Raises KeyError, TypeError or ValueError for what is none."""
    if isinstance(found, Histogram | Missing):
        return found
    if not isinstance(found, dict):
        raise TypeError("a histogram is no map")
    buckets = [
        Bucket(int(rule), float(lower), float(upper), float(count))
        for rule, lower, upper, count in found.get("buckets", ())
    ]
    return histogram_of(float(found["count"]), buckets)


def _rows(result: list[Any]) -> list[Row] | Missing:
    return result if all(isinstance(series, Row) for series in result) else _UNREADABLE


def _series(result: list[Any]) -> list[Series] | Missing:
    found = []
    moments: dict[float, float] = {}
    for series in result:
        try:
            # Every series of an answer has the same instants: each is kept once.
            if "values" not in series and "histograms" not in series:
                return _UNREADABLE
            values, histograms = series.get("values", ()), series.get("histograms", ())
            points = tuple((moments.setdefault(at, float(at)), float(value)) for at, value in values)
            whole = tuple((moments.setdefault(at, float(at)), _histogram(one)) for at, one in histograms)
            found.append(Series(_labels(series["metric"]), points, whole))
        except (AttributeError, KeyError, TypeError, ValueError):
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
