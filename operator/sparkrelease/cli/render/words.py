"""Small pieces of every view: safe text, spans of time, percentages, and the colours' meanings."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from rich.text import Text

from sparkrelease.api.status import Phase, Verdict


class Tone(StrEnum):
    """What a colour means; every colour stands beside a word or a mark that says the same."""

    GOOD = "green"
    BAD = "bold red"
    CAUTION = "yellow"
    BUSY = "cyan"
    QUIET = "dim"
    STRONG = "bold"
    PLAIN = ""


PHASES = {
    Phase.PENDING: Tone.QUIET,
    Phase.PREFLIGHT: Tone.BUSY,
    Phase.AWAITING_APPROVAL: Tone.CAUTION,
    Phase.PROGRESSING: Tone.BUSY,
    Phase.WATCHING: Tone.BUSY,
    Phase.SUCCEEDED: Tone.GOOD,
    Phase.ROLLING_BACK: Tone.BAD,
    Phase.ROLLED_BACK: Tone.BAD,
    Phase.BLOCKED: Tone.CAUTION,
}

VERDICTS = {
    Verdict.PASS: ("✔", Tone.GOOD),
    Verdict.FAIL: ("✖", Tone.BAD),
    Verdict.INCONCLUSIVE: ("?", Tone.CAUTION),
    Verdict.NO_DATA: ("?", Tone.CAUTION),
    Verdict.ERROR: ("!", Tone.BAD),
}
"""Mark and tone of each verdict."""

_TENTHS_BELOW = 10
"""Seconds below which a span shows tenths."""

_DIGEST_SHOWN = len("sha256:") + 16
_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def clean(text: str) -> str:
    """The text on one line, without what could move the cursor or colour the terminal: it comes from a cluster."""
    return "".join(c if c.isprintable() else " " for c in text)


def say(text: str, tone: Tone = Tone.PLAIN) -> Text:
    """Safe text in a tone; never read as markup."""
    return Text(clean(text), style=tone.value)


def percent(weight: float | None) -> str:
    """`25 %`, `0.125 %`; a dash for an unknown one."""
    return "-" if weight is None else f"{weight:.6g} %"


def given(weight: float | None, mirror: float | None) -> str:
    """What canary gets: `25 %`, or `100 % mirrored`."""
    return f"{percent(mirror)} mirrored" if mirror else percent(weight)


def span(length: timedelta) -> str:
    """A span for a person: its two largest units, tenths of a second below ten. Never negative."""
    seconds = max(length.total_seconds(), 0.0)
    if 0 < seconds < _TENTHS_BELOW:
        return f"{seconds:.1f}s".replace(".0s", "s")
    rest = int(seconds)
    parts: list[str] = []
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append(f"{count}{unit}")
    return "".join(part for part in parts[:2] if not part.startswith("0")) or "0s"


def ago(then: datetime, now: datetime) -> str:
    """`12m ago`."""
    return f"{span(now - then)} ago"


def clock(at: datetime) -> str:
    """Time of day in UTC, such as `14:02:10`; every view that uses it names the zone."""
    return f"{at:%H:%M:%S}"


def count(number: int, one: str, many: str = "") -> str:
    """`1 entry`, `2 entries`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def short_digest(digest: str) -> str:
    """The beginning of a digest, enough for the eye to compare."""
    return f"{digest[:_DIGEST_SHOWN]}…" if len(digest) > _DIGEST_SHOWN else digest
