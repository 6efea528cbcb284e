"""The example application counts what happens, evenly, and a fault is one cause with its own trace and no other."""

from __future__ import annotations

from pathlib import Path

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
from trading.surroundings import Surroundings
from trading.web import Feature, Site

POLICY = Path(__file__).resolve().parents[3] / "manifests" / "policies" / "spark-standard.yaml"
ITEMS = [PreflightItem.model_validate(item) for item in yaml.safe_load(POLICY.read_text())["spec"]["preflight"]]


class Process:
    """One process of the application, without its web side."""

    def __init__(self, *faults: Fault, pace: float = 60) -> None:
        self.instruments = Instruments()
        self.faults = Faults(faults)
        self.desk = Desk(self.instruments, self.faults, Pace(pace))
        self.surroundings = Surroundings(self.instruments, self.faults, Pace(pace), self.desk)

    async def orders(self, count: int) -> list[int]:
        return [await self.desk.order() for _ in range(count)]

    def value(self, name: str, **labels: str) -> float:
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
        (Fault.POOL_EXHAUSTED, "pgbouncer_pools_client_waiting_connections", 1),
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


@pytest.mark.parametrize("item", [item for item in ITEMS if item.http is not None], ids=lambda item: item.name)
async def test_a_healthy_process_passes_every_check_that_asks_it(item: PreflightItem) -> None:
    site = Site("v1", "pod", Faults(), Pace(60))
    async with TestClient(TestServer(site.application())) as client:
        url = (item.http or "").removeprefix("http://$canary")
        answer = await client.get(url)
        headers = tuple(answer.headers.items())
        seen = judge(item, HttpAnswer(url, answer.status, headers, await answer.read(), 0.1))
    assert seen.verdict is Verdict.PASS, seen


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
