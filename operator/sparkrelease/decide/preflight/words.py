"""Words an item may use for what differs from release to release, so that one policy serves many."""

from __future__ import annotations

import re

from sparkrelease.api.preflight import PreflightItem
from sparkrelease.decide.resolve import ResolvedSpec

_WORD = re.compile(r"\$(canary|stable|version|namespace)\b")
FIELDS = ("http", "artifact")
"""Fields beside `expect` in which they stand; a query has words of its own ($sel, $by, $win)."""


def filled_item(item: PreflightItem, spec: ResolvedSpec, namespace: str) -> PreflightItem:
    """The item with $canary and $stable (Service and port), $version and $namespace put in.

    Names and versions are made of letters, digits and a few signs, none of which means anything in a URL's host.
    """
    traffic = spec.traffic
    words = {
        "canary": f"{traffic.canary.service}:{traffic.canary.port}",
        "stable": f"{traffic.stable.service}:{traffic.stable.port}",
        "version": spec.version,
        "namespace": namespace,
    }

    def put(text: str) -> str:
        return _WORD.sub(lambda found: words[found[1]], text)

    changes: dict[str, object] = {field: put(text) for field in FIELDS if (text := getattr(item, field)) is not None}
    changes["expect"] = tuple(put(line) for line in item.expect)
    return item.model_copy(update=changes)
