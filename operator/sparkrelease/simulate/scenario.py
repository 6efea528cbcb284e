"""What happens to a simulated release, as data; a person writes `errors=2%`, `latency=+25%`, `late=2%@35m`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from sparkrelease.api.base import Documented, format_duration, parse_duration


class Expect(Documented):
    """What a good set of rules does in a scenario."""

    PROMOTE = "promote", "The version is fine: a rollback would be a false one."
    ROLL_BACK = "rollBack", "The version is bad: it should go back."
    EITHER = "either", "It depends on what the rules are meant for."


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing that can happen.

    `start` is when canary turns bad, as a share of the declared stages' time where it is a float. A scenario that
    `spreads` begins at a moment drawn anew for each run, at the latest that share of the stages' time later.
    """

    name: str
    title: str
    expect: Expect
    errors: float | None = None
    """Share of canary's requests that fail from then on."""
    slower: float = 1.0
    """How many times longer canary takes from then on."""
    leak: float = 0.0
    """How many times faster than a trend leg allows canary's gauges rise from then on."""
    start: float | timedelta = 0.0
    spreads: float = 0.0
    lasts: timedelta | None = None
    shared: bool = False
    """Whether stable suffers the same."""
    blind: bool = False
    """Whether the metrics server is away instead."""
    rps: float | None = None
    """Requests a second of both roles together, in place of the given ones."""
    error_noise: float = 0.0
    """Variance of each role's error level from minute to minute, relative to its square."""
    latency_noise: float = 0.0
    """Standard deviation of each role's log latency level from minute to minute."""

    @property
    def harmful(self) -> bool:
        """Whether anything is wrong with the release or around it."""
        return self.errors is not None or self.delays or self.leak > 0

    @property
    def delays(self) -> bool:
        """Whether users wait, rather than being refused."""
        return self.slower != 1.0


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of scenario: what a person calls it, what a value means, and the scenario of a value."""

    name: str
    help: str
    value: str
    """The value meant when none is given; empty for a kind that takes none."""
    make: Callable[[str], Scenario]


class ScenarioError(ValueError):
    """A scenario that cannot be read; says what could be written instead."""


def parse(text: str) -> Scenario:
    """Reads `NAME`, `NAME=VALUE` or `NAME=VALUE@WHEN`; ScenarioError when there is no such scenario or value."""
    name, _, rest = text.partition("=")
    kind = KINDS.get(name.strip())
    if kind is None:
        raise ScenarioError(f"there is no scenario {name!r}; there are {', '.join(KINDS)}")
    if rest and not kind.value:
        raise ScenarioError(f"scenario {kind.name} takes no value")
    value, at, when = rest.partition("@")
    made = kind.make(value.strip() or kind.value)
    if not at:
        return made
    if not when.strip():
        raise ScenarioError(f"{text!r} says no time behind @; write one such as @35m, or leave the @ out")
    start = _span(when)
    return replace(made, start=start, spreads=0.0, title=f"{made.title} from {format_duration(start)}")


def panel() -> tuple[Scenario, ...]:
    """One of each, and a mild and a strong one of what comes in degrees."""
    return tuple(parse(text) for text in PANEL)


# ---------------------------------------------------------------- values

MOST = 1_000_000.0
"""Of what comes in degrees: times slower, times faster, requests a second."""


def _share(text: str) -> float:
    """`2%`, `0.02`."""
    found = re.fullmatch(r"\+?(\d+(?:\.\d+)?)(%?)", text.strip())
    share = float(found[1]) / (100 if found[2] else 1) if found else -1.0
    if not 0 < share <= 1:
        raise ScenarioError(f"{text!r} is no share such as 2% or 0.02")
    return share


def _more(text: str) -> float:
    """`+25%` as a factor of 1.25; also `1.25x`. What is not slower is not a bad version."""
    found = re.fullmatch(r"\+?(\d+(?:\.\d+)?)(%|x)", text.strip())
    if found is None:
        raise ScenarioError(f"{text!r} is neither a rise such as +25% nor a factor such as 1.25x")
    factor = float(found[1]) if found[2] == "x" else 1 + float(found[1]) / 100
    if not 1 < factor <= MOST:
        raise ScenarioError(f"{text!r} makes nothing slower, or more than {MOST:,g}x; write +25% or 1.25x, say")
    return factor


def _factor(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)x?", text.strip())
    if found is None or not 0 < float(found[1]) <= MOST:
        raise ScenarioError(f"{text!r} is no number such as 3, above 0 and up to {MOST:,g}")
    return float(found[1])


def _span(text: str) -> timedelta:
    try:
        span = parse_duration(text.strip())
    except ValueError as fault:
        raise ScenarioError(f"{text!r}: {fault}") from fault
    if not isinstance(span, timedelta):
        raise ScenarioError(f"{text!r} is no duration such as 10m")
    return span


def a_second(rps: float) -> str:
    """`1 request/s`, `50 requests/s`."""
    return f"{rps:g} {'request' if rps == 1 else 'requests'}/s"


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


# ---------------------------------------------------------------- the kinds

NOISE = (0.25, 0.05)
"""How much a noisy service's levels move: half of the error rate, 5 % of the latency (standard deviations)."""


