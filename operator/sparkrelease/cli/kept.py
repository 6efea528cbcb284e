"""Evidence kept in files: ConfigMaps as kubectl prints them, entries line by line, or an earlier export."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from sparkrelease.adapters.kubernetes.evidence import DATA_KEY, RUN_LABEL
from sparkrelease.cli.evidence import Checked, StoredEvidence, check, evidence_of_run, runs_with_evidence
from sparkrelease.cli.exits import CliError, ExitCode
from sparkrelease.decide.evidence import parse_entry

_OBJECTS, _LINES = frozenset({".yaml", ".yml", ".json"}), frozenset({".jsonl"})


def checked_files(place: Path, name: str, namespace: str | None, run: str | None) -> Checked:
    """The evidence in a folder or a file, checked; there is no status to tell the head of its chain.

    A file is a ConfigMap or a list of them (YAML, JSON), or entries line by line (`.jsonl`). Without a namespace the
    one that the entries name is taken.
    """
    stored = _stored(place, run)
    said = next((entry.release for entry in stored.entries), "")
    return check(stored, None, f"{namespace or said.partition('/')[0]}/{name}")


def _stored(place: Path, run: str | None) -> StoredEvidence:
    """The evidence there: of the run asked for, or of the only one there is."""
    if not place.exists():
        raise CliError(ExitCode.USAGE, f"{place} is neither a directory nor a file")
    paths = sorted(place.iterdir()) if place.is_dir() else [place]
    config_maps = [one for path in paths for one in _config_maps(path)]
    runs = runs_with_evidence(config_maps)
    if run is None and len(runs) == 1:
        run = runs[0]
    if run in runs:
        return evidence_of_run(config_maps, run)
    there = f"there is evidence of {', '.join(runs)}" if runs else "there is no evidence"
    if run is None and runs:
        raise CliError(ExitCode.USAGE, f"{place}: {there}: name one with --run")
    raise CliError(ExitCode.NOT_FOUND, f"{place}: {there}{f' and none of {run}' if run else ''}")


def _config_maps(path: Path) -> Iterator[Mapping[str, object]]:
    if path.suffix not in _OBJECTS | _LINES or not path.is_file():
        return
    try:
        text = path.read_text(encoding="utf-8")
        documents = _read(path, text)
    except (OSError, ValueError, yaml.YAMLError) as problem:
        line = " ".join(str(problem).split())
        raise CliError(ExitCode.USAGE, f"{path} cannot be read: {line}") from problem
    for document in documents:
        if isinstance(document, Mapping):
            items = document.get("items")
            yield from (one for one in (items if isinstance(items, list) else [document]) if isinstance(one, Mapping))


def _read(path: Path, text: str) -> list[object]:
    """The documents of a file; ValueError or YAMLError when it holds none."""
    if path.suffix in _LINES:
        return [_as_config_map(path, text)]
    return [json.loads(text)] if path.suffix == ".json" else list(yaml.safe_load_all(text))


def _as_config_map(path: Path, text: str) -> Mapping[str, object]:
    """Lines of entries in the shape of the ConfigMap they may have come from; the run is what the first one says."""
    first = parse_entry(text.partition("\n")[0])
    if first is None:
        raise ValueError("its first line is no evidence entry")
    meta = {"name": path.stem, "annotations": {RUN_LABEL: first.run}}
    return {"metadata": meta, "data": {DATA_KEY: text if text.endswith("\n") else text + "\n"}}
