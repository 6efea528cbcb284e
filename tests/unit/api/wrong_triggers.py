"""Wrong triggers, legs and comparisons, each with the field at fault and the smallest correction."""

from __future__ import annotations

from unit.api.wrong import Wrong

# fmt: off - a table is read by its rows
DURATION = "must be a duration such as 90s or 1h30m"
DNS_LABEL = "match"

LEG = "spec.triggers[0].all[0]"
COUNTS, QUANTILE, VALUE = ({"metric": name} for name in ("http", "latency", "lag"))


def leg(what: str, wrong: dict[str, object], mended: dict[str, object], at: str = LEG, says: str = "") -> Wrong:
    """A row on the first leg of the first trigger."""
    return Wrong(what, "triggers.0.all.0", wrong, mended, at, says)


GROWTH = {"kind": "growth", "over": "10m", "factor": 2}
TREND = {"kind": "trend", "over": "30m", "slopePerMinute": 1}
BURN = {"kind": "burnRate", "objective": 0.999}
PAIR = {"long": "1h", "short": "5m", "factor": 14.4}

KINDS = [
    leg("unknown kind", VALUE | {"kind": "forecast"}, VALUE | {"value": 1}, f"{LEG}.kind"),
    leg("threshold without a value", COUNTS, COUNTS | {"value": 1}, says="threshold needs value"),
    leg("threshold by name without a value", COUNTS | {"kind": "threshold"}, COUNTS | {"value": 1}, says="needs value"),
    leg("threshold with a factor", COUNTS | {"value": 1, "factor": 2}, COUNTS | {"value": 1}, says="other kinds"),
    leg("vsStable without a factor", COUNTS | {"kind": "vsStable"}, COUNTS | {"kind": "vsStable", "factor": 2}),
    leg(
        "vsStable with a value",
        COUNTS | {"kind": "vsStable", "factor": 2, "value": 1},
        COUNTS | {"kind": "vsStable", "factor": 2, "floor": 1, "op": ">="},
        says="kind vsStable needs factor and may have op, floor",
    ),
    leg(
        "factor of nothing",
        COUNTS | {"kind": "vsStable", "factor": 0},
        COUNTS | {"kind": "vsStable", "factor": 0.001},
        f"{LEG}.factor",
        "greater than 0",
    ),
    leg("vsBaseline without a factor", VALUE | {"kind": "vsBaseline"}, VALUE | {"kind": "vsBaseline", "factor": 1.5}),
    leg(
        "vsBaseline with a time",
        VALUE | {"kind": "vsBaseline", "factor": 1.5, "over": "1h"},
        VALUE | {"kind": "vsBaseline", "factor": 1.5},
    ),
    leg("growth without a time", VALUE | {"kind": "growth", "factor": 2}, VALUE | GROWTH, says="growth needs over"),
    leg("growth without a factor", VALUE | {"kind": "growth", "over": "5m"}, VALUE | GROWTH, says="over, factor"),
    leg("growth of nothing", VALUE | GROWTH | {"over": "0s"}, VALUE | GROWTH | {"over": "1s"}, f"{LEG}.over", DURATION),
    leg("growth with an op", VALUE | GROWTH | {"op": "<"}, VALUE | GROWTH | {"floor": 20}),
    leg("trend without a slope", VALUE | {"kind": "trend", "over": "30m"}, VALUE | TREND, says="slopePerMinute"),
    leg(
        "trend with everything of others",
        VALUE | TREND | {"floor": 1, "margin": 2},
        VALUE | TREND | {"warmup": "10m", "resetOn": "podRestart", "vsStableFactor": 2, "pBelow": 0.05},
    ),
    leg(
        "chance of one", VALUE | TREND | {"pBelow": 1}, VALUE | TREND | {"pBelow": 0.999}, f"{LEG}.pBelow", "less than"
    ),
    leg(
        "reset on a full moon",
        VALUE | TREND | {"resetOn": "moon"},
        VALUE | TREND | {"resetOn": "podRestart"},
        f"{LEG}.resetOn",
    ),
    leg("warmup of two days", VALUE | TREND | {"warmup": "48h"}, VALUE | TREND | {"warmup": "24h"}, f"{LEG}.warmup"),
    leg("burn rate without an objective", COUNTS | {"kind": "burnRate"}, COUNTS | BURN, says="needs objective"),
    leg(
        "objective in percent",
        COUNTS | BURN | {"objective": 99.9},
        COUNTS | BURN,
        f"{LEG}.objective",
        "less than 1",
    ),
    leg(
        "five pairs of windows",
        COUNTS | BURN | {"windows": [PAIR] * 5},
        COUNTS | BURN | {"windows": [PAIR] * 4},
        f"{LEG}.windows",
        "at most 4 items",
    ),
    leg(
        "windows of a pair exchanged",
        COUNTS | BURN | {"windows": [{"long": "5m", "short": "1h", "factor": 6}]},
        COUNTS | BURN | {"windows": [PAIR]},
        f"{LEG}.windows[0].long",
        "longer than short",
    ),
    leg(
        "pair without a factor",
        COUNTS | BURN | {"windows": [{"long": "1h", "short": "5m"}]},
        COUNTS | BURN | {"windows": [PAIR]},
        f"{LEG}.windows[0].factor",
        "equired",
    ),
    leg(
        "sequential with a value",
        COUNTS | {"kind": "sequential", "value": 1},
        COUNTS | {"kind": "sequential", "margin": 2, "alpha": 0.005, "minEvents": 3},
    ),
    leg(
        "sequential that is never sure",
        COUNTS | {"kind": "sequential", "alpha": 0},
        COUNTS | {"kind": "sequential", "alpha": 0.001},
        f"{LEG}.alpha",
        "greater than 0",
    ),
    leg("turned round in words", COUNTS | {"value": 1, "not": []}, COUNTS | {"value": 1, "not": True}, f"{LEG}.not"),
    leg("no events enough", COUNTS | {"value": 1, "minEvents": 0}, COUNTS | {"value": 1, "minEvents": 1}),
    # Kinds that do not fit the metric.
    leg("burn rate of a value", VALUE | BURN, COUNTS | BURN, "spec.triggers", "count events"),
    leg("burn rate of a quantile", QUANTILE | BURN, COUNTS | BURN, "spec.triggers", "which events are bad"),
    leg(
        "sequential of a value",
        VALUE | {"kind": "sequential"},
        QUANTILE | {"kind": "sequential"},
        "spec.triggers",
        "count events",
    ),
    leg(
        "quantile against stable",
        QUANTILE | {"kind": "vsStable", "factor": 2},
        COUNTS | {"kind": "vsStable", "factor": 2},
        "spec.triggers",
        "no number to compare",
    ),
    leg(
        "quantile against the baseline",
        QUANTILE | {"kind": "vsBaseline", "factor": 2},
        COUNTS | {"kind": "vsBaseline", "factor": 2},
        "spec.triggers",
        "no number to compare",
    ),
    leg("growth of a quantile", QUANTILE | GROWTH, COUNTS | GROWTH, "spec.triggers", "no number to compare"),
    leg("trend of a quantile", QUANTILE | TREND, VALUE | TREND, "spec.triggers", "no number to compare"),
    leg("trend of a share", COUNTS | TREND, VALUE | TREND, "spec.triggers", "read from a value"),
]

