"""Pods whose counters the test sets, as a scrape sees them."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

from cluster.metrics import exposition

EDGES = ("0.1", "0.2", "1.0", "+Inf")
TEXT = "text/plain; version=0.0.4"


@dataclass
class Target:
    """One pod by the labels that tell it apart, and the job that scrapes it. A pod that is down answers 500."""

    namespace: str
    service: str
    name: str
    down: bool = False
    job: str = "ledger"

    def scrape(self) -> tuple[bytes, str]:
        """What a scrape gets, and in which form."""
        raise NotImplementedError


@dataclass
class Pod(Target):
    """Counters of requests and a classic histogram."""

    good: int | None = None
    bad: int | None = None
    latency: str = "0.2"
    """Edge of the bucket its requests fall into."""
    slow: int = 0

    def exposition(self) -> str:
        """As text; a counter that never counted is not there."""
        counts = {"200": self.good, "500": self.bad}
        lines = [f'requests_total{{code="{code}"}} {count}' for code, count in counts.items() if count is not None]
        total = (self.good or 0) + (self.bad or 0)
        if lines:
            at_or_below = {"0.1": 0, "0.2": total - self.slow, "1.0": total, "+Inf": total}
            lines += [f'duration_bucket{{le="{edge}"}} {at_or_below[edge]}' for edge in EDGES]
        return "".join(f"{line}\n" for line in lines)

    def scrape(self) -> tuple[bytes, str]:
        """As text."""
        return self.exposition().encode(), TEXT


@dataclass
class TimedPod(Target):
    """A histogram `duration_seconds` of what it observed since its start.

    At a scale it is exposed as a native one of that scale; without one as a classic histogram of `edges`, which a
    server may make a native one of. A pod that `observed` None has no histogram yet.
    """

    scale: int | None = 3
    observed: list[float] | None = field(default_factory=list)
    edges: tuple[float, ...] = (0.1, 0.2, 0.5, 1.0)
    gauge: float | None = None
    """Exposed under the same name instead of a histogram."""

    def scrape(self) -> tuple[bytes, str]:
        """As protobuf where only that can tell of it."""
        if self.gauge is not None:
            return f"# TYPE duration_seconds gauge\nduration_seconds {self.gauge}\n".encode(), TEXT
        if self.observed is None:
            return b"", TEXT
        if self.scale is None:
            return self._classic(self.observed), TEXT
        buckets = Counter(exposition.index_of(value, self.scale) for value in self.observed)
        return exposition.family("duration_seconds", self.scale, buckets, sum(self.observed)), exposition.CONTENT_TYPE

    def _classic(self, observed: list[float]) -> bytes:
        falls = Counter(bisect_left(self.edges, value) for value in observed)
        lines, up_to = ["# TYPE duration_seconds histogram"], 0
        for place, edge in enumerate((*map(str, self.edges), "+Inf")):
            up_to += falls[place]
            lines.append(f'duration_seconds_bucket{{le="{edge}"}} {up_to}')
        lines += [f"duration_seconds_sum {sum(observed)}", f"duration_seconds_count {up_to}"]
        return "".join(f"{line}\n" for line in lines).encode()
