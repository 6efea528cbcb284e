"""What a decision was made from, kept beside the decision, so that it can be made again."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sparkrelease import __version__
from sparkrelease.api.conditions import ConditionType, clear_condition
from sparkrelease.api.spec import DeletionPolicy
from sparkrelease.api.status import EvidenceStatus, SparkReleaseStatus
from sparkrelease.decide import codec
from sparkrelease.decide.facts import Facts
from sparkrelease.decide.resolve import ResolvedSpec, digest

KEY = "inputs"
"""Where an entry's data has them."""

_LEVEL = 9
_MOST = 64_000_000
"""Characters unpacked at most: what evidence holds may have been written by anybody."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The arguments of one call of `decide`, how many entries came of it, and which status."""

    spec: ResolvedSpec
    status: SparkReleaseStatus
    facts: Facts
    now: datetime
    followed: str
    """Digest of the spec of the run the entries belong to; its first entry holds that spec in full."""
    entries: int
    after: SparkReleaseStatus | None = None
    """The status the decision led to, with every rule's verdict; None in evidence of older programs."""


@dataclass(frozen=True, slots=True)
class Packed:
    """The form that is stored. `spec` is None where the run's own is followed, but for `deletion_policy`."""

    status: SparkReleaseStatus
    facts: Facts
    now: datetime
    deletion_policy: DeletionPolicy
    spec: ResolvedSpec | None = None
    after: SparkReleaseStatus | None = None


def pack(inputs: Inputs) -> dict[str, object]:
    """The inputs for an entry's data: compressed, with the program's version in the open."""
    packed = Packed(
        status=_kept_status(inputs.status),
        facts=_kept_facts(inputs.facts),
        now=inputs.now,
        deletion_policy=inputs.spec.deletion_policy,
        spec=None if digest(inputs.spec) == inputs.followed else inputs.spec,
        after=_kept_status(inputs.after) if inputs.after is not None else None,
    )
    text = json.dumps(codec.write(Packed, packed), separators=(",", ":"), allow_nan=False)
    compressed = base64.b64encode(zlib.compress(text.encode(), _LEVEL)).decode()
    return {"by": __version__, "entries": inputs.entries, "zlib": compressed}


def unpack(data: object, followed: ResolvedSpec) -> Inputs:
    """The inverse of `pack`; `followed` is the spec of the run. Raises ValueError for data it did not write."""
    match data:
        case {"entries": int(entries), "zlib": str(compressed)} if entries > 0:
            packed = codec.read(Packed, _unzipped(compressed))
        case _:
            raise ValueError("not the inputs of a decision")
    if not isinstance(packed, Packed):
        raise ValueError("not the inputs of a decision")
    spec = packed.spec or followed.model_copy(update={"deletion_policy": packed.deletion_policy})
    return Inputs(spec, packed.status, packed.facts, packed.now, digest(followed), entries, packed.after)


def status_data(status: SparkReleaseStatus) -> object:
    """What is kept of a status, as JSON: equal for statuses no decision tells apart."""
    return codec.write(SparkReleaseStatus, _kept_status(status))


def length_in(entry: Mapping[str, object]) -> int | None:
    """Of the data of a decision's first entry, how many entries the decision has; None for any other entry."""
    match entry.get(KEY):
        case {"entries": int(entries)}:
            return entries
        case _:
            return None


def version_of(data: object) -> str:
    """Version of the program that packed the inputs; empty when it does not say."""
    return str(data.get("by", "")) if isinstance(data, Mapping) else ""


def _unzipped(compressed: str) -> object:
    try:
        unzip = zlib.decompressobj()
        text = unzip.decompress(base64.b64decode(compressed, validate=True), _MOST)
        if not unzip.eof:
            raise ValueError("the inputs are cut off, or too large")
        return json.loads(text)
    except (zlib.error, binascii.Error, RecursionError) as problem:
        raise ValueError(f"the inputs cannot be unpacked: {problem}") from problem


def _kept_status(status: SparkReleaseStatus) -> SparkReleaseStatus:
    """The status without what no decision reads: evidence, what is not stored or told, glances, a route's record."""
    original = status.original_route
    return status.model_copy(
        update={
            "evidence": EvidenceStatus(),
            "pending_evidence": (),
            "untold": (),
            "original_route": original.model_copy(update={"state": ""}) if original is not None else None,
            "history": tuple(one.model_copy(update={"evidence": EvidenceStatus()}) for one in status.history[:1]),
            "glances": (),
            "conditions": clear_condition(status.conditions, ConditionType.EVIDENCE_COMPLETE),
        }
    )


def _kept_facts(facts: Facts) -> Facts:
    """The facts without what may be long and decides nothing: the record of a route's weights, and names of pods."""
    route, stable, canary = facts.route, facts.stable, facts.canary
    if route.original:
        route = dataclasses.replace(route, original="")
    if stable.pods or canary.pods:
        stable, canary = (dataclasses.replace(side, pods=frozenset()) for side in (stable, canary))
    return dataclasses.replace(facts, route=route, stable=stable, canary=canary)