ACTIVE = {"schedule": "0 10 * * 1-5", "duration": "8h", "timeZone": "Europe/Istanbul"}

TRIGGERS = [
    Wrong("unknown action", "triggers.0.action", "promote", "stepBack", "spec.triggers[0].action"),
    Wrong("unknown scope", "triggers.0.scope", "stable", "shared", "spec.triggers[0].scope"),
    Wrong(
        "schedule without a duration",
        "triggers.0.activeWhen",
        {"schedule": "0 10 * * *"},
        ACTIVE,
        "spec.triggers[0].activeWhen.duration",
        "equired",
    ),
    Wrong(
        "schedule of four fields",
        "triggers.0.activeWhen",
        ACTIVE | {"schedule": "0 10 * *"},
        ACTIVE,
        "spec.triggers[0].activeWhen.schedule",
        DNS_LABEL,
    ),
    Wrong(
        "schedule in words",
        "triggers.0.activeWhen",
        ACTIVE | {"schedule": "@daily"},
        ACTIVE | {"schedule": "0 0 * * *"},
        "spec.triggers[0].activeWhen.schedule",
        DNS_LABEL,
    ),
    Wrong(
        "active for no time",
        "triggers.0.activeWhen",
        ACTIVE | {"duration": "0s"},
        ACTIVE,
        "spec.triggers[0].activeWhen.duration",
        DURATION,
    ),
    Wrong(
        "time zone with a blank",
        "triggers.0.activeWhen",
        ACTIVE | {"timeZone": "New York"},
        ACTIVE | {"timeZone": "America/New_York"},
        "spec.triggers[0].activeWhen.timeZone",
        DNS_LABEL,
    ),
]

