"""What the page shows: all releases of a namespace or of all, looked at again and again by one thread."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sparkrelease.api.base import format_time
from sparkrelease.api.objects import ParsedRelease, read_release
from sparkrelease.api.status import RuleVerdict
from sparkrelease.cli.cluster import ClusterDoor
from sparkrelease.cli.exits import CliError
from sparkrelease.cli.health import health_of
from sparkrelease.cli.look import ReleaseView, look_at
from sparkrelease.cli.render.watched import level_of
from sparkrelease.cli.samples import Samples
from sparkrelease.decide.limitwords import limit_of

_ORDER = ("breached", "unknown", "healthy")


@dataclass(slots=True)
class _Followed:
    view: ReleaseView
    samples: Samples = field(default_factory=Samples)
    version: str = ""


class Feed:
    """The newest look as JSON values; `latest` may be read from any thread."""

    def __init__(self, cluster: ClusterDoor, *, everywhere: bool) -> None:
        self._cluster = cluster
        self._everywhere = everywhere
        self._followed: dict[str, _Followed] = {}
        self.latest: Mapping[str, object] = {"at": None, "problem": "nobody has looked yet", "releases": []}

    def look(self, now: datetime) -> None:
        """Looks at everything once; what went wrong is told beside what was seen last."""
        try:
            bodies = self._cluster.releases(everywhere=self._everywhere)
            seen = {body_key: self._follow(release) for body_key, release in _keyed(map(read_release, bodies))}
        except CliError as problem:
            self.latest = {**self.latest, "problem": str(problem)}
            return
        self._followed = seen
        self.latest = {
            "at": format_time(now),
            "problem": "",
            "releases": sorted((_release(one, now) for _, one in sorted(seen.items())), key=_worst_first),
        }

    def _follow(self, release: ParsedRelease) -> _Followed:
        known = self._followed.get(f"{release.namespace}/{release.name}/{release.uid}")
        view = look_at(self._cluster, release, known.view if known else None)
        followed = known or _Followed(view)
        followed.view = view
        if followed.version != release.resource_version:
            followed.version = release.resource_version
            followed.samples.add(view.release.status)
        return followed

    def serve(self, every: float, stop: threading.Event) -> None:
        """Looks until told to stop."""
        while True:
            self.look(datetime.now(UTC))
            if stop.wait(every):
                return


def _keyed(releases: map[ParsedRelease]) -> list[tuple[str, ParsedRelease]]:
    return [(f"{one.namespace}/{one.name}/{one.uid}", one) for one in releases]


def _worst_first(release: Mapping[str, object]) -> int:
    return _ORDER.index(str(release["health"]))


def _release(followed: _Followed, now: datetime) -> dict[str, object]:
    release = followed.view.release
    status = release.status
    health = health_of(release, now)
    weight = status.weight
    return {
        "name": followed.view.title,
        "version": status.run.version if status.run is not None else getattr(release.spec, "version", ""),
        "phase": status.phase.value,
        "health": health.word,
        "why": health.why,
        "stage": f"{status.stage.name} ({status.stage_text})" if status.stage is not None else "",
        "weight": weight.desired if weight.observed is None else weight.observed,
        "mirror": weight.mirror or 0.0,
        "verified": weight.verified,
        "rules": [_rule(followed, verdict) for verdict in status.verdicts],
    }


def _rule(followed: _Followed, verdict: RuleVerdict) -> dict[str, object]:
    spec = followed.view.spec
    limit = limit_of(verdict.kind, verdict.rule, spec) if spec is not None else ""
    samples = followed.samples.by_rule.get((verdict.kind, verdict.rule), ())
    return {
        "rule": verdict.rule,
        "verdict": verdict.verdict.value,
        "value": verdict.value,
        "limit": limit,
        "level": level_of(limit, verdict.value),
        "samples": [{"value": sample.value, "verdict": sample.verdict.value} for sample in samples],
    }
