"""Who signed what, and what is missing."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table

from sparkrelease.api.approval import Decision
from sparkrelease.cli.render.words import Tone, say
from sparkrelease.decide.approvals import Item, Tally
from sparkrelease.decide.facts import Approval


def render_signed(approval: Approval, release: str) -> RenderableType:
    """The signature is at the API server."""
    what = f"stage {approval.stage}" if approval.stage else ", ".join(approval.items) or "the go/no-go"
    lifted = f", overriding {', '.join(approval.overrides)}" if approval.overrides else ""
    tone = Tone.GOOD if approval.decision is Decision.GO else Tone.BAD
    mark = "✔" if approval.decision is Decision.GO else "✖"
    text = (
        f"{mark} {approval.decision.value} for {release}, run {approval.run}: {what}{lifted}, signed by {approval.by}"
    )
    return say(text, tone)


def render_tally(tally: Tally) -> RenderableType:
    """Item by item who signed, and at the end what is missing."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for item in tally.items:
        mark, tone = ("✔", Tone.GOOD) if item.missing == 0 else ("·", Tone.CAUTION)
        table.add_row(say(mark, tone), say(item.wanted.name), say(_said(item)))
    end = say(tally.standing, Tone.GOOD if tally.complete else Tone.CAUTION)
    return Group(table, end)


def _said(item: Item) -> str:
    by = ", ".join(approval.by for approval in item.signed)
    missing = f"{item.missing} missing{item.whom}" if item.missing else ""
    return "; ".join(part for part in (by, missing) if part)
