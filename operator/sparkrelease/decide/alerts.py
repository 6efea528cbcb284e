"""Whether the alerts that watch a service are there and heard: rules the server has loaded, silences in force."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Finding, Missing, Problem


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition of a silence on a label; `equal` is False where it must not match."""

    label: str
    value: str
    regex: bool = False
    equal: bool = True

    def matches(self, value: str) -> bool:
        """Whether a label of that value meets it. A pattern that cannot be read is taken to match."""
        try:
            same = re.fullmatch(self.value, value) is not None if self.regex else self.value == value
        except re.error:
            return True
        return same is self.equal


@dataclass(frozen=True, slots=True)
class Silence:
    """A silence in force: it holds an alert back that meets all of its matchers."""

    id: str
    matchers: tuple[Matcher, ...]
    comment: str = ""


def undeclared_alerts(server: str, wanted: Sequence[str] | None, *, silences: bool) -> Iterator[Finding]:
    """What nobody looks for before a run: it goes on, and is warned of what it was not checked for.

    Args:
        server: name of the metrics server that judges the run.
        wanted: the alerts declared for it; None where the administrator says nothing, empty where there are none.
        silences: whether an Alertmanager is declared.
    """
    if wanted is None:
        text = f"no burn-rate alert is declared for server {server}, so nobody looked for one; declare `alerts`"
        yield Finding("alerts", False, Problem(Reason.ALERTS_NOT_DECLARED, text))
    elif wanted and not silences:
        text = f"no Alertmanager is declared for server {server}, so nobody looked for silences; declare `alertmanager`"
        yield Finding("alerts", False, Problem(Reason.ALERTS_NOT_DECLARED, text))


def alert_findings(
    wanted: Iterable[str],
    rules: Mapping[str, str] | Missing,
    silences: Sequence[Silence] | Missing,
    labels: Mapping[str, frozenset[str]],
) -> Iterator[Finding]:
    """What is wrong with each alert; a silence that may be about something else is only warned of.

    Args:
        wanted: names of alerting rules.
        rules: by name the health of every alerting rule the server has loaded.
        silences: those in force; empty where nobody said where to look.
        labels: values the release's alerts may have, by label.
    """
    for name in wanted:
        check = f"alerts/{name}"
        if isinstance(rules, Missing):
            yield Finding(check, True, Problem(rules.reason, f"its rule cannot be looked for: {rules.message}"))
            continue
        health = rules.get(name)
        if health is None:
            yield Finding(check, True, Problem(Reason.ALERT_MISSING, "no alerting rule of that name is loaded"))
        elif health == "err":
            yield Finding(check, True, Problem(Reason.ALERT_MISSING, "its rule fails when it is evaluated"))
        if isinstance(silences, Missing):
            text = f"silences cannot be looked for: {silences.message}"
            yield Finding(check, True, Problem(silences.reason, text))
            continue
        known = {**labels, "alertname": frozenset({name})}
        for silence in silences:
            surely = _holds_back(silence, known)
            if surely is not None:
                text = f"silence {silence.id} {'holds' if surely else 'may hold'} it back: {silence.comment}"
                yield Finding(check, surely, Problem(Reason.ALERT_SILENCED, text[:200]))


def _holds_back(silence: Silence, known: Mapping[str, frozenset[str]]) -> bool | None:
    """Whether a silence is surely about the alert; None when it is not. Of other labels nobody knows the values."""
    for matcher in silence.matchers:
        values = known.get(matcher.label)
        if values is not None and not any(matcher.matches(value) for value in values):
            return None
    return all(matcher.label in known for matcher in silence.matchers)
