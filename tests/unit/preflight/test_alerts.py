"""Alerts that must be there and heard before a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pytest

from fakes.preflight import FakeRunner, FakeSource
from fakes.prometheus_server import MisbehavingServer
from sparkrelease.adapters.alerts import HttpAlerts
from sparkrelease.api.config import MetricsServer
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase
from sparkrelease.decide.alerts import Matcher, Silence, alert_findings, undeclared_alerts
from sparkrelease.decide.facts import Missing
from sparkrelease.documents.files import documents
from sparkrelease.engine.checks import Checks
from sparkrelease.ports.cluster import ObjectKey
from unit.decide.signatures import check_replay
from unit.decide.world import START, World, spec
from unit.documents.runs import chain_of

LABELS = {"namespace": frozenset({"shop"}), "service": frozenset({"shop-stable", "shop-canary"})}
OURS, ALERT = Matcher("namespace", "shop"), Matcher("alertname", "Burn1h")
MISSING = Missing(Reason.PROMETHEUS_UNREACHABLE, "no answer in time")


def found(rules: Mapping[str, str] | Missing, silences: Sequence[Silence] | Missing = ()) -> list[tuple[Reason, bool]]:
    told = alert_findings(("Burn1h",), rules, silences, LABELS)
    return [(finding.problem.reason, finding.fatal) for finding in told]


def test_an_alert_that_is_loaded_and_not_silenced_is_well() -> None:
    assert found({"Burn1h": "ok"}) == []
    assert found({"Burn1h": "unknown"}) == [], "a rule that was not evaluated yet is there"


@pytest.mark.parametrize("rules", [{}, {"Other": "ok"}, {"Burn1h": "err"}])
def test_one_that_is_not_there_or_fails_keeps_the_run_from_starting(rules: dict[str, str]) -> None:
    assert found(rules) == [(Reason.ALERT_MISSING, True)]


def test_what_cannot_be_looked_for_is_no_pass() -> None:
    assert found(MISSING) == [(Reason.PROMETHEUS_UNREACHABLE, True)]
    assert found({"Burn1h": "ok"}, MISSING) == [(Reason.PROMETHEUS_UNREACHABLE, True)]


@pytest.mark.parametrize(
    ("matchers", "fatal"),
    [
        ((ALERT,), True),
        ((OURS,), True),
        ((Matcher("alertname", "Burn.*", regex=True), Matcher("service", "shop-canary")), True),
        ((Matcher("alertname", "Other", equal=False),), True),
        ((ALERT, Matcher("severity", "page")), False),
        ((Matcher("alertname", "(", regex=True),), True),
        ((Matcher("alertname", "Burn", regex=True),), None),
        ((ALERT, Matcher("namespace", "other")), None),
        ((ALERT, Matcher("namespace", "shop", equal=False)), None),
        ((Matcher("service", "billing"),), None),
    ],
)
def test_a_silence_counts_when_it_is_about_this_alert_of_this_release(
    matchers: tuple[Matcher, ...], fatal: bool | None
) -> None:
    told = found({"Burn1h": "ok"}, [Silence("s1", matchers, "deploy")])
    assert told == ([] if fatal is None else [(Reason.ALERT_SILENCED, fatal)])


# ---------------------------------------------------------------- the servers


def served(body: object, **more: object) -> MisbehavingServer:
    return MisbehavingServer(json.dumps(body).encode(), **more)  # type: ignore[arg-type]  # its own fields


async def test_rules_and_silences_are_read_from_real_servers() -> None:
    rules = [{"name": "Burn1h", "health": "ok"}, {"name": "Burn1h", "health": "err"}, {"name": "Burn6h", "health": "?"}]
    loaded = served({"status": "success", "data": {"groups": [{"rules": rules}]}})
    matchers = [{"name": "alertname", "value": "B.*", "isRegex": True}]
    silences = [
        {"id": state, "status": {"state": state}, "matchers": matchers, "comment": "x"}
        for state in ("active", "expired", "pending")
    ]
    with loaded.serving(), served(silences).serving() as manager:
        server = MetricsServer(url=loaded.url, alertmanager=manager.url, headers={"X-Scope-OrgID": "tenant"})
        source = HttpAlerts({"default": server})
        assert await source.rules("default") == {"Burn1h": "err", "Burn6h": "unknown"}
        told = await source.silences("default")
        assert told == (Silence("active", (Matcher("alertname", "B.*", regex=True),), "x"),)
        assert "X-Scope-OrgID" in loaded.requests[0][2]
        assert "X-Scope-OrgID" not in manager.requests[0][2], "what is the metrics server's goes to it alone"


async def test_a_server_that_answers_badly_is_missing_and_none_declared_is_no_silence() -> None:
    with served({}, status=503).serving() as broken, MisbehavingServer(b"<html>").serving() as page:
        servers = {
            "broken": MetricsServer(url=broken.url),
            "page": MetricsServer(url=page.url),
            "away": MetricsServer(url="http://127.0.0.1:1"),
        }
        source = HttpAlerts(servers)
        assert all([isinstance(await source.rules(name), Missing) for name in servers])
        assert await source.silences("broken") == ()


async def test_only_a_server_that_asks_for_alerts_is_asked() -> None:
    class Source:
        asked = 0

        async def rules(self, server: str) -> Mapping[str, str] | Missing:
            self.asked += 1
            return {}

        async def silences(self, server: str) -> Sequence[Silence] | Missing:
            return ()

    resolved, source = World().resolved(), Source()
    assert resolved is not None
    for alerts, count in ((None, 0), ((), 0), (("Burn1h", "Burn6h"), 2)):
        servers = {"default": MetricsServer(url="http://p", alerts=alerts, alertmanager="http://a")}
        checks = Checks(FakeRunner(), FakeSource(), servers, lambda: START, source)
        told = await checks.built_in(ObjectKey("shop", "shop"), resolved)
        assert sum(finding.fatal for finding in told) == count
    assert source.asked == 1


@pytest.mark.parametrize(
    ("alerts", "alertmanager", "says"),
    [
        (None, None, "no burn-rate alert is declared for server default, so nobody looked for one; declare `alerts`"),
        (("Burn1h",), None, "no Alertmanager is declared for server default, so nobody looked for silences; declare"),
        (("Burn1h",), "http://a", None),
        ((), None, None),
    ],
)
def test_what_nobody_declared_is_warned_of_and_an_empty_list_is_a_word(
    alerts: tuple[str, ...] | None, alertmanager: str | None, says: str | None
) -> None:
    told = [*undeclared_alerts("default", alerts, silences=alertmanager is not None)]
    assert [(one.check, one.fatal, one.problem.reason) for one in told] == (
        [("alerts", False, Reason.ALERTS_NOT_DECLARED)] if says else []
    )
    assert not says or told[0].problem.message.startswith(says)


async def test_a_run_without_declared_alerts_starts_and_says_in_status_event_and_scan_that_nobody_looked() -> None:
    servers = {"default": MetricsServer(url="http://p")}
    world = World(spec=spec(checklist=[{"name": "backups"}]))
    resolved = world.resolved()
    assert resolved is not None
    checks = Checks(FakeRunner(), FakeSource(), servers, lambda: START)
    world.preflight = await checks.built_in(ObjectKey("shop", "shop"), resolved)
    world.run_for(30, until=Phase.AWAITING_APPROVAL)
    assert world.status.phase is Phase.AWAITING_APPROVAL, world.why()
    (verdict,) = world.status.verdicts
    assert (verdict.rule, verdict.reason) == ("alerts", "AlertsNotDeclared")
    assert any(event.reason is Reason.ALERTS_NOT_DECLARED for event in world.events)
    check_replay(world)
    scan = documents([], world.stored(), chain_of(world.stored()))["blind_spots_scan.txt"]
    assert "warning: alerts: no burn-rate alert is declared for server default" in scan
