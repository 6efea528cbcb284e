"""Evidence as a table, and what came of checking it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sparkrelease.api.reasons import Reason
from sparkrelease.cli.evidence import Checked, StoredEvidence
from sparkrelease.cli.render.words import Tone, count, say
from sparkrelease.decide.evidence import Entry

_GONE_WRONG = frozenset(
    {
        Reason.ROLLED_BACK,
        Reason.TRIGGER_FIRED,
        Reason.ROLLING_BACK,
        Reason.ROLLBACK_REQUESTED,
        Reason.DATA_MISSING_TOO_LONG,
        Reason.ROUTE_CONTESTED,
        Reason.GATE_FAILED,
        Reason.SETTLE_BREACHED,
        Reason.CANARY_CHANGED,
    }
)
_GONE_WELL = frozenset({Reason.GATE_PASSED, Reason.PROMOTED, Reason.SETTLED})


def render_entries(entries: Sequence[Entry]) -> RenderableType:
    """One line per entry: number, time, kind and sentence."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=Tone.QUIET.value)
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("TIME (UTC)", no_wrap=True)
    table.add_column("KIND", overflow="fold")
    table.add_column("MESSAGE", overflow="fold")
    for entry in entries:
        at = entry.at.replace("T", " ").removesuffix("Z")[:19]
        table.add_row(str(entry.number), say(at, Tone.QUIET), say(entry.kind, _tone(entry.kind)), say(entry.message))
    return table


def _tone(kind: str) -> Tone:
    return Tone.BAD if kind in _GONE_WRONG else Tone.GOOD if kind in _GONE_WELL else Tone.PLAIN


def render_checked(checked: Checked, release: str) -> RenderableType:
    """The answer, the first broken entry by name, and how far the answer reaches."""
    stored = checked.stored
    amount = f"{count(len(stored.lines), 'entry', 'entries')} in {count(len(stored.config_maps), 'ConfigMap')}"
    title = f"{release}, run {stored.run}: {amount}"
    if not checked.intact:
        return Group(say(f"✖ {title}", Tone.BAD), _faults(checked))
    head = stored.entries[-1].digest if stored.entries else "none"
    lines: list[Text] = [say(f"✔ {title}, every link holds", Tone.GOOD), say(f"  head {head}")]
    if checked.known is None:
        text = "  the status does not remember this run: an end that is missing could not be seen"
        lines.append(say(text, Tone.CAUTION))
    else:
        lines.append(say("  it is the head the status knows", Tone.QUIET))
    return Group(*lines)


def _faults(checked: Checked) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name in checked.missing:
        table.add_row(say("  Missing", Tone.BAD), say(f"ConfigMap {name} is gone"))
    if checked.broken is not None:
        where = f" (ConfigMap {checked.place})" if checked.place else ""
        table.add_row(say(f"  {checked.broken.kind.value}", Tone.BAD), say(f"{checked.broken.message}{where}"))
    return table


def render_no_evidence(stored: StoredEvidence, release: str) -> RenderableType:
    """For a run that has none yet."""
    return say(f"{release}, run {stored.run}: no evidence yet", Tone.QUIET)
