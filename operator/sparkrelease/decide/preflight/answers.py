"""What came of asking: raw enough to be judged anew, small enough to be kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sparkrelease.api.status import Verdict
from sparkrelease.decide.series import Row


@dataclass(frozen=True, slots=True)
class Unanswered:
    """There is no answer to judge. `verdict` is NoData where waiting may help, Error where only an edit will."""

    verdict: Verdict
    message: str
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SeriesAnswer:
    """Every series a query answered."""

    query: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One answer over HTTP; header names are as they came, `body` is as long as was allowed to be read."""

    url: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    seconds: float


@dataclass(frozen=True, slots=True)
class JobAnswer:
    """A Job that has ended. `why` is the reason the cluster gives for a failure; `log` are the last lines."""

    job: str
    succeeded: bool
    exit_code: int | None = None
    log: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class FileAnswer:
    """A file, and what is in it, as far as its kind is read.

    `fault` says why it cannot be read as its kind; `signature` why its signature is not good, or empty. `counts` are
    findings by severity; `refused` are packages with a licence that is not allowed, the first of `refused_count`.
    """

    file: str
    sha256: str
    size: int
    fault: str = ""
    signature: str = ""
    form: str = ""
    packages: int = 0
    refused: tuple[str, ...] = ()
    refused_count: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    subjects: tuple[str, ...] = ()
    """Digests (hex) that a provenance statement names."""
    builder: str = ""
    predicate: str = ""
    variables: int = 0
    """Variables of a dashboard."""
    without_default: tuple[str, ...] = ()
    """Those of them that have no value until somebody chooses one."""
    images: tuple[tuple[str, tuple[str, ...]], ...] | None = None
    """Pods of canary and the digests (hex) of the images they run; None when nobody looked."""


PreflightAnswer = SeriesAnswer | HttpAnswer | JobAnswer | FileAnswer | Unanswered
