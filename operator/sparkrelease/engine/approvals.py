"""What people signed, as the watches showed it, by the release it names."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping

from sparkrelease.api.objects import ParsedApproval, read_approval
from sparkrelease.api.problem import Problem
from sparkrelease.decide.approvals import approval_of
from sparkrelease.decide.facts import Approval
from sparkrelease.engine.bodies import metadata_of, text_of
from sparkrelease.engine.release import Release
from sparkrelease.ports.cluster import ObjectKey

log = logging.getLogger(__name__)

MOST = 256
"""Signatures of one release that are looked at, the newest: every decision they concern keeps them as evidence."""


class Approvals:
    """Every ReleaseApproval. Lives in the event loop; not thread-safe."""

    def __init__(self) -> None:
        self._by_release: defaultdict[ObjectKey, dict[str, Approval]] = defaultdict(dict)
        self._release_of: dict[tuple[str, str], ObjectKey] = {}

    def take(self, body: Mapping[str, object], *, gone: bool) -> tuple[ObjectKey, ...]:
        """Takes an approval as it was seen, or its end; answers the release it concerns, if any.

        One that cannot be read counts for nothing.
        """
        meta = metadata_of(body)
        namespace, name = text_of(meta, "namespace"), text_of(meta, "name")
        before = self._release_of.pop((namespace, name), None)
        if before is not None:
            self._by_release[before].pop(name, None)
            if not self._by_release[before]:
                del self._by_release[before]
        found = None if gone else read_approval(body)
        if isinstance(found, Problem):
            log.warning("%s/%s: %s", namespace, name, found.message)
        if not isinstance(found, ParsedApproval):
            return () if before is None else (before,)
        key = ObjectKey(namespace, found.spec.release.name)
        self._by_release[key][name] = approval_of(found)
        self._release_of[(namespace, name)] = key
        return (key,)

    def of(self, release: Release) -> tuple[Approval, ...]:
        """Signatures for this release that can still matter.

        Left out are those for another object of its name and for a run that ended, and all once the run is promoted.
        """
        known, run = self._by_release.get(release.key), release.status.run
        if not known or (release.under_way and run is not None and run.promoted_at is not None):
            return ()
        over = {ended.run for ended in release.status.history}
        if run is not None and run.end is not None:
            over.add(run.id)
        found = [one for one in known.values() if one.release_uid == release.uid and one.run not in over]
        return tuple(sorted(found, key=lambda one: (one.at, one.name))[-MOST:])
