"""Promises about a release as a whole that writes to its namespace show: each of these reads one kind of writes."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sparkrelease.api.base import parse_duration
from sparkrelease.decide.evidence import parse_entry, verify
from sparkrelease.decide.replay import replay
from testbed.audit import AuditEvent
from testbed.kubeapi import KubeObject

ENTRIES = "entries.jsonl"
RELEASE, RUN = "sparkrelease.dev/release", "sparkrelease.dev/run"
SLACK = dt.timedelta(seconds=2)
"""By which the clocks of two processes on one machine, and times cut to the millisecond, may differ."""

IN_VAIN = 3
"""Writes in a row that changed nothing: one is a repetition after a lost answer, three are a habit."""

MISSING = frozenset(
    {"PrometheusUnreachable", "NoData", "NotANumber", "StaleData", "AmbiguousResult", "PartialAnswer", "WindowVoid"}
)
"""Reasons for which there is nothing to judge."""

SECRETS = (
    re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    re.compile(r"(?i)\b(bearer|basic) [\w.~+/=-]{16,}"),
    re.compile(r"\w://[^/\s:@\"']+:[^/\s@\"']+@"),
)
"""Tokens of service accounts, private keys, headers of logins, addresses with a password in them."""


def tells_a_secret(text: str, known: Iterable[str] = ()) -> bool:
    """Whether a text holds one of the known secrets, or what looks like one."""
    return any(secret in text for secret in known) or any(shape.search(text) for shape in SECRETS)


# ---------------------------------------------------------------- 6: no data never counts as Pass


def passed_without_data(status: Mapping[str, Any]) -> Iterator[str]:
    """Rules that a status says pass although they had nothing to judge."""
    for verdict in status.get("verdicts", []):
        if verdict.get("verdict") == "Pass" and verdict.get("reason") in MISSING:
            yield f"rule {verdict['rule']} passes with reason {verdict['reason']}"


def gate_without_data(data: Mapping[str, Any]) -> Iterator[str]:
    """Thresholds that an entry of evidence says pass although its own readings are missing, or of no events at all."""
    readings = data.get("readings", {})
    for rule, verdict in (data.get("verdicts") or {}).items():
        canary = (readings.get(rule) or {}).get("canary") or {}
        if verdict == "Pass" and ("missing" in canary or canary.get("total") == 0):
            yield f"threshold {rule} passes on {json.dumps(canary)}"


# ---------------------------------------------------------------- 7 and 12: evidence is a chain, and can be replayed


@dataclass
class Chains:
    """Evidence as it was created, by run. A name that is taken twice is one of a store that was put back."""

    _parts: dict[str, dict[str, str]] = field(default_factory=dict)
    _unknown: set[str] = field(default_factory=set)
    _unanswered: dict[str, str] = field(default_factory=dict)
    """Run by name of a ConfigMap of which the log does not tell whether it was stored."""

    def see(self, name: str, body: KubeObject) -> Iterator[str]:
        """Takes a new ConfigMap; says what its own entries tell against themselves."""
        run, text = _run_and_text(body)
        parts = self._parts.setdefault(run, {})
        if name in parts:
            self._unknown.add(run)
        parts[name] = text
        for line in text.split("\n"):
            entry = parse_entry(line)
            if entry is not None:
                yield from gate_without_data(entry.data)

    def doubt(self, name: str, body: KubeObject) -> None:
        """A creation was not answered in time: the store may have taken it all the same."""
        self._unanswered[name] = _run_and_text(body)[0]

    def find(self, stored: Iterable[KubeObject]) -> Iterator[str]:
        """Takes what is stored, for the creations of which the log does not tell; says what `see` says of them."""
        for body in stored:
            name = body["metadata"]["name"]
            run = self._unanswered.get(name)
            if run is not None and name not in self._parts.get(run, {}):
                yield from self.see(name, body)

    def forget(self) -> None:
        """Whoever wrote the status put a backup back: chains known so far may go on from an older end."""
        self._unknown |= set(self._parts)

    def broken(self) -> Iterator[tuple[str, str]]:
        """Runs whose evidence is not whole, or is not what its own rules say of its own facts."""
        for run, parts in self._parts.items():
            lines = "".join(parts[name] for name in sorted(parts)).split("\n")[:-1]
            first = parse_entry(lines[0]) if lines else None
            if not lines or run in self._unknown or (first is not None and first.number > 1):
                continue  # put back, or begun before these writes
            if any(of == run and name not in parts for name, of in self._unanswered.items()):
                continue  # stored or not, it is gone with its namespace
            wrong = verify(lines, head=None, entries=None)
            if wrong is not None:
                yield run, wrong.message
                continue
            found = replay([entry for entry in map(parse_entry, lines) if entry is not None]).difference
            if found is not None:
                told = f"{found.field} is {str(found.stored)[:200]!r}, replay says {str(found.recomputed)[:200]!r}"
                yield run, f"entry {found.entry} of run {run}: {told}"


def _run_and_text(body: KubeObject) -> tuple[str, str]:
    notes = body.get("metadata", {}).get("annotations") or {}
    return notes.get(RUN, ""), (body.get("data") or {}).get(ENTRIES, "")


# ---------------------------------------------------------------- 14: what is touched is named by a release

_JOB = 40
"""So much of a release's name begins the name of its Jobs."""


