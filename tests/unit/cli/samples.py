"""Releases as the API server has them, for looking at."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from sparkrelease.api.objects import read_release
from sparkrelease.api.spec import SparkReleaseSpec
from sparkrelease.cli.look import ReleaseView
from sparkrelease.decide.resolve import ResolvedSpec, resolve

NOW = datetime(2026, 11, 21, 14, 3, 50, tzinfo=UTC)
IMAGES = Path(__file__).resolve().parents[3] / "docs" / "images"
_BODY = yaml.safe_load((IMAGES / "release.yaml").read_text(encoding="utf-8"))


def body(**status: object) -> dict[str, Any]:
    """The release of the documentation, with parts of its status replaced; None removes a part."""
    changed = copy.deepcopy(_BODY)
    for key, value in status.items():
        if value is None:
            changed["status"].pop(key, None)
        else:
            changed["status"][key] = value
    return changed


def seen(release: Mapping[str, object], note: str = "") -> ReleaseView:
    """The view of a release whose spec needs no policy."""
    parsed = read_release(release)
    spec = resolve(parsed.spec, None) if isinstance(parsed.spec, SparkReleaseSpec) else None
    return ReleaseView(parsed, spec if isinstance(spec, ResolvedSpec) else None, note)


def view(**status: object) -> ReleaseView:
    """`seen(body(...))`."""
    return seen(body(**status))


def part(of: str, /, **changes: object) -> dict[str, Any]:
    """A part of the sample's status with some of its fields replaced."""
    return {**_BODY["status"][of], **changes}


def condition(kind: str, status: str, message: str = "", reason: str = "Because") -> dict[str, Any]:
    """A condition that is eighty seconds old."""
    at = "2026-11-21T14:02:30Z"
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": at}
