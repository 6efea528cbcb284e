"""Checks that a team or an administrator wants before any traffic moves: one item, one kind of question."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, model_validator

from sparkrelease.api import rules
from sparkrelease.api.base import DURATION_SCHEMA, Duration, SpecModel
from sparkrelease.api.expectations import EXPECTATION, Expectation, read_expectation
from sparkrelease.api.rules import Rule, RuleError
from sparkrelease.api.scalars import Name, Query

ONE_KIND = Rule(
    "[has(self.promql),has(self.http),has(self.job),has(self.artifact)].exists_one(g,g)",
    "give one of promql, http, job, artifact",
)

ArtifactKind = Literal["file", "sbom", "vulnerabilities", "provenance", "dashboard"]

QUICK, LASTING = timedelta(seconds=10), timedelta(minutes=5)
"""How long an item may take where it does not say so: a job LASTING, everything else QUICK."""

MOST_ITEMS = 64
"""Items of one release, its policy's merged in."""

Timeout = Annotated[Duration, AfterValidator(rules.UP_TO_A_DAY.check), WithJsonSchema({**DURATION_SCHEMA})]
"""More than nothing, up to a day. The API server checks the form alone: the definition has to stay small."""

Line = Annotated[str, Field(pattern=EXPECTATION, max_length=512)]
PlainName = Annotated[str, Field(pattern=r"^[a-z0-9.-]+$", max_length=253)]

ARTIFACT = r"^([a-z0-9.-]+|oci:/(/[^ /@]+)+)/[^ /@]+(@sha256:[0-9a-f]{64})?$"
"""The form as far as the API server checks it."""

_ARTIFACT = re.compile(r"(?P<config_map>[a-z0-9.-]+)/(?P<key>[^ /@]+)(?:@sha256:(?P<sha256>[0-9a-f]{64}))?")


_IN_A_REGISTRY = re.compile(
    r"oci://(?P<host>[A-Za-z0-9.\[\]:-]+)/(?P<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)@sha256:(?P<sha256>[0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class FileRef:
    """A key of a ConfigMap, and the digest (hex) its content must have; None when a signature binds it."""

    config_map: str
    key: str
    sha256: str | None


@dataclass(frozen=True, slots=True)
class RegistryRef:
    """A file in an OCI registry: host (with its port), repository, and the digest (hex) of its manifest."""

    host: str
    repository: str
    sha256: str

    @property
    def text(self) -> str:
        """As it is written, the digest cut short."""
        return f"oci://{self.host}/{self.repository}@sha256:{self.sha256[:12]}..."


class PreflightItem(SpecModel):
    """One check, of one kind."""

    model_config = ConfigDict(json_schema_extra=rules.ruled(ONE_KIND))

    name: Name = Field(description="Its name.")
    optional: bool = Field(default=False, description="A failure only warns.")
    timeout: Timeout | None = Field(default=None, description="Longest it may take; else 10s, a job 5m.")
    promql: Query | None = Field(default=None, description="A query; every series must fit.")
    http: str | None = Field(default=None, pattern=r"^https?://[^ ]+$", max_length=2048, description="A URL to GET.")
    job: PlainName | None = Field(default=None, description="CronJob to make a Job from.")
    artifact: str | None = Field(
        default=None,
        pattern=ARTIFACT,
        max_length=600,
        description="A file: configmap/key@sha256:digest or oci://host/repo@sha256:digest.",
    )
    kind: ArtifactKind | None = Field(default=None, description="What the file is.")
    signer: PlainName | None = Field(default=None, description="Who signed it.")
    expect: tuple[Line, ...] = Field(default=(), max_length=32, description="What must hold: status == 200.")

    @model_validator(mode="after")
    def _follows_rules(self) -> Self:
        ONE_KIND.require(sum(kind is not None for kind in (self.promql, self.http, self.job, self.artifact)) == 1)
        given = {"kind": self.kind, "signer": self.signer}
        for field in (name for name, value in given.items() if value is not None and self.artifact is None):
            raise RuleError("belongs to an artifact; remove it", f".{field}")
        if self.artifact is not None and _file_of(self.artifact) is None:
            text = "neither configmap/key nor oci://host/repository@sha256:digest; write it as one of them"
            raise RuleError(text, ".artifact")
        if self.artifact is not None and self.file.sha256 is None and self.signer is None:
            raise RuleError("a file is bound by its digest or a signature; add @sha256:digest or a signer", ".artifact")
        if self.promql is not None and not self.expect:
            raise RuleError("a query needs a limit; expect something of its value, such as value < 0.1", ".expect")
        for place, line in enumerate(self.expect):
            read = read_expectation(line, self.asks)
            if isinstance(read, str):
                raise RuleError(read, f".expect[{place}]")
        return self

    @property
    def asks(self) -> str:
        """What kind of question it is: promql, http, job, or the kind of the artifact."""
        kinds = {"promql": self.promql, "http": self.http, "job": self.job}
        return next((kind for kind, value in kinds.items() if value is not None), self.kind or "file")

    @property
    def file(self) -> FileRef | RegistryRef:
        """The file an artifact is. ValueError for an item that is none."""
        found = _file_of(self.artifact or "")
        if found is None:
            raise ValueError(f"{self.name} is no artifact")
        return found

    @property
    def expected(self) -> tuple[Expectation, ...]:
        """What must hold, read."""
        lines = (read_expectation(line, self.asks) for line in self.expect)
        return tuple(line for line in lines if isinstance(line, Expectation))

    @property
    def limit(self) -> timedelta:
        """The longest it may take."""
        return self.timeout or (LASTING if self.job is not None else QUICK)


def _file_of(text: str) -> FileRef | RegistryRef | None:
    found = _IN_A_REGISTRY.fullmatch(text)
    if found is not None:
        return RegistryRef(found["host"], found["repository"], found["sha256"])
    found = _ARTIFACT.fullmatch(text)
    return FileRef(found["config_map"], found["key"], found["sha256"]) if found is not None else None


PreflightItems = Annotated[
    tuple[PreflightItem, ...],
    Field(max_length=MOST_ITEMS, json_schema_extra=rules.MAP_BY_NAME),
    AfterValidator(rules.unique_names),
]