TEST = {"metric": "http"}

FLAGS = {"configMap": "flags", "set": {"FLOOR": "0.65"}}
MITIGATED = {"name": "slow", "all": [COUNTS | {"value": 1}], "action": "mitigate", "mitigation": FLAGS}
MITIGATION = "spec.triggers[0].mitigation"


def acting(what: str, wrong: dict[str, object], mended: dict[str, object], at: str, says: str) -> Wrong:
    """A row on the first trigger."""
    return Wrong(what, "triggers.0", MITIGATED | wrong, MITIGATED | mended, at, says)


ACTIONS = [
    acting("mitigate without a mitigation", {"mitigation": None}, {}, "spec.triggers[0]", "mitigate needs mitigation"),
    acting(
        "a name no ConfigMap can have",
        {"mitigation": FLAGS | {"configMap": "Flags/x"}},
        {"mitigation": FLAGS | {"configMap": "flags-x"}},
        f"{MITIGATION}.configMap",
        DNS_LABEL,
    ),
    acting(
        "keys as a list",
        {"mitigation": FLAGS | {"set": ["FLOOR"]}},
        {"mitigation": FLAGS | {"set": {"FLOOR": ""}}},
        f"{MITIGATION}.set",
        "",
    ),
    acting(
        "keys of no ConfigMap",
        {"mitigation": {"set": FLAGS["set"]}},
        {"mitigation": FLAGS},
        f"{MITIGATION}.configMap",
        "equired",
    ),
    acting("a ConfigMap without keys", {"mitigation": {"configMap": "flags"}}, {}, f"{MITIGATION}.set", "equired"),
    acting(
        "17 keys",
        {"mitigation": FLAGS | {"set": {f"K{n}": "v" for n in range(17)}}},
        {"mitigation": FLAGS | {"set": {f"K{n}": "v" for n in range(16)}}},
        f"{MITIGATION}.set",
        "at most 16",
    ),
    acting(
        "a value too long",
        {"mitigation": FLAGS | {"set": {"FLOOR": "v" * 1025}}},
        {"mitigation": FLAGS | {"set": {"FLOOR": "v" * 1024}}},
        f"{MITIGATION}.set.FLOOR",
        "",
    ),
    acting(
        "a value that is a number",
        {"mitigation": FLAGS | {"set": {"FLOOR": 0.65}}},
        {"mitigation": FLAGS | {"set": {"FLOOR": "0.65"}}},
        f"{MITIGATION}.set.FLOOR",
        "string",
    ),
    acting(
        "a restart of a name no Deployment can have",
        {"mitigation": FLAGS | {"restart": "Worker"}},
        {"mitigation": FLAGS | {"restart": "worker"}},
        f"{MITIGATION}.restart",
        DNS_LABEL,
    ),
    acting(
        "a restart of nothing",
        {"mitigation": FLAGS | {"restart": ""}},
        {"mitigation": FLAGS | {"restart": "worker"}},
        f"{MITIGATION}.restart",
        "at least 1 char",
    ),
    acting(
        "undone perhaps",
        {"mitigation": FLAGS | {"undoOnRollback": "perhaps"}},
        {"mitigation": FLAGS | {"undoOnRollback": True}},
        f"{MITIGATION}.undoOnRollback",
        "boolean",
    ),
    acting(
        "a mitigation with a field of its own",
        {"mitigation": FLAGS | {"namespace": "other"}},
        {"mitigation": FLAGS},
        f"{MITIGATION}.namespace",
        "",
    ),
    acting(
        "a pause in days",
        {"mitigation": FLAGS | {"cooldown": "1d"}},
        {"mitigation": FLAGS | {"cooldown": "24h"}},
        f"{MITIGATION}.cooldown",
        "",
    ),
]