@dataclass
class Named:
    """What the releases of one namespace name, and the policies they follow."""

    releases: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    policies: dict[str, set[str]] = field(default_factory=dict)
    followed: set[str] = field(default_factory=set)

    def learn(self, event: AuditEvent) -> None:
        """Reads a release or a policy, whoever wrote it."""
        spec = event.response.get("spec") or {}
        if event.resource == "releasepolicies":
            self.policies.setdefault(event.name, set()).update(_texts(spec))
        elif event.resource == "sparkreleases" and event.response.get("kind") == "SparkRelease":
            self.releases.add(event.name)
            self.texts |= {event.name, *_texts(spec)}
            if workload := spec.get("workload"):
                self.texts.add(f"{workload.get('deployment')}-stable")
            if policy := spec.get("policyRef"):
                self.followed.add(policy.get("name", ""))

    def unnamed(self, event: AuditEvent) -> str | None:
        """Why the operator had no business with this object; None where it had, or where that cannot be known."""
        if event.resource == "sparkreleases":
            return None
        if event.resource == "events":
            about = event.response.get("involvedObject") or event.response.get("regarding") or {}
            stranger = about.get("kind", "SparkRelease") != "SparkRelease"
            return f"is about {about.get('kind')} {about.get('name')}" if stranger else None
        if not self.releases:
            return "no release is here"
        if event.resource == "configmaps" and "-evidence-" in event.name:
            owner = (event.response.get("metadata", {}).get("annotations") or {}).get(RELEASE)
            return None if owner in self.releases else f"evidence of {owner}, which is no release here"
        if event.resource == "jobs":
            beginnings = tuple(f"{one}-".replace(".", "-")[:_JOB] for one in self.releases)
            return None if event.name.startswith(beginnings) else "no release here has such a Job"
        if not self.followed <= self.policies.keys():
            return None
        named = self.texts.union(*(self.policies[policy] for policy in self.followed))
        return None if event.name in named else "no release here names it"


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


# ---------------------------------------------------------------- 15: quiet when nothing changes


@dataclass
class Quiet:
    """Counts the operator's writes of one object that changed nothing."""

    _versions: dict[tuple[str, str], str] = field(default_factory=dict)
    _in_vain: dict[tuple[str, str], int] = field(default_factory=dict)

    def see(self, event: AuditEvent, *, own: bool) -> Iterator[str]:
        """Takes a write: the API server gives an object that did not change no new version."""
        version = event.response.get("metadata", {}).get("resourceVersion")
        if version is None:
            return
        key = (event.resource, event.name)
        same = own and self._versions.get(key) == version
        self._versions[key] = version
        self._in_vain[key] = self._in_vain.get(key, 0) + 1 if same else 0
        if self._in_vain[key] == IN_VAIN:
            yield f"{IN_VAIN} writes in a row that changed nothing"


# ---------------------------------------------------------------- 16: a stage's clock


@dataclass
class Clocks:
    """Follows the clock of one release's stage: it never goes back, and never counts more than there was."""

    _stage: tuple[Any, ...] = ()
    _observed: dt.timedelta = dt.timedelta(0)

    def see(self, event: AuditEvent, status: Mapping[str, Any]) -> Iterator[str]:
        """Takes a status."""
        stage, run = status.get("stage"), (status.get("run") or {}).get("id")
        if not stage or not stage.get("startedAt"):
            return
        observed = parse_duration(stage.get("observed", "0s"))
        assert isinstance(observed, dt.timedelta)
        here = (event.name, run, stage.get("index"), stage.get("enteredAt"), stage["startedAt"])
        if here == self._stage and observed < self._observed:
            yield f"the clock of stage {stage.get('name')} went back from {self._observed} to {observed}"
        lasted = event.received - dt.datetime.fromisoformat(stage["startedAt"])
        if observed > lasted + SLACK:
            yield f"stage {stage.get('name')} has observed {observed}, and began {lasted} ago"
        self._stage, self._observed = here, observed

    def forget(self) -> None:
        """A backup was put back."""
        self._stage = ()
