"""The ready-made policies carry the figures of the release protocol, each of them once."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from sparkrelease.api.notifications import Topic
from sparkrelease.api.objects import parse_policy, parse_release
from sparkrelease.api.preflight import PreflightItem
from sparkrelease.api.spec import ReleasePolicySpec, SparkReleaseSpec
from sparkrelease.api.triggers import Leg, LegKind, Trigger, TriggerAction, TriggerScope
from sparkrelease.decide.resolve import ResolvedSpec, resolve

PROJECT = Path(__file__).resolve().parents[3]
POLICIES = PROJECT / "manifests" / "policies"
NAMES = ("spark-standard", "spark-feature-flag")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def policy(name: str) -> ReleasePolicySpec:
    body = yaml.safe_load((POLICIES / f"{name}.yaml").read_text(encoding="utf-8"))
    assert body["metadata"]["name"] == name
    read = parse_policy(body)
    assert isinstance(read, ReleasePolicySpec), read
    return read


def under(name: str) -> ResolvedSpec:
    """A release that says nothing but its version, its traffic and this policy."""
    traffic = {
        "stable": {"service": "api-stable", "port": 80},
        "canary": {"service": "api-canary", "port": 80},
        "gatewayAPI": {"route": {"name": "api"}},
    }
    release = {"version": "v2", "policyRef": {"name": name}, "traffic": traffic}
    found = resolve(SparkReleaseSpec.model_validate(release), policy(name))
    assert isinstance(found, ResolvedSpec), found
    return found


STANDARD, FLAG = policy("spark-standard"), policy("spark-feature-flag")


def trigger(of: ReleasePolicySpec, name: str) -> Trigger:
    return next(one for one in of.triggers if one.name == name)


def leg(of: ReleasePolicySpec, name: str, place: int = 0) -> Leg:
    return trigger(of, name).all[place]


def limit(of: ReleasePolicySpec, name: str) -> tuple[float | None, float | None]:
    """Lowest and highest value that passes."""
    threshold = next(one for one in of.thresholds if one.name == name)
    return threshold.min, threshold.max if threshold.max_vs_baseline is None else threshold.max_vs_baseline


def unit(of: ReleasePolicySpec, metric: str) -> str | None:
    return next(one for one in of.metrics if one.name == metric).unit


@pytest.mark.parametrize("name", NAMES)
def test_a_release_that_names_the_policy_and_nothing_else_is_whole(name: str) -> None:
    read = {*(m.name for m in under(name).metrics)}
    ruled = {t.metric for t in under(name).thresholds} | {one.metric for t in under(name).triggers for one in t.all}
    assert read == ruled, "every metric is read by a rule"


def test_every_policy_is_applied_by_the_folder_s_kustomization() -> None:
    listed = yaml.safe_load((POLICIES / "kustomization.yaml").read_text())["resources"]
    assert listed == [f"{name}.yaml" for name in NAMES]
    assert {path.stem for path in POLICIES.glob("spark-*.yaml")} == set(NAMES)


# ---------------------------------------------------------------- the staged canary


def test_standard_has_five_stages_of_a_quarter_of_an_hour_and_the_last_one_of_half_an_hour() -> None:
    stages = [(stage.weight, stage.duration) for stage in STANDARD.stages]
    assert stages == [(1, 15 * MINUTE), (5, 15 * MINUTE), (25, 15 * MINUTE), (50, 15 * MINUTE), (100, 30 * MINUTE)]


@pytest.mark.parametrize(
    ("name", "highest"),
    [
        ("api-p95", 0.2),
        ("errors", 0.01),
        ("stream-staleness", 30),
        ("risk-blocks", 0.5),
        ("idempotency-conflicts", 0.01),
        ("csp-violations", 1.1),
    ],
)
def test_standard_judges_six_thresholds(name: str, highest: float) -> None:
    assert limit(STANDARD, name) == (None, highest)
    assert len(STANDARD.thresholds) == 6


@pytest.mark.parametrize(
    ("name", "value", "minutes"),
    [
        ("api-p95", 0.4, 5),
        ("http-5xx", 0.03, 5),
        ("feed-staleness", 120, 3),
        ("csp-violations", 50, 0),
        ("idempotency-conflicts", 0.05, 3),
        ("pool-saturation", 0.9, 3),
    ],
)
def test_standard_has_six_standard_triggers(name: str, value: float, minutes: int) -> None:
    assert (leg(STANDARD, name).kind, leg(STANDARD, name).comparator) == (LegKind.THRESHOLD, ">")
    assert leg(STANDARD, name).value == value
    assert trigger(STANDARD, name).for_ == minutes * MINUTE


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("correlated-degradation", (LegKind.VS_STABLE, LegKind.THRESHOLD)),
        ("non-improving-latency", (LegKind.THRESHOLD, LegKind.THRESHOLD)),
        ("memory-leak", (LegKind.TREND, LegKind.VS_STABLE)),
        ("connection-leak", (LegKind.GROWTH, LegKind.GROWTH)),
        ("outbox-lag", (LegKind.THRESHOLD,)),
        ("key-buildup", (LegKind.TREND, LegKind.VS_BASELINE)),
        ("disconnect-storm", (LegKind.VS_STABLE,)),
        ("decimal-precision", (LegKind.THRESHOLD,)),
    ],
)
def test_standard_has_eight_enhanced_triggers(name: str, kinds: tuple[LegKind, ...]) -> None:
    assert tuple(one.kind for one in trigger(STANDARD, name).all) == kinds
    assert len(STANDARD.triggers) == 6 + 8


def test_every_standard_trigger_rolls_back() -> None:
    assert {one.action for one in STANDARD.triggers} == {TriggerAction.ROLLBACK}


def test_an_outbox_lags_from_ten_seconds_on_whether_it_grows_or_not() -> None:
    assert [(one.kind, one.value) for one in trigger(STANDARD, "outbox-lag").all] == [(LegKind.THRESHOLD, 10)]


def test_a_standard_trigger_asks_for_nothing_beside_its_limit() -> None:
    assert {one.name: len(one.all) for one in STANDARD.triggers[:6] if len(one.all) > 1} == {}


def test_connections_leak_only_where_requests_did_not_grow() -> None:
    assert [one.not_ for one in trigger(STANDARD, "connection-leak").all] == [False, True]


def test_any_wrong_price_is_enough_at_once() -> None:
    wrong = trigger(STANDARD, "decimal-precision")
    assert (wrong.all[0].value, wrong.for_) == (0, timedelta(0))


def test_low_processor_use_is_what_tells_slow_from_busy() -> None:
    assert leg(STANDARD, "non-improving-latency", 1).op == "<"


def test_a_pool_is_nobody_s_alone() -> None:
    assert trigger(STANDARD, "pool-saturation").scope is TriggerScope.SHARED


def test_the_feed_is_looked_at_while_the_exchange_trades() -> None:
    hours = trigger(STANDARD, "feed-staleness").active_when
    assert hours is not None
    assert (hours.schedule, hours.duration, hours.time_zone) == ("0 10 * * 1-5", 8 * HOUR, "Europe/Istanbul")


def test_rates_and_ages_are_in_the_units_of_the_protocol() -> None:
    assert {unit(STANDARD, name) for name in ("csp-reports", "risk-blocks", "stream-drops")} == {"/min"}
    assert {unit(STANDARD, name) for name in ("feed-age", "stream-age", "outbox-age", "latency")} == {"s"}


CHECKS = {
    "time": "promql",
    "migrations": "http",
    "pooler": "http",
    "decimals": "file",
    "browser-policy": "http",
    "monitoring": "promql",
    "flags": "http",
    "sbom": "sbom",
    "provenance": "provenance",
}
"""The nine checks, and what kind of question each is."""


def check(name: str) -> PreflightItem:
    return next(item for item in STANDARD.preflight if item.name == name)


def test_standard_scans_for_nine_blind_spots_and_needs_all_nine() -> None:
    assert {item.name: item.asks for item in STANDARD.preflight} == CHECKS
    assert not any(item.optional for item in STANDARD.preflight)


@pytest.mark.parametrize(("part", "share"), [("node_timex_offset_seconds", "0.1"), ("db_clock_offset_seconds", "0.25")])
def test_clocks_differ_by_less_than_the_protocol_bears(part: str, share: str) -> None:
    promql = check("time").promql
    assert promql is not None and re.search(rf"max\(abs\({part}[^)]*\)\) / {share} or vector\(Inf\)", promql)
    assert check("time").expect == ("value < 1",)


def test_checks_name_no_object_of_a_team_but_the_release_s_own_services_and_one_config_map() -> None:
    urls = [item.http for item in STANDARD.preflight if item.http is not None]
    assert {url.split("/")[2] for url in urls} == {"$canary"}
    files = [item for item in STANDARD.preflight if item.artifact is not None]
    assert {item.file.config_map for item in files} == {"release-files"}
    assert {(item.file.sha256, item.signer) for item in files} == {(None, "ci")}, "no policy knows a digest"
    assert [item.name for item in STANDARD.preflight if item.job is not None] == []


def test_the_example_answers_four_checks_in_its_own_way_and_inherits_everything_else() -> None:
    written = yaml.safe_load((PROJECT / "examples" / "standard-release.yaml").read_text(encoding="utf-8"))
    spec = parse_release(written)
    assert isinstance(spec, SparkReleaseSpec), spec
    found = resolve(spec, STANDARD)
    assert isinstance(found, ResolvedSpec), found
    assert [item.name for item in found.preflight] == list(CHECKS)
    assert set(CHECKS) - set(found.policy_preflight) == {"migrations", "decimals", "monitoring", "flags"}
    assert (found.stages, found.triggers, found.checklist) == (STANDARD.stages, STANDARD.triggers, STANDARD.checklist)


def test_ten_items_are_signed_by_all_three() -> None:
    assert len(STANDARD.checklist) == 10
    board = ("devops-lead", "cto", "product-owner")
    assert {(item.required, item.groups) for item in STANDARD.checklist} == {(3, board)}


def test_the_first_night_is_a_day_of_hourly_checks_with_burn_rates() -> None:
    watch = STANDARD.watch
    assert watch is not None and watch.burn_rates is not None
    assert (watch.duration, watch.every) == (24 * HOUR, HOUR)


@pytest.mark.parametrize("name", NAMES)
def test_what_becomes_of_a_release_is_told_by_itself(name: str) -> None:
    (told,) = policy(name).notifications
    assert told.target == "releases"
    assert {Topic.ROLLBACK, Topic.PROMOTED, Topic.BLOCKED, Topic.ALERT} <= told.topics


# ---------------------------------------------------------------- by feature flag


def test_a_flag_goes_from_preview_over_a_tenth_and_a_half_to_all() -> None:
    stages = [(stage.name, stage.weight, stage.duration) for stage in FLAG.stages]
    assert stages[0][0::2] == ("preview", 4 * HOUR)
    assert [stage[1:] for stage in stages[1:-1]] == [(10, 60 * MINUTE), (50, 120 * MINUTE)]
    assert stages[-1][1] == 100


def test_a_flag_is_at_full_value_for_one_day_most_of_which_is_watched_hour_by_hour() -> None:
    watch = FLAG.watch
    assert watch is not None and (watch.duration, watch.every) == (24 * HOUR, HOUR)
    assert FLAG.stages[-1].duration + watch.duration < 25 * HOUR


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [
        ("api-p95", None, 1),
        ("stream-staleness", None, 30),
        ("errors", None, 0.01),
        ("score-rate", 10, None),
        ("confidence", 0.55, None),
        ("breaches", None, 5 - 1),
        ("dead-letters", None, 2 - 1),
        ("bucket-balance", 0.5, 0.8),
    ],
)
def test_a_flag_succeeds_by_eight_thresholds(name: str, lowest: float | None, highest: float | None) -> None:
    assert limit(FLAG, name) == (lowest, highest)
    assert len(FLAG.thresholds) == 8


@pytest.mark.parametrize(
    ("name", "op", "value", "minutes", "action"),
    [
        ("slow", ">", 1.5, 15, TriggerAction.STEP_BACK),
        ("stale", ">", 60, 30, TriggerAction.NOTIFY),
        ("errors", ">", 0.02, 30, TriggerAction.ROLLBACK),
        ("unsure", "<", 0.45, 180, TriggerAction.STEP_BACK),
    ],
)
def test_a_flag_is_triaged_by_four_rules(name: str, op: str, value: float, minutes: int, action: TriggerAction) -> None:
    assert (leg(FLAG, name).comparator, leg(FLAG, name).value) == (op, value)
    assert trigger(FLAG, name).for_ == minutes * MINUTE
    assert trigger(FLAG, name).action is action
    assert len(FLAG.triggers) == 4


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("slow", {"CONFIDENCE_FLOOR": "0.65", "POLL_SECONDS": "90"}),
        ("stale", {"PROBE_EXECUTOR": "true"}),
        ("unsure", {"SIGNAL_WEIGHTS": "equal"}),
    ],
)
def test_a_breach_has_a_counter_move_which_a_rollback_sets_back(name: str, keys: dict[str, str]) -> None:
    move = trigger(FLAG, name).mitigation
    assert move is not None
    assert (move.config_map, move.wanted, move.undo_on_rollback) == ("release-settings", keys, True)


def test_a_flag_that_steps_back_goes_to_preview() -> None:
    back = {one.name: one.stage for one in FLAG.triggers if one.action is TriggerAction.STEP_BACK}
    assert back == dict.fromkeys(("slow", "unsure"), FLAG.stages[0].name)


def test_five_checks_come_before_any_user_two_of_which_only_warn() -> None:
    assert [item.name for item in FLAG.preflight if not item.optional] == ["api-health", "build", "ml-score"]
    assert [item.name for item in FLAG.preflight if item.optional] == ["public-endpoints", "executor"]
    assert {(item.http or "").split("/")[2] for item in FLAG.preflight} == {"$canary"}, "no host has to be allowed"
    build = next(item for item in FLAG.preflight if item.name == "build")
    assert build.expect == ("X-Build-SHA",)


def test_the_role_that_is_shipped_is_for_the_settings_that_the_policy_changes() -> None:
    role, _ = yaml.safe_load_all((PROJECT / "manifests" / "namespaced" / "mitigation" / "rbac.yaml").read_text())
    moved = {one.mitigation.config_map for one in FLAG.triggers if one.mitigation is not None}
    assert set(role["rules"][0]["resourceNames"]) == moved