COMPARISONS = [
    Wrong(
        "test on no metric",
        "comparison",
        {"tests": [{"metric": "nope"}]},
        {"tests": [TEST]},
        "spec.comparison.tests",
        "not in spec.metrics",
    ),
    Wrong(
        "test on a value",
        "comparison",
        {"tests": [{"metric": "lag"}]},
        {"tests": [TEST, {"metric": "latency", "margin": 1.25}]},
        "spec.comparison.tests",
        "counts events",
    ),
    Wrong("two tests of one metric", "comparison", {"tests": [TEST, TEST]}, {"tests": [TEST]}, "spec.comparison.tests"),
    Wrong(
        "nine tests",
        "comparison",
        {"tests": [{"metric": f"m{n}"} for n in range(9)]},
        {"tests": [TEST]},
        "spec.comparison.tests",
        "at most 8 items",
    ),
    Wrong("alpha of nothing", "comparison", {"alpha": 0}, {"alpha": 0.01}, "spec.comparison.alpha", "greater than 0"),
    Wrong("alpha of all", "comparison", {"alpha": 1}, {"alpha": 0.5}, "spec.comparison.alpha", "less than 1"),
    Wrong(
        "margin below nothing",
        "comparison",
        {"tests": [TEST | {"margin": -1}]},
        {"tests": [TEST | {"margin": 1.5}]},
        "spec.comparison.tests[0].margin",
        "greater than 0",
    ),
    Wrong(
        "no events enough for a test",
        "comparison",
        {"tests": [TEST | {"minEvents": 0}]},
        {"tests": [TEST | {"minEvents": 1}]},
        "spec.comparison.tests[0].minEvents",
    ),
    Wrong(
        "warmup in words",
        "comparison",
        {"warmup": "a while"},
        {"warmup": "0s"},
        "spec.comparison.warmup",
        DURATION,
    ),
    Wrong(
        "control of half",
        "comparison",
        {"keepControl": 50},
        {"keepControl": 49.999},
        "spec.comparison.keepControl",
        "less than 50",
    ),
    Wrong(
        "control too fine",
        "comparison",
        {"keepControl": 0.0005},
        {"keepControl": 0.001},
        "spec.comparison.keepControl",
        "decimals",
    ),
    Wrong("comparison by another word", "comparison", {"confidence": 0.99}, {"alpha": 0.01}, "spec.comparison.confid"),
    Wrong("shared breach borne no time", "sharedRollbackAfter", "0s", "15m", "spec.sharedRollbackAfter", DURATION),
    Wrong("metric looked at never", "metrics.0.every", "0s", "15s", "spec.metrics[0].every", DURATION),
    Wrong("unknown attribution", "metrics.0.attribution", "node", "pod", "spec.metrics[0].attribution"),
    Wrong(
        "limit of no baseline",
        "thresholds.0.maxVsBaseline",
        0,
        1.1,
        "spec.thresholds[0].maxVsBaseline",
        "greater than 0",
    ),
    Wrong(
        "quantile against its baseline",
        "thresholds.1",
        {"name": "p95", "metric": "latency", "maxVsBaseline": 1.1},
        {"name": "p95", "metric": "latency", "max": 0.1},
        "spec.thresholds",
        "use max",
    ),
]
