"""The promises that hold after every write, checked on what the API server's audit log shows of them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sparkrelease.api.flags import LADDER, weight_of
from testbed.audit import AuditEvent
from testbed.kubeapi import KubeObject
from testbed.promises import Chains, Clocks, Named, Quiet, passed_without_data, tells_a_secret
from testbed.shop import canary_percent, mirrors_to

_EPOCH = "sparkrelease.dev/epoch"
_RELEASE, _RUN = "sparkrelease.dev/release", "sparkrelease.dev/run"
_ASKED = "sparkrelease.dev/asked-again"
_FINALIZER = "sparkrelease.dev/restore-traffic"
_ROUTES = frozenset({"httproutes", "grpcroutes"})
_DELETIONS = frozenset({"delete", "deletecollection"})


def _as_stored(events: Iterable[AuditEvent]) -> list[AuditEvent]:
    """Events in the order in which the store took them.

    The log has them in the order in which they were answered: of two at a time, the later one may be answered first.
    """
    placed: list[tuple[int, AuditEvent]] = []
    revision = 0
    for event in events:  # an answer without a version, as to a deletion, stays behind its predecessor
        revision = int(event.response.get("metadata", {}).get("resourceVersion") or revision)
        placed.append((revision, event))
    return [event for _, event in sorted(placed, key=lambda one: one[0])]


def _is_evidence(event: AuditEvent) -> bool:
    return event.resource == "configmaps" and "-evidence-" in event.name


def _about(event: AuditEvent) -> str:
    """Name of the release whose the object would be, by the object's own name; empty for what may be anybody's."""
    if event.resource == "sparkreleases" or event.resource in _ROUTES:
        return event.name
    body = event.response if "metadata" in event.response and event.code < 300 else event.request
    if event.resource == "events":
        about = body.get("involvedObject") or body.get("regarding") or {}
        return str(about.get("name", ""))
    notes = body.get("metadata", {}).get("annotations") or {}
    return str(notes.get(_RELEASE, "")) if _is_evidence(event) else ""


@dataclass
class Watcher:
    """Reads writes in order and collects broken promises of one namespace as sentences.

    Where several releases share a namespace each has a watcher, whose `beside` are the names of the others: it leaves
    out what is theirs and nothing else. Their routes are called as they are.
    """

    namespace: str
    canary: str
    operator_user: str
    highest_stage: float = 100.0
    beside: frozenset[str] = frozenset()
    flag: str = ""
    """Key of the ConfigMap that holds the weight, where it is a feature flag's."""
    secrets: tuple[str, ...] = ()
    """Texts that nothing the operator writes may hold, beside what looks like a secret."""
    broken: list[str] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    writers: list[str] = field(default_factory=list)
    _generation: int = 0
    _epoch: int = 0
    _allowed: float = 0.0
    _mirror: bool = False
    _paused: bool = False
    _entries: tuple[str, int] = ("", 0)
    _rolled_back: set[str] = field(default_factory=set)
    _standing: float = 0.0
    """What the operator's last write gives canary, as long as that is on the route."""
    _stands_since: dt.datetime = dt.datetime.min.replace(tzinfo=dt.UTC)
    _deleted: list[dt.datetime] = field(default_factory=list)
    """When routes were asked to be deleted. The answer to it may come after writes by those who saw them go."""
    _named: Named = field(default_factory=Named)
    _chains: Chains = field(default_factory=Chains)
    _quiet: Quiet = field(default_factory=Quiet)
    _clocks: Clocks = field(default_factory=Clocks)

    def read(self, events: Iterable[AuditEvent], stored: Iterable[KubeObject] = ()) -> Watcher:
        """Checks every successful write to the namespace.

        Args:
            events: the log of writes since before the namespace was made.
            stored: its ConfigMaps now. A server that is too busy to answer in time may have stored what it was sent.
        """
        writes = [e for e in events if e.writes and not (e.namespace == self.namespace and _about(e) in self.beside)]
        done = [e for e in writes if e.code < 300]
        taken = [e for e in done if e.namespace == self.namespace]
        for event in (*taken, *(e for e in done if e.resource == "releasepolicies")):
            self._named.learn(event)
        self._deleted = [e.received for e in taken if e.resource in _ROUTES and e.verb in _DELETIONS]
        for event in _as_stored(taken):
            body, own = event.response or {}, event.user == self.operator_user
            if own:
                self._own(event)
            self._say_all(event, self._quiet.see(event, own=own))
            if event.resource in _ROUTES and own and event.verb not in _DELETIONS:
                self._route(event, body)
            elif event.resource in _ROUTES and event.verb not in _DELETIONS:
                self._by_others(body)
            elif event.resource == "sparkreleases" and body.get("kind") == "SparkRelease":
                self._release(event, body)
            elif event.resource == "configmaps":
                self._evidence(event)
                self._flag(event, body)
        for event in writes:
            if (
                event.namespace == self.namespace
                and event.unanswered
                and _is_evidence(event)
                and event.verb == "create"
            ):
                self._chains.doubt(event.name, event.request)
        self.broken += [f"evidence: {sentence}" for sentence in self._chains.find(stored)]
        self.broken += [f"evidence: {sentence}" for _, sentence in self._chains.broken()]
        return self

    def _say(self, event: AuditEvent, text: str) -> None:
        self.broken.append(f"{event.received} {event.verb} {event.resource}/{event.name}: {text}")

    def _say_all(self, event: AuditEvent, sentences: Iterable[str]) -> None:
        for sentence in sentences:
            self._say(event, sentence)

    def _own(self, event: AuditEvent) -> None:
        """What holds of everything the operator writes: it is named by a release, and holds no secret."""
        if (why := self._named.unnamed(event)) is not None:
            self._say(event, f"the operator has no business with it: {why}")
        told = {"sparkreleases": "status", "configmaps": "data"}.get(event.resource)
        if told is not None or event.resource == "events":
            text = json.dumps(event.response.get(told) if told else event.response)
            if tells_a_secret(text, self.secrets):
                self._say(event, "a secret is told")

    def _route(self, event: AuditEvent, body: dict[str, Any]) -> None:
        rules = body.get("spec", {}).get("rules", [])
        if not rules:
            return
        # The same share by other numbers is how a gateway that did not answer is asked again, at every other time.
        asked = int(body.get("metadata", {}).get("annotations", {}).get(_ASKED, "0"))
        whole = {1000, 1_000_000} if asked % 2 else {100, 100_000}
        for rule in rules:
            weights = [backend.get("weight") for backend in rule.get("backendRefs", [])]
            if None in weights:
                self._say(event, "a weight is not explicit")
            elif sum(weights) not in whole:
                self._say(event, f"weights {weights} do not sum to the whole")
        self._weight(event, body, canary_percent(body, self.canary))

    def _by_others(self, body: dict[str, Any]) -> None:
        """What others leave of the operator's weight: nothing on a route put up anew, less where they took it back."""
        ours = _RUN in body.get("metadata", {}).get("annotations", {})
        left = canary_percent(body, self.canary) if body.get("spec", {}).get("rules") else 0.0
        self._standing = min(self._standing, left) if ours else 0.0

    def _flag(self, event: AuditEvent, body: dict[str, Any]) -> None:
        value = body.get("data", {}).get(self.flag)
        if value is None or event.user != self.operator_user:
            return
        if value not in LADDER.values():
            self._say(event, f"{value!r} is no rung of the ladder")
        self._weight(event, body, weight_of(value) or 0.0)

    def _weight(self, event: AuditEvent, body: dict[str, Any], weight: float) -> None:
        last = self.weights[-1] if self.weights else 0.0
        if weight > last and weight > self._allowed:
            self._say(event, f"weight rose to {weight} before status and evidence allowed more than {self._allowed}")
        marks = body.get("metadata", {}).get("annotations", {})
        if weight > last and marks.get(_RUN) in self._rolled_back:
            self._say(event, f"weight rose to {weight} in run {marks[_RUN]}, which was rolled back")
        if weight > last and self._paused:
            self._say(event, f"weight rose to {weight} while paused")
        if mirrors_to(body, self.canary) and not self._mirror and weight >= last:
            self._say(event, "requests are mirrored before status and evidence allowed it")
        if weight > self.highest_stage:
            self._say(event, f"weight {weight} is above the highest stage")
        if weight != last:
            self.weights.append(weight)
        self._standing, self._stands_since = weight, event.received
        epoch = int(marks.get(_EPOCH, 0) or 0)
        if epoch and epoch < self._epoch:
            self._say(event, f"written under epoch {epoch} after {self._epoch}: two writers")
        self._epoch = max(self._epoch, epoch)
        self.writers.append(f"{event.user}@{epoch}")

    def _release(self, event: AuditEvent, body: dict[str, Any]) -> None:
        status = body.get("status") or {}
        if event.subresource == "status" and event.user != self.operator_user:
            self._generation, self._entries = 0, ("", 0)  # a backup was put back: what follows goes on from there
            self._clocks.forget()
            self._chains.forget()
        seen = int(status.get("observedGeneration", 0))
        if seen > int(body.get("metadata", {}).get("generation", 0)):
            self._say(event, "observedGeneration is ahead of generation")
        if seen < self._generation:
            self._say(event, f"observedGeneration went back from {self._generation} to {seen}")
        self._generation = seen
        self._allowed = float(status.get("weight", {}).get("desired", 0) or 0)
        self._mirror = bool(status.get("weight", {}).get("mirror"))
        run = status.get("run") or {}
        evidence = status.get("evidence") or {}
        if (
            run
            and not run.get("end")
            and self._allowed > 0
            and not evidence.get("entries")
            and not status.get("pendingEvidence")
        ):
            self._say(event, "weight is wanted without evidence")
        entries = int(evidence.get("entries", 0))
        if run.get("id") == self._entries[0] and entries < self._entries[1]:
            self._say(event, f"{self._entries[1] - entries} entries of evidence are gone from run {run['id']}")
        self._entries = (run.get("id", ""), entries)
        self._paused = bool(body.get("spec", {}).get("paused") or status.get("pause"))
        if rollback := status.get("rollback"):
            self._rolled_back.add(rollback["run"])
        ended = {h["run"] for h in status.get("history", [])}
        if run.get("id") in ended and not run.get("end"):
            self._say(event, f"run {run['id']} came back after its end")
        if event.user == self.operator_user:
            self._say_all(event, passed_without_data(status))
            self._say_all(event, self._clocks.see(event, status))
            self._at_rest(event, body, status)

    def _at_rest(self, event: AuditEvent, body: dict[str, Any], status: dict[str, Any]) -> None:
        """Canary has nothing left after a rollback, nor when a release is let go."""
        if any(self._stands_since <= at <= event.received for at in self._deleted):
            return
        run, rollback = status.get("run") or {}, status.get("rollback") or {}
        gone = bool(rollback.get("trafficAt")) and rollback.get("run") == run.get("id")
        if self._standing > 0 and (status.get("phase") == "RolledBack" or gone):
            self._say(event, f"rolled back, with {self._standing} on the route")
        meta = body.get("metadata", {})
        let_go = bool(meta.get("deletionTimestamp")) and _FINALIZER not in meta.get("finalizers", [])
        orphan = body.get("spec", {}).get("deletionPolicy") == "Orphan"
        stays = bool(self.flag) and run.get("end") == "Settled"
        if let_go and self._standing > 0 and not orphan and not stays:
            self._say(event, f"let go with {self._standing} on the route")

    def _evidence(self, event: AuditEvent) -> None:
        if not _is_evidence(event):
            return
        if event.verb not in {"create", "delete"}:
            self._say(event, "evidence was rewritten")
        elif event.verb == "create":
            self._say_all(event, self._chains.see(event.name, event.response))
