"""The one door to stored evidence: immutable ConfigMaps that together hold a run's entries as one text."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from sparkrelease.adapters.kubernetes.lists import METADATA_ONLY, list_pages
from sparkrelease.adapters.kubernetes.paths import FIELD_MANAGER, path_of
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Problem
from sparkrelease.ports.api_server import ApiServer, Reply
from sparkrelease.ports.cluster import ObjectKey

CHUNK_BYTES = 900 * 1024
"""Largest text in one ConfigMap; the API server's limit is 1 MiB for all its data."""

DATA_KEY = "entries.jsonl"
RELEASE_LABEL = "sparkrelease.dev/release"
RUN_LABEL = "sparkrelease.dev/run"
EVIDENCE_LABEL = "sparkrelease.dev/evidence"

_LONGEST_LABEL = 63
_LONGEST_NAME = 253
_SUFFIX = len("-evidence-000000")
_PART = (_LONGEST_NAME - _SUFFIX - 1) // 2
"""Longest a release's or a run's part of the name may be."""


def _fit(text: str, safe: str, limit: int) -> str:
    """`text` itself when it equals its safe form and fits; else that form, cut, with a hash of the text after it."""
    if safe == text and len(text) <= limit:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    head = safe[: limit - len(digest) - 1].rstrip("-._")
    return f"{head}-{digest}" if head else digest


def name_part(text: str, limit: int = _PART) -> str:
    """A release or run as part of an object's name: lower case, digits, `-` and `.` inside; one text, one part."""
    safe = re.sub(r"[^a-z0-9.-]+", "-", text.lower())
    safe = re.sub(r"[-.]*\.[-.]*", ".", safe).strip("-.")
    return _fit(text, safe, limit)


def label_value(text: str) -> str:
    """A release or run as a label's value: at most 63 characters; one text, one value."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")
    return _fit(text, safe, _LONGEST_LABEL)


def evidence_name(release: str, run: str, index: int) -> str:
    """Name of the run's ConfigMap number `index`."""
    return f"{name_part(release)}-{name_part(run)}-evidence-{index:03d}"


def first_piece(text: str, limit: int) -> str:
    """The longest beginning of the text that fits into `limit` bytes of UTF-8.

    It ends at the end of a line; inside a line (and then between two characters) only when that line alone is longer.
    """
    raw = text.encode()
    if len(raw) <= limit:
        return text
    end = raw.rfind(b"\n", 0, limit) + 1
    return raw[: end or limit].decode(errors="ignore")


