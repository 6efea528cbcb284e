"""What came of replaying a run."""

from __future__ import annotations

import json

from rich.console import Group, RenderableType
from rich.table import Table

from sparkrelease import __version__
from sparkrelease.cli.evidence import Checked
from sparkrelease.cli.render.words import Tone, count, say
from sparkrelease.decide.replay import Difference, Replayed

_LONGEST = 400
"""Characters of a value that are shown; `-o json` has it whole."""


def render_replayed(found: Replayed, checked: Checked, release: str) -> RenderableType:
    """All decisions reproduced, or the first difference: entry, field, stored, recomputed."""
    title = f"{release}, run {checked.stored.run}"
    if found.difference is not None:
        text = f"✖ {title}: entry {found.difference.entry} does not come out as it was recorded"
        before = f"  {count(found.decisions, 'decision')} before it came out as recorded"
        return Group(say(text, Tone.BAD), _difference(found.difference, checked), say(before, Tone.QUIET))
    amount = f"{found.decisions} of {count(found.decisions, 'decision')} reproduced"
    lines = [say(f"✔ {title}: {amount} ({count(found.entries, 'entry', 'entries')})", Tone.GOOD)]
    if checked.known is None:
        lines.append(say("  no status knows the head of this chain: an end that is missing could not be seen"))
    return Group(*lines)


def _difference(difference: Difference, checked: Checked) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    entry = next((one for one in checked.stored.entries if one.number == difference.entry), None)
    if entry is not None:
        table.add_row(say("  entry", Tone.QUIET), say(f"{entry.number} {entry.kind}: {entry.message}"))
    table.add_row(say("  field", Tone.QUIET), say(difference.field))
    table.add_row(say("  stored", Tone.QUIET), say(_short(difference.stored), Tone.BAD))
    table.add_row(say("  recomputed", Tone.QUIET), say(_short(difference.recomputed), Tone.GOOD))
    if difference.recorded_by not in {"", __version__}:
        text = f"{difference.recorded_by} decided, {__version__} replayed: rules may have changed between them"
        table.add_row(say("  version", Tone.QUIET), say(text, Tone.CAUTION))
    return table


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
