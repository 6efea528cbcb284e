"""Wrong mirrors, each with the field at fault and the smallest correction."""

from __future__ import annotations

from typing import Any

from unit.api.wrong import Wrong, stage


def shadow(mirror: object, weight: object = 0) -> list[dict[str, Any]]:
    """A stage that mirrors, and one after it."""
    return [{**stage("shadow", weight), "mirror": mirror}, stage("full")]


MIRRORS = [
    Wrong(
        "a mirror beside a weight",
        "stages",
        shadow(100, 1),
        shadow(100, 0),
        "spec.stages[0].weight",
        "set weight to 0 or remove mirror",
    ),
    Wrong(
        "a mirror after a weight",
        "stages",
        [stage("one", 1), {**stage("shadow", 0), "mirror": 100}, stage("full")],
        [{**stage("shadow", 0), "mirror": 100}, stage("one", 1), stage("full")],
        "spec.stages",
        "weights never fall",
    ),
    Wrong(
        "nothing but a mirror",
        "stages",
        [{**stage("shadow", 0), "mirror": 100}],
        shadow(100),
        "spec.stages",
        "the last stage must give canary a weight",
    ),
    Wrong("a mirror of nothing", "stages", shadow(0), shadow(1), "spec.stages[0].mirror", "greater than 0"),
    Wrong("a mirror over the whole", "stages", shadow(101), shadow(100), "spec.stages[0].mirror", "less than or equal"),
    Wrong("a mirror too fine", "stages", shadow(0.0001), shadow(0.001), "spec.stages[0].mirror", "three decimals"),
    Wrong(
        "a mirror as text",
        "stages",
        shadow("100"),
        shadow(100),
        "spec.stages[0].mirror",
        "number",
        only_the_server=True,
    ),
    Wrong("a threshold at a shadow", "thresholds.0.at", "shadow", "gates", "spec.thresholds[0].at", ""),
]
