"""The release note of a real run, table by table, beside what was recorded of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from e2e.exports import at
from testbed.markdown import table

if TYPE_CHECKING:
    from sparkrelease.documents.record import Run

MARKS = {"Pass": "✔", "Fail": "✖"}
"""Any other verdict is a question mark."""

BURNS = {"burn rate 1h": "≤ 14.4x", "burn rate 6h": "≤ 6x"}
"""The pairs of windows that a watch looks at, with their limits."""

LEFT = {"Passed": "passed", "RolledBack": "rolled back"}
"""How a stage was left."""

NOBODY = "to be named"
"""Owner and date of a risk: only people can say them."""

A_DIGIT = 0.005
"""Part of a number by which its three digits may differ from it."""

RISK = ["description", "owner", "due", "mitigation", "status"]


def check_stages(note: str, body: Mapping[str, Any]) -> None:
    """Each stage has its traffic, how long it lasted, how it was left, and how many of its metrics were well."""
    head, *rows = table(note, "Stages")
    assert head == ["stage", "traffic", "duration", "status", "metrics"]
    stages = _stages(body)
    for row, one in zip(rows, stages, strict=False):
        name, traffic, lasted, status, metrics = row
        assert (name, traffic, status) == (one["name"], f"{one['weight']:g} %", LEFT[one["status"]])
        assert abs(_seconds(lasted) - (at(one["leftAt"]) - at(one["enteredAt"]))) <= 1
        assert metrics.partition(" ")[0].rstrip(",") == f"{one['passing']}/{one['objectives']}"
    names = [stage["name"] for stage in body["spec"]["stages"]]
    assert [row[0] for row in rows[len(stages) :]] == [
        name for name in names if name not in {one["name"] for one in stages}
    ]
    assert {tuple(row[2:]) for row in rows[len(stages) :]} <= {("-", "not reached", "-")}


def check_metrics(note: str, body: Mapping[str, Any], objectives: Sequence[str]) -> None:
    """Each objective has its limit and, for each stage, canary's value with the verdict, and stable's value.

    Stable has none where all traffic was canary's. The burn rates of the watch come after them.
    """
    head, *rows = table(note, "Metrics by stage")
    stages = [one for one in _stages(body) if one["results"]]
    assert head[:2] == ["objective", "limit"]
    assert [cell.partition(" (")[0] for cell in head[2:]] == [one["name"] for one in stages]
    assert [row[0] for row in rows[: len(objectives)]] == list(objectives)
    for row in rows[: len(objectives)]:
        for cell, stage in zip(row[2:], stages, strict=True):
            (result,) = [one for one in stage["results"] if one["objective"] == row[0]]
            assert row[1] == result["limit"] and re.search(r"\d", row[1])
            stable = r"no data" if result["stable"] is None and stage["weight"] == 100 else r"[\d.e-]+(?: \S+)?"
            shown = re.fullmatch(rf"([\d.e-]+)( \S+)? (\S) \({stable}\)", cell)
            assert shown is not None, (row[0], cell)
            value = float(shown[1]) / (100 if shown[2] == " %" else 1)
            assert abs(value - result["canary"]) <= A_DIGIT * abs(result["canary"]), (row[0], cell, result["canary"])
            assert shown[3] == MARKS.get(result["verdict"], "?")
    burns = BURNS if body["spec"].get("watch", {}).get("burnRates") else {}
    assert {row[0]: row[1] for row in rows[len(objectives) :]} == burns
    for row in rows[len(objectives) :]:
        for cell, stage in zip(row[2:], stages, strict=True):
            seen = next((one for one in stage["burnRates"] if one["rule"] == row[0]), None)
            assert cell == (f"{seen['value']} {MARKS.get(seen['verdict'], '?')}" if seen else "-")
            assert (seen is not None) == (stage["name"] == "watch")


def check_rollback(note: str, run: Run, record: Mapping[str, Any]) -> None:
    """The rollback has its rule, when it was decided, how long it took, from which weight, and its entry."""
    head, (rule, decided, took, weight, entry) = table(note, "Rollback events")
    assert head == ["rule", "decided", "recovery time", "from", "evidence"]
    assert (rule, weight, took) == (record["trigger"], f"{record['fromWeight']:g} %", f"{record['seconds']:.3g} s")
    told = datetime.strptime(f"{decided} +0000", "%Y-%m-%d %H:%M:%S.%f UTC %z").timestamp()
    assert abs(told - at(record["decidedAt"])) <= 0.0015
    number = int(entry.removeprefix("entry "))
    (decision,) = [one for one in run.entries if one.number == number]
    assert (decision.kind, decision.data["trigger"]) == (record["reason"], record["trigger"])
    assert record["message"] in decision.message


def check_risks(note: str, body: Mapping[str, Any]) -> list[str]:
    """Each risk says what may be done about it and where it stands; who and by when is left open. What they say."""
    head, *rows = table(note, "Remaining risks")
    assert head == RISK
    if not body["risks"]:
        assert rows == [["none that this evidence shows", "-", "-", "-", "-"]]
        return []
    assert len(rows) == len(body["risks"])
    assert {(owner, due) for _, owner, due, _, _ in rows} == {(NOBODY, NOBODY)}
    for row, risk in zip(rows, body["risks"], strict=True):
        number = f" (entry {risk['entry']})" if risk["entry"] else ""
        assert row[0] and row[3:] == [risk["mitigation"], f"{risk['status']}{number}"]
    return [row[0] for row in rows]


def _stages(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in body["stages"] if not one["walkBack"]]


def _seconds(span: str) -> float:
    """`1m6s` and `2.5s` as seconds."""
    found = re.fullmatch(r"(?:(\d+)m)?(?:([\d.]+)s)?", span)
    assert found is not None, span
    return 60 * float(found[1] or 0) + float(found[2] or 0)
