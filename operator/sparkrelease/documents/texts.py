"""The files of a run that people read as text: the seven of its ritual, those of a rollback, and its release note."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from sparkrelease.decide.facts import MetricFacts, Missing, Reading
from sparkrelease.decide.rules import show
from sparkrelease.documents.environment import Ready, render
from sparkrelease.documents.originals import PROVENANCE, SBOM, Original, Originals
from sparkrelease.documents.people import NOT_PART, Checked
from sparkrelease.documents.plan import plan_of
from sparkrelease.documents.record import Run
from sparkrelease.documents.rollbacks import Rollback
from sparkrelease.documents.view import View
from sparkrelease.documents.words import columns, exact, span, stamp

_MOST_TOLD = 40
"""Entries in the timeline of an incident; the last ones count."""


def ritual(view: View, originals: Originals) -> Iterator[tuple[str, str]]:
    """The seven files that every run leaves, by name."""
    run = view.run
    for name in ("release_tag.txt", "go_nogo_signed.txt", "blind_spots_scan.txt"):
        yield name, render(name, view=view, run=run)
    yield "baseline_metrics.txt", render("baseline_metrics.txt", view=view, run=run, readings_table=_table(run))
    yield "canary_plan.txt", render("canary_plan.txt", view=view, run=run, plan=plan_of(run))
    yield "sbom.json", _looked_at(view.files(SBOM), originals, "a software bill of materials")
    yield "build_provenance.json", _looked_at(view.files(PROVENANCE), originals, "build provenance")


def of_rollback(view: View) -> Iterator[tuple[str, str]]:
    """What a rollback leaves beside them; nothing where there was none."""
    run, rollback = view.run, view.rollback
    if rollback is None:
        return
    at = stamp(rollback.decided_at)
    values = {"view": view, "run": run, "rollback": rollback, "readings_table": _table(run)}
    said = [[one.rule, one.verdict, one.message] for one in rollback.said]
    failed = [[one.rule, one.value, one.limit] for one in rollback.failed]
    yield f"rollback_{at}.txt", render("rollback.txt", said=said, failed=failed, **values)
    yield f"metrics_before_rollback_{at}.txt", render("metrics_before_rollback.txt", **values)
    yield f"metrics_after_rollback_{at}.txt", render("metrics_after_rollback.txt", **values)
    impact, timeline = _impact(run, rollback), [*run.entries][-_MOST_TOLD:]
    told = {"impact": impact, "recovery": _recovery(run, rollback), "timeline": timeline}
    yield f"incident_{at}.md", render("incident.md", **told, **values)


def release_notes(view: View) -> str:
    """One page: stages, metrics by stage, rollbacks, what remains."""
    reached = {visit.name for visit in view.stages}
    rest = [stage for stage in view.run.spec.stages if stage.name not in reached]
    return render("release-notes.md", view=view, run=view.run, not_reached=rest)


def _looked_at(found: tuple[Checked, ...], originals: Originals, what: str) -> str:
    """What checks said of such a file, or that there was none: nobody can take it for an empty bill of materials."""
    if not found:
        body: dict[str, object] = {"partOfRun": False, "note": f"{NOT_PART}: no check of its preflight is about {what}"}
    else:
        note = (
            "evidence keeps the digest and what was found; `original` is the file itself, with that digest, or "
            "`originalMissing` says why it is not here; it was where `file` says"
        )
        items = [
            {
                "check": one.name,
                "verdict": one.verdict,
                "message": one.message,
                **dict(one.details),
                **({"reference": one.reference} if one.reference else {}),
                **_kept(originals.get(one.name, Original(missing="nobody looked for it"))),
                "entry": one.entry,
                "entryDigest": one.digest,
            }
            for one in found
        ]
        body = {"partOfRun": True, "note": note, "files": items}
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"


def _kept(original: Original) -> Mapping[str, str]:
    return {"original": original.path} if original.path else {"originalMissing": original.missing}


# ---------------------------------------------------------------- readings


class _table:  # noqa: N801 - a function with the run inside it
    """Readings as a table of text."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __call__(self, readings: Mapping[str, MetricFacts], sides: str) -> Ready:
        """`sides` is `both` or `stable`."""
        if not readings:
            return Ready(f"  {NOT_PART}: no reading is kept")
        names = ["canary", "stable"] if sides == "both" else ["stable"]
        rows = [["metric", *names, "over", "at"]]
        for name, facts in readings.items():
            shown = {"canary": self._said(name, facts.canary), "stable": self._said(name, facts.stable)}
            rows.append([name, *(shown[side] for side in names), span(facts.window), exact(facts.at)])
        return Ready(columns(rows))

    def _said(self, name: str, reading: Reading) -> str:
        metric = next((one for one in self._run.spec.metrics if one.name == name), None)
        if isinstance(reading, Missing):
            return f"{reading.reason.value}: {reading.message}"
        return show(metric, reading, self._edge(name)) if metric is not None else str(reading)

    def _edge(self, name: str) -> float | None:
        """The limit whose bucket the table shows."""
        return next((one.max for one in self._run.spec.thresholds if one.metric == name and one.max is not None), None)


def _impact(run: Run, rollback: Rollback) -> list[str]:
    """What canary's requests met, by the readings it was decided on."""
    table = _table(run)
    return [
        f"{name}, over {span(facts.window)} up to {exact(facts.at)}: canary {table._said(name, facts.canary)}, "
        f"stable {table._said(name, facts.stable)}"
        for name, facts in rollback.before.items()
    ]


def _recovery(run: Run, rollback: Rollback) -> list[str]:
    """What stable was once traffic was back."""
    table = _table(run)
    return [
        f"{name}, over {span(facts.window)} up to {exact(facts.at)}: stable {table._said(name, facts.stable)}"
        for name, facts in rollback.after.items()
    ]
