"""A bounded load generator as a process, and what it saw."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from testbed import parts
from testbed.binaries import binary
from testbed.processes import ManagedProcess
from testbed.waiting import wait_for


class Answer(NamedTuple):
    """One request's end, as the client saw it.

    Attributes:
        unix_ns: when the answer was complete.
        version: of the backend that answered (its X-Version header); `none` when a proxy answered in its place,
            `error` when nobody did. Of a gRPC call that went well it is what the reply says.
        code: HTTP status; 0 when nobody answered. For a gRPC call the one that stands for its own status, as 500 for
            INTERNAL; 0 as well for an answer that bears no status.
    """

    unix_ns: int
    version: str
    code: int

    @property
    def failed(self) -> bool:
        """No answer, a 5xx, or a refusal by a gateway in the application's place, as a 404 where its route is gone."""
        return self.code == 0 or self.code >= 500 or (self.code >= 400 and self.version == "none")


@dataclass(frozen=True)
class LoadSummary:
    """What a load run saw in all; latencies in milliseconds."""

    n: int
    failed: int
    seconds: float
    versions: dict[str, int]
    codes: dict[str, int]
    by: dict[str, int]
    faults: dict[str, int]
    p50_ms: float
    p95_ms: float
    p99_ms: float

    def share(self, version: str) -> float:
        """Share of the answers that came from a version, 0 to 1."""
        return self.versions.get(version, 0) / self.n if self.n else 0.0


class Load:
    """A running load generator. It ends by itself; `stop` ends it earlier and says what it saw."""

    def __init__(self, process: ManagedProcess, trace: Path) -> None:
        self.process = process
        self.trace = trace

    @property
    def running(self) -> bool:
        return self.process.running

    def answers(self) -> Iterator[Answer]:
        """Everything answered until now (at most 0.1 s late), in order of completion."""
        if not self.trace.exists():
            return
        with self.trace.open() as lines:
            for line in lines:
                if line.endswith("\n"):
                    moment, version, code = line.split()
                    yield Answer(int(moment), version, int(code))

    def versions_since(self, unix_ns: int) -> Counter[str]:
        """Answers per version that were complete after a moment."""
        return Counter(answer.version for answer in self.answers() if answer.unix_ns > unix_ns)

    def wait_answered(self, count: int, timeout: float = 30.0) -> None:
        """Returns once this many answers are in."""
        wait_for(f"{count} answers", lambda: sum(1 for _ in self.answers()) >= count, timeout=timeout, every=0.1)

    def wait(self, timeout: float = 600.0) -> LoadSummary:
        """Waits for its own end."""
        wait_for("end of load", lambda: not self.running, timeout=timeout)
        return self._summary()

    def stop(self) -> LoadSummary:
        """Ends it now; requests under way are still waited for and counted."""
        self.process.kill(signal.SIGTERM, timeout=30)
        return self._summary()

    def _summary(self) -> LoadSummary:
        text = self.process.log().strip()
        try:
            return LoadSummary(**json.loads(text.splitlines()[-1]))
        except (IndexError, ValueError, TypeError) as error:
            raise RuntimeError(f"load generator ended with {self.process.exit_code}: {text[-2000:]}") from error


def start(
    folder: Path,
    name: str,
    url: str,
    *,
    host: str,
    rps: float,
    n: int | None,
    duration: float | None,
    concurrency: int,
    header: str,
    grpc: bool,
) -> Load:
    """Starts the generator in this machine's network (the local lane's own namespace)."""
    trace = folder / "load" / f"{name}.trace"
    trace.parent.mkdir(parents=True, exist_ok=True)
    argv: list[str | Path] = [binary(parts.APP), "load", "-url", url, "-host", host, "-trace", trace]
    argv += ["-rps", f"{rps:g}", "-c", str(concurrency)]
    if n is not None:
        argv += ["-n", str(n)]
    if duration is not None:
        argv += ["-duration", f"{duration:g}s"]
    if grpc:
        argv += ["-grpc"]
    if header:
        argv += ["-header", header]
    process = ManagedProcess(name, argv, folder)
    process.start()
    return Load(process, trace)