class ConfigMapEvidence:
    """Creates ConfigMaps and never changes one; an EvidenceStore.

    `pruner` speaks for the account that may delete evidence, because the operator's own may not; without it nothing
    is ever deleted.
    """

    def __init__(self, api: ApiServer, pruner: ApiServer | None = None, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._api = api
        self._pruner = pruner
        self._chunk_bytes = chunk_bytes

    def name(self, key: ObjectKey, run: str, index: int) -> str:
        """Name of the run's ConfigMap number `index`."""
        return evidence_name(key.name, run, index)

    async def store(self, key: ObjectKey, run: str, index: int, entries: Sequence[str]) -> Problem | tuple[str, ...]:
        """Stores the entries from ConfigMap number `index` on; see EvidenceStore."""
        rest = "".join(f"{entry}\n" for entry in entries)
        names: list[str] = []
        while rest:
            piece = first_piece(rest, self._chunk_bytes)
            name = self.name(key, run, index + len(names))
            stored = await self._create(key, run, name, piece)
            if isinstance(stored, Problem):
                return stored
            names.append(name)
            rest = rest[len(stored) :]
        return tuple(names)

    async def _create(self, key: ObjectKey, run: str, name: str, piece: str) -> str | Problem:
        """Creates one ConfigMap; answers the text that is in it, which the piece begins with."""
        reply = await self._api.request(
            "POST",
            path_of("ConfigMap", key.namespace),
            query={"fieldManager": FIELD_MANAGER},
            body=_config_map(key, run, name, piece),
        )
        if not reply.already_exists:
            return reply.problem or piece
        there = await self._read(key.namespace, name)
        if isinstance(there, Problem):
            return there
        if there and piece.startswith(there):
            return there
        return Problem(Reason.EVIDENCE_DIFFERS, f"ConfigMap {name} exists and holds something else")

    async def _read(self, namespace: str, name: str) -> str | Problem:
        reply = await self._api.request("GET", path_of("ConfigMap", namespace, name))
        if reply.problem is not None:
            return Problem(Reason.EVIDENCE_MISSING, f"ConfigMap {name} is gone") if reply.not_found else reply.problem
        text = _text(reply)
        if text is None:
            return Problem(Reason.EVIDENCE_MISSING, f"ConfigMap {name} has no {DATA_KEY}")
        return text

    async def load(self, namespace: str, config_maps: Sequence[str]) -> Sequence[str] | Problem:
        """The entries of these ConfigMaps, in order."""
        pieces: list[str] = []
        for name in config_maps:
            piece = await self._read(namespace, name)
            if isinstance(piece, Problem):
                return piece
            pieces.append(piece)
        # Not splitlines(): JSON may hold the other characters Unicode counts as line ends.
        lines = "".join(pieces).split("\n")
        return lines if lines[-1] else lines[:-1]

    async def prune(self, key: ObjectKey, keep: int, present: str) -> Problem | None:
        """Deletes old evidence of this release (see EvidenceStore); answers what failed last, after trying all."""
        if self._pruner is None:
            return Problem(Reason.EVIDENCE_KEPT, f"old evidence of {key.name} stays: no account may delete it")
        labels = f"{EVIDENCE_LABEL}=true,{RELEASE_LABEL}={label_value(key.name)}"
        found = await list_pages(self._pruner, path_of("ConfigMap", key.namespace), labels=labels, accept=METADATA_ONLY)
        if isinstance(found, Problem):
            return found
        failed: Problem | None = None
        for metadata in _prunable(found, key.name, keep, present):
            failed = await self._delete(self._pruner, key.namespace, metadata) or failed
        return failed

    async def _delete(self, pruner: ApiServer, namespace: str, metadata: Mapping[str, object]) -> Problem | None:
        reply = await pruner.request(
            "DELETE",
            path_of("ConfigMap", namespace, str(metadata.get("name"))),
            body={"preconditions": {"uid": metadata.get("uid")}},
        )
        return None if reply.not_found else reply.problem


def _config_map(key: ObjectKey, run: str, name: str, text: str) -> dict[str, object]:
    """No ownerReference: evidence outlives its release. Labels are for selectors; annotations have the whole names."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "namespace": key.namespace,
            "labels": {
                EVIDENCE_LABEL: "true",
                RELEASE_LABEL: label_value(key.name),
                RUN_LABEL: label_value(run),
                "app.kubernetes.io/managed-by": FIELD_MANAGER,
            },
            "annotations": {RELEASE_LABEL: key.name, RUN_LABEL: run},
        },
        "immutable": True,
        "data": {DATA_KEY: text},
    }


def _text(reply: Reply) -> str | None:
    data = reply.body.get("data")
    text = data.get(DATA_KEY) if isinstance(data, Mapping) else None
    return text if isinstance(text, str) else None


def _prunable(
    found: Iterable[Mapping[str, object]], release: str, keep: int, present: str
) -> list[Mapping[str, object]]:
    """Metadata of the evidence of that very release that is of older runs; what does not say whose it is, is kept.

    The ConfigMaps tell by themselves which runs there were, and in which order: a run is as young as its last one.
    """
    of_run: defaultdict[str, list[Mapping[str, object]]] = defaultdict(list)
    for item in found:
        metadata = item.get("metadata")
        notes = metadata.get("annotations") if isinstance(metadata, Mapping) else None
        if not isinstance(metadata, Mapping) or not isinstance(notes, Mapping) or notes.get(RELEASE_LABEL) != release:
            continue
        run = notes.get(RUN_LABEL)
        if isinstance(run, str) and run:
            of_run[run].append(metadata)
    last = {run: max(str(one.get("creationTimestamp") or "") for one in maps) for run, maps in of_run.items()}
    newest_first = sorted(of_run, key=lambda run: (run == present, last[run], run), reverse=True)
    return [one for run in newest_first[keep:] for one in of_run[run]]