def _healthy(_: str) -> Scenario:
    return Scenario("healthy", "healthy", Expect.PROMOTE)


def _noisy(_: str) -> Scenario:
    errors, latency = NOISE
    return Scenario("noisy", "healthy, noisy", Expect.PROMOTE, error_noise=errors, latency_noise=latency)


def _quiet(text: str) -> Scenario:
    rps = _factor(text)
    return Scenario("quiet", f"healthy, {a_second(rps)}", Expect.PROMOTE, rps=rps)


def _errors(text: str) -> Scenario:
    share = _share(text)
    return Scenario("errors", f"errors {_percent(share)}", Expect.ROLL_BACK, errors=share)


def _latency(text: str) -> Scenario:
    factor = _more(text)
    return Scenario("latency", f"latency {100 * (factor - 1):+.4g} %", Expect.ROLL_BACK, slower=factor)


def _late(text: str) -> Scenario:
    share = _share(text)
    return Scenario("late", f"late errors {_percent(share)}", Expect.ROLL_BACK, errors=share, start=0.4)


def _leak(text: str) -> Scenario:
    return Scenario("leak", f"leak, {_factor(text):g}x the limit", Expect.ROLL_BACK, leak=_factor(text))


def _incident(text: str) -> Scenario:
    share = _share(text)
    title = f"incident, errors {_percent(share)} for 10m"
    lasts = timedelta(minutes=10)
    return Scenario("incident", title, Expect.PROMOTE, errors=share, shared=True, spreads=0.9, lasts=lasts)


def _blind(text: str) -> Scenario:
    lasts = _span(text)
    title = f"no metrics for {format_duration(lasts)}"
    return Scenario("blind", title, Expect.PROMOTE, blind=True, start=0.4, lasts=lasts)


_ALL = (
    Kind("healthy", "canary is as good as stable", "", _healthy),
    Kind("noisy", "both move from minute to minute, each by itself", "", _noisy),
    Kind("quiet", "hardly any traffic; the value is requests a second", "1", _quiet),
    Kind("errors", "canary fails this share of its requests", "2%", _errors),
    Kind("latency", "canary takes so much longer", "+100%", _latency),
    Kind("late", "errors that begin in the middle of the stages", "2%", _late),
    Kind("leak", "canary's gauges rise so many times faster than a trend leg allows", "3", _leak),
    Kind("incident", "both versions fail this share for ten minutes, at some moment", "5%", _incident),
    Kind("blind", "the metrics server is away for so long", "10m", _blind),
)
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}

PANEL = (
    "healthy",
    "noisy",
    "quiet",
    "errors=0.5%",
    "errors=2%",
    "errors=20%",
    "latency=+25%",
    "latency=+100%",
    "late=2%",
    "leak",
    "incident",
    "blind",
)
"""What is tried when no scenario is named."""
