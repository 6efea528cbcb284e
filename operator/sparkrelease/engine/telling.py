"""The one door to people: every Event of a release, and the messages to the targets its release names."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from sparkrelease.api.notifications import Topic
from sparkrelease.api.problem import Problem
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import HistoryEntry
from sparkrelease.decide.facts import Finding
from sparkrelease.decide.notices import CLOSING, Subject, closing_event, ended_by, notice_of, topic_of, worth_telling
from sparkrelease.decide.plan import EventDraft, Severity
from sparkrelease.engine.release import Release
from sparkrelease.engine.world import World
from sparkrelease.ports.cluster import ObjectKey
from sparkrelease.ports.notifier import Delivery, Fate

log = logging.getLogger(__name__)


class Teller:
    """Hands Events to the recorder and messages to the notifier; both return at once.

    The end of a run is told at least once: the status names the run until every target was told or given up, in the
    same write that says that it ended. Every other message is sent at most once.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.wake: Callable[[ObjectKey], None] = lambda _: None
        """Called when there is something to write of a release whose round is over."""
        self._behind: set[str] = set()
        """Targets whose queue was full when something last came of a message to them: said once until one is sent."""

    def tell(self, release: Release, events: Sequence[EventDraft]) -> None:
        """Tells of what happened to the release, with the figures of its status as it is now."""
        for event in events:
            self._world.tell(release.key, release.uid, _with_head(release, event))
        targets = self._targets(release)
        if not targets:
            return
        for event in worth_telling(events):
            self._send(release, event, targets, ended_by(event, release.status))

    def owe(self, release: Release) -> None:
        """Notes that a run has just ended, of which the targets are to be told."""
        ended = release.status.history[0] if release.status.history else None
        if ended is None or release.deleting:
            return
        topic = topic_of(EventDraft(Reason.named(ended.reason), ""))
        if any(topic in topics for topics in self._targets(release).values()):
            release.owed.setdefault(ended.run, None)

    def resume(self, release: Release) -> None:
        """After a change of the process: sends again what the one before was to tell of runs that ended."""
        for run in [run for run, waiting in release.owed.items() if waiting is None]:
            ended = next((entry for entry in release.status.history if entry.run == run), None)
            if ended is not None:
                log.info("%s/%s: the end of run %s is told again", release.key.namespace, release.key.name, run)
                self._send(release, closing_event(ended, release.status), self._targets(release), ended, again=True)
            if not release.owed.get(run):
                release.owed.pop(run, None)
        release.take_owed()

    # ------------------------------------------------------------ sending

    def _targets(self, release: Release) -> dict[str, frozenset[Topic]]:
        """By target that the release may name, what it wants told there."""
        if not release.notifications:
            return {}
        declared = self._world.notifier.open_to(release.key.namespace)
        return {one.target: one.topics for one in release.notifications if one.target in declared}

    def _send(
        self,
        release: Release,
        event: EventDraft,
        targets: Mapping[str, frozenset[Topic]],
        ended: HistoryEntry | None,
        *,
        again: bool = False,
    ) -> None:
        topic = topic_of(event)
        wanting = [target for target, topics in targets.items() if topic in topics]
        if not wanting:
            return
        subject = Subject(release.key.namespace, release.key.name, release.uid)
        now = self._world.clock.now()
        notice = notice_of(event, subject, release.spec, release.status, now, ended=ended, again=again)
        if ended is not None and ended.run in release.owed:
            release.owed[ended.run] = set(wanting)
        for target in wanting:
            self._world.notifier.send(target, notice, lambda delivery: self._settled(release, delivery))

    def _settled(self, release: Release, delivery: Delivery) -> None:
        self._world.metrics.notifications.labels(delivery.target, delivery.fate.value).inc()
        self._world.metrics.notification_retries.labels(delivery.target).inc(max(delivery.tries - 1, 0))
        self._say_fate(release, delivery)
        waiting = release.owed.get(delivery.notice.run)
        if delivery.notice.reason not in CLOSING or waiting is None:
            return
        waiting.discard(delivery.target)
        if not waiting:
            del release.owed[delivery.notice.run]
            release.take_owed()
            self.wake(release.key)

    def _say_fate(self, release: Release, delivery: Delivery) -> None:
        """An Event for what did not arrive; of a full queue, one until the target takes some again."""
        if delivery.fate is Fate.SENT:
            self._behind.discard(delivery.target)
            return
        if delivery.fate is Fate.DROPPED:
            if delivery.target in self._behind:
                return
            self._behind.add(delivery.target)
        notice = delivery.notice
        what = f"{notice.reason} of run {notice.run}" if notice.run else notice.reason.value
        text = f"notification target {delivery.target} was not told of {what}: {delivery.why}"
        log.warning("%s/%s: %s", release.key.namespace, release.key.name, text)
        event = EventDraft(Reason.NOTIFICATION_LOST, text, Severity.WARNING)
        self._world.tell(release.key, release.uid, event)


def unknown_targets(world: World, release: Release) -> tuple[Finding, ...]:
    """Targets that the release names and may not: worth an Event, and nothing that keeps a run from starting."""
    declared = world.notifier.open_to(release.key.namespace)
    missing = [one.target for one in release.notifications if one.target not in declared]
    text = "no such target is declared for namespace {}; correct the name or have it declared"
    return tuple(
        Finding(
            f"spec.notifications[{target}]",
            fatal=False,
            problem=Problem(Reason.NOTIFICATION_TARGET_UNKNOWN, text.format(release.key.namespace)),
        )
        for target in missing
    )


def _with_head(release: Release, event: EventDraft) -> EventDraft:
    """The closing Event names the evidence."""
    stored = release.chain.stored
    if event.reason not in CLOSING or event.reason is Reason.DRY_RUN or not stored.head:
        return event
    return EventDraft(
        event.reason, f"{event.message}; evidence {stored.head} ({stored.entries} entries)", event.severity
    )
