"""The example application counts what happens, evenly, and a fault is one cause with its own trace and no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from sparkrelease.api.preflight import PreflightItem
from sparkrelease.api.status import Verdict
from sparkrelease.decide.preflight.answers import HttpAnswer
from sparkrelease.decide.preflight.judge import judge
from trading.desk import Desk
from trading.faults import Fault, Faults, read_faults
from trading.flag import Flag
from trading.instruments import Instruments
from trading.pace import Pace, Share
from trading.settings import Settings
from trading.surroundings import Surroundings
from trading.web import Feature, Site

POLICIES = Path(__file__).resolve().parents[3] / "manifests" / "policies"


def spec_of(policy: str) -> dict[str, Any]:
    spec: dict[str, Any] = yaml.safe_load((POLICIES / f"{policy}.yaml").read_text())["spec"]
    return spec


ITEMS = [
    PreflightItem.model_validate(item)
    for policy in ("spark-standard", "spark-feature-flag")
    for item in spec_of(policy)["preflight"]
]
ASKED = [item for item in ITEMS if item.http is not None]


class Process:
    """One process of the application, without its web side."""

    def __init__(self, *faults: Fault, pace: float = 60, settings: Settings | None = None) -> None:
        self.instruments = Instruments()
        self.faults = Faults(faults)
        self.desk = Desk(self.instruments, self.faults, Pace(pace), settings)
        self.surroundings = Surroundings(self.instruments, self.faults, Pace(pace), self.desk, settings)

    async def orders(self, count: int) -> list[int]:
        return [await self.desk.order() for _ in range(count)]

    def value(self, name: str, /, **labels: str) -> float:
        registry: CollectorRegistry = self.instruments.registry
        found = registry.get_sample_value(name, labels)
        assert found is not None, name
        return found


def test_a_share_is_due_evenly() -> None:
    share = Share()
    due = [share.due(0.02) for _ in range(200)]
    assert sum(due) == 4
    assert [place for place, one in enumerate(due) if one] == [49, 99, 149, 199]


@pytest.mark.parametrize("text", ["", " ", "memory-leak", "memory-leak, outbox-stuck"])
def test_faults_are_read_by_name(text: str) -> None:
    assert {fault.value for fault in read_faults(text)} == {name.strip() for name in text.split(",") if name.strip()}


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="gremlins"):
        read_faults("gremlins")


async def test_a_healthy_process_takes_orders_and_breaks_nothing() -> None:
    process = Process()
    assert set(await process.orders(60)) == {200}
    process.surroundings.step(0.1)
    for name in ("risk_blocks_total", "decimal_precision_errors_total", "csp_violation_reports_total"):
        assert process.value(name) == 0
    assert process.value("outbox_oldest_unpublished_age_seconds") == 0
    assert process.value("idempotency_keys_active") == 60


async def test_errors_and_risk_blocks_come_in_their_shares() -> None:
    codes = await Process(Fault.RISK_AND_ERRORS).orders(100)
    assert (codes.count(500), codes.count(422)) == (2, 9)


@pytest.mark.slow
async def test_blocks_alone_and_rare_errors_alone_come_in_their_shares() -> None:
    blocked = await Process(Fault.RISK_BLOCKS).orders(100)
    assert (blocked.count(422), set(blocked)) == (10, {200, 422})
    failed = await Process(Fault.RARE_ERRORS).orders(120)
    assert (failed.count(500), set(failed)) == (2, {200, 500})


async def test_a_page_in_twenty_is_reported_by_browsers_whatever_the_pace() -> None:
    process = Process(Fault.VIOLATING_PAGES)
    await process.orders(60)
    process.surroundings.step(1.0)
    assert process.value("csp_violation_reports_total") == 3


async def told_by(process: Process) -> dict[str, float]:
    """What three more boxes of the day are judged by, after 25 more orders."""
    await process.orders(25)
    process.surroundings.step(0.1)
    buckets = [process.value("ml_score_total", bucket=bucket) for bucket in ("low", "middle", "high")]
    return {
        "breaches": process.value("guardrail_breaches_total"),
        "dead-letters": process.value("dlq_messages"),
        "bucket-balance": round(max(buckets) / sum(buckets), 2),
    }


@pytest.mark.parametrize(
    ("fault", "box", "value"),
    [
        (Fault.GUARDRAILS_HIT, "breaches", 5),
        (Fault.LETTERS_DIE, "dead-letters", 5),
        (Fault.ONE_BUCKET, "bucket-balance", 1),
    ],
)
async def test_a_fault_of_the_scores_moves_its_own_box_and_no_other(fault: Fault, box: str, value: float) -> None:
    healthy = {"breaches": 0, "dead-letters": 0, "bucket-balance": 0.6}
    assert await told_by(Process()) == healthy
    told = await told_by(Process(fault))
    assert told == healthy | {box: value}


async def test_what_was_breached_and_what_died_is_still_there_once_the_cause_is_gone() -> None:
    process = Process(Fault.GUARDRAILS_HIT, Fault.LETTERS_DIE)
    before = await told_by(process)
    process.faults.set([])
    after = await told_by(process)
    assert (after["breaches"], after["dead-letters"]) == (before["breaches"], before["dead-letters"])


async def test_orders_sent_twice_meet_their_own_key() -> None:
    process = Process(Fault.DUPLICATE_ORDERS)
    assert (await process.orders(50)).count(409) == 10
    assert process.value("idempotency_conflicts_total") == 10


async def test_prices_rounded_as_floats_are_caught() -> None:
    process = Process(Fault.FLOAT_PRICES)
    await process.orders(6)
    assert process.value("decimal_precision_errors_total") > 0


async def test_a_stuck_outbox_ages_and_a_healed_one_is_empty() -> None:
    process = Process(Fault.OUTBOX_STUCK)
    await process.orders(1)
    process.surroundings.step(0.1)
    assert process.value("outbox_oldest_unpublished_age_seconds") > 0
    process.faults.set([])
    process.surroundings.step(0.1)
    assert process.value("outbox_oldest_unpublished_age_seconds") == 0


@pytest.mark.parametrize(
    ("fault", "series", "least"),
    [
        (Fault.CSP_VIOLATIONS, "csp_violation_reports_total", 200),
        (Fault.CONNECTION_LEAK, "db_pool_connections_in_use", 6),
        (Fault.STREAM_DROPS, "ws_disconnects_total", 12 * 20),
    ],
)
def test_what_goes_on_without_requests_happens_at_the_pace(fault: Fault, series: str, least: float) -> None:
    process = Process(fault, pace=60)
    process.surroundings.step(1.0)
    assert process.value(series) >= least
    well = Process()
    well.surroundings.step(1.0)
    assert well.value(series) < least


def test_a_feed_that_stalls_keeps_its_last_time() -> None:
    process = Process(Fault.FEED_STALLED)
    at = process.value("feed_last_message_timestamp_seconds", venue="BIST")
    process.surroundings.step(1.0)
    assert process.value("feed_last_message_timestamp_seconds", venue="BIST") == at
    assert process.value("ws_last_message_timestamp_seconds") > at


def test_an_exhausted_pool_has_all_of_its_connections_at_work() -> None:
    process = Process(Fault.POOL_EXHAUSTED)
    process.surroundings.step(0.1)
    size = process.value("pgbouncer_databases_pool_size", name="trading")
    assert process.value("pgbouncer_pools_server_active_connections", database="trading") == size
    process.faults.set([])
    process.surroundings.step(0.1)
    assert process.value("pgbouncer_pools_server_active_connections", database="trading") == 0


async def asked(item: PreflightItem, *faults: Fault) -> Verdict:
    """What a check says of a process."""
    site = Site("v1", "pod", Faults(faults), Pace(60))
    async with TestClient(TestServer(site.application())) as client:
        url = (item.http or "").removeprefix("http://$canary")
        answer = await client.get(url)
        headers = tuple(answer.headers.items())
        return judge(item, HttpAnswer(url, answer.status, headers, await answer.read(), 0.1)).verdict


@pytest.mark.parametrize("item", ASKED, ids=lambda item: item.name)
async def test_a_healthy_process_passes_every_check_that_asks_it(item: PreflightItem) -> None:
    assert await asked(item) is Verdict.PASS


@pytest.mark.parametrize(
    ("fault", "failing"),
    [
        (Fault.SERVER_ERRORS, {"api-health", "build", "ml-score", "public-endpoints"}),
        (Fault.VERY_SLOW_ANSWERS, {"public-endpoints"}),
        (Fault.STREAM_SILENT, {"executor"}),
    ],
)
async def test_what_is_wrong_with_a_process_fails_the_checks_that_are_about_it(fault: Fault, failing: set[str]) -> None:
    assert {item.name for item in ASKED if await asked(item, fault) is Verdict.FAIL} == failing


def settings(folder: Path, trigger: str) -> Settings:
    """A ConfigMap as a rule of the triage leaves it."""
    (rule,) = [one for one in spec_of("spark-feature-flag")["triggers"] if one["name"] == trigger]
    for key, value in rule["mitigation"]["set"].items():
        (folder / key).write_text(value)
    return Settings(folder)


def test_settings_that_nobody_made_or_that_cannot_be_read_are_the_usual_ones(tmp_path: Path) -> None:
    (tmp_path / "POLL_SECONDS").write_text("often")
    for read in (Settings(), Settings(tmp_path / "none"), Settings(tmp_path)):
        assert (read.confidence_floor, read.poll_seconds) == (0, 30)
        assert (read.equal_weights, read.probes_executor) == (False, False)


async def test_the_counter_move_of_a_slow_feature_makes_it_fast_and_gives_fewer_scores(tmp_path: Path) -> None:
    slow = Process(Fault.VERY_SLOW_ANSWERS, settings=settings(tmp_path, "slow"))
    await slow.orders(20)
    scores = sum(slow.value("ml_score_total", bucket=bucket) for bucket in ("low", "middle", "high"))
    assert scores == 15, "a quarter of them has less confidence than 0.65"


async def test_how_sure_the_model_is_of_scores_it_withholds_is_told_too(tmp_path: Path) -> None:
    (tmp_path / "CONFIDENCE_FLOOR").write_text("0.5")
    unsure = Process(Fault.UNSURE_MODEL, settings=Settings(tmp_path))
    await unsure.orders(20)
    assert sum(unsure.value("ml_score_total", bucket=bucket) for bucket in ("low", "middle", "high")) == 0
    assert unsure.value("ml_confidence_bucket", le="0.45") == 20


async def test_the_counter_move_of_an_unsure_feature_makes_it_sure(tmp_path: Path) -> None:
    unsure, moved = Process(Fault.UNSURE_MODEL), Process(Fault.UNSURE_MODEL, settings=settings(tmp_path, "unsure"))
    for process in (unsure, moved):
        await process.orders(20)
    assert unsure.value("ml_confidence_bucket", le="0.45") == 20
    assert moved.value("ml_confidence_bucket", le="0.45") == 0


def test_the_counter_move_of_a_stale_stream_asks_the_executor_at_once_and_at_every_poll(tmp_path: Path) -> None:
    process = Process(Fault.STREAM_SILENT, pace=30, settings=settings(tmp_path, "stale"))
    for seconds, times in ((0.1, 1), (0.8, 1), (0.2, 2), (1.0, 3)):
        process.surroundings.step(seconds)
        assert process.value("executor_probes_total", answer="silent") == times
    process.faults.set([])
    process.surroundings.step(1.0)
    assert process.value("executor_probes_total", answer="ok") == 1
    (tmp_path / "PROBE_EXECUTOR").unlink()
    process.surroundings.step(100.0)
    assert process.value("executor_probes_total", answer="ok") == 1


async def test_every_answer_says_of_which_build_it_is() -> None:
    site = Site("v1", "pod", Faults(), Pace(60), build="3f2c1a9")
    async with TestClient(TestServer(site.application())) as client:
        for path in ("/", "/health"):
            assert (await client.get(path)).headers["X-Build-SHA"] == "3f2c1a9"


async def test_a_browser_s_report_is_counted_and_a_look_at_its_endpoint_is_none() -> None:
    site = Site("v1", "pod", Faults(), Pace(60))
    async with TestClient(TestServer(site.application())) as client:
        await client.get("/csp-reports")
        await client.post("/csp-reports", data="{}")
        metrics = await (await client.get("/metrics")).text()
    assert "csp_violation_reports_total 1.0" in metrics.splitlines()


@pytest.mark.parametrize(
    ("text", "share"),
    [("0", 0), ("preview", 0.01), ("0.1", 0.1), ("0.5", 0.5), ("1.0", 1), ("", 0), ("on", 0), ("7", 0), ("nan", 0)],
)
def test_a_flag_is_read_as_it_stands_and_what_is_no_share_is_off(tmp_path: Path, text: str, share: float) -> None:
    file = tmp_path / "FEATURE"
    flag = Flag(file)
    assert flag.share == 0
    file.write_text(text)
    assert flag.share == share
    served = sum(flag.serves(f"user-{number}") for number in range(20_000))
    assert abs(served - 20_000 * share) <= 5 * (20_000 * share * (1 - share)) ** 0.5
    file.unlink()
    assert flag.share == 0


def test_who_has_the_feature_keeps_it_on_the_next_rung(tmp_path: Path) -> None:
    file = tmp_path / "FEATURE"
    flag, before = Flag(file), set[str]()
    for text in ("preview", "0.1", "0.5", "1.0"):
        (tmp_path / "new").write_text(text)
        (tmp_path / "new").rename(file)
        now = {user for user in map(str, range(2000)) if flag.serves(user)}
        assert before <= now
        before = now
    assert len(before) == 2000


def test_a_process_with_a_flag_counts_each_side_by_itself_and_says_what_it_goes_by(tmp_path: Path) -> None:
    (tmp_path / "FEATURE").write_text("0.5")
    feature = Feature(Flag(tmp_path / "FEATURE"), "FEATURE", ("desk-stable", "desk-canary"))
    registry = Site("v2", "desk-1", Faults(), Pace(60), feature).registry
    assert registry.get_sample_value("feature_flag_value", {"flag": "FEATURE"}) == 0.5
    for side in feature.sides:
        assert registry.get_sample_value("http_requests_total", {"code": "200", "side": side}) == 0
