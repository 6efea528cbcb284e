"""Wrong watches and error budgets, each with the field at fault and the smallest correction."""

from __future__ import annotations

from unit.api.wrong import Wrong

DURATION = "must be a duration such as 90s or 1h30m"
DAY = {"duration": "24h"}
BUDGET = {"metric": "http", "objective": 0.999}

WATCHES = [
    Wrong("watch without a duration", "watch", {"every": "1h"}, DAY, "spec.watch.duration", "equired"),
    Wrong("watch in days", "watch", {"duration": "1d"}, DAY, "spec.watch.duration", ""),
    Wrong("a pause longer than the watch", "watch", {"duration": "30m"}, DAY, "spec.watch", "every is longer"),
    Wrong(
        "burn rates in percent",
        "watch",
        DAY | {"burnRates": {"objective": 99}},
        DAY | {"burnRates": {"objective": 0.99}},
        "spec.watch.burnRates.objective",
        "less than",
    ),
    Wrong(
        "burn rates of nothing",
        "watch",
        DAY | {"burnRates": {}},
        DAY | {"burnRates": {"objective": 0.99}},
        "spec.watch.burnRates.objective",
        "equired",
    ),
    Wrong("a threshold nowhere", "thresholds.0.at", "noon", "gates", "spec.thresholds[0].at", ""),
    Wrong("a budget of nothing", "errorBudget", {"objective": 0.9}, BUDGET, "spec.errorBudget.metric", "equired"),
    Wrong(
        "a budget in percent", "errorBudget", BUDGET | {"objective": 99.9}, BUDGET, "spec.errorBudget.objective", "less"
    ),
    Wrong("a budget for a year", "errorBudget", BUDGET | {"window": "1y"}, BUDGET, "spec.errorBudget.window", ""),
]
