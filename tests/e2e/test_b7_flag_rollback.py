"""Back in minutes, in this order: the flag goes to 0, then the workload. The flag waits for nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed.cluster import User
from testbed.evidence import checked
from testbed.flagdesk import SERVER, FlagDesk, flag_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.cluster import Cluster, Operator, PrometheusProxy
    from testbed.sole_operator import SoleOperator

STAGES = [{"name": "half", "weight": 50, "duration": "10m"}, {"name": "full", "weight": 100, "duration": "10m"}]
MIRA = User("mira@example.org", ("system:masters",))


@pytest.fixture
def proxy(cluster: Cluster) -> Iterator[PrometheusProxy]:
    running = cluster.start_prometheus_proxy()
    yield running
    running.stop()


@pytest.fixture
def behind_proxy(operators: SoleOperator, cluster: Cluster, proxy: PrometheusProxy) -> Operator:
    """An operator whose Prometheus can be taken away."""
    servers = flag_config(cluster)["servers"]
    return operators.run(servers=servers | {SERVER: servers[SERVER] | {"url": proxy.url, "timeout": "2s"}})


def half(desk: FlagDesk) -> None:
    """A run with half of the users on the feature."""
    desk.begin()
    desk.start_load(rps=40)
    desk.release("v2", stages=STAGES)
    desk.until("half is in force", lambda s: s["weight"]["desired"] == 50 and s["weight"]["verified"])


def rollback(desk: FlagDesk, *args: str) -> str:
    """A person asks for it."""
    told = ("sparkrelease", "rollback", desk.name, "-n", desk.namespace, "--reason", "scores look wrong", *args)
    done = desk.cluster.kubectl(*told, identity=MIRA)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(240)
def test_one_command_turns_the_flag_off_and_the_workload_follows_when_nobody_is_on_the_feature(
    flag_operator: Operator, desk: FlagDesk
) -> None:
    half(desk)
    assert f"ConfigMap/{desk.flags}" in rollback(desk, "--dry-run")
    assert desk.value() == "0.5", "a dry run changes nothing"
    rollback(desk)
    status = desk.until_phase("RolledBack", timeout=20)
    assert desk.value() == "0"
    assert status["rollback"]["seconds"] < 5
    desk.in_force("0")
    since = desk.cluster.audit_cursor()
    desk.roll_out("v1")
    desk.cluster.wait_rolled_out(desk.namespace, desk.name)
    assert set(desk.values_written(since)) <= {"0"}, "the version that was refused gets no user back"
    assert checked(desk).closed_by == "RolledBack"


def test_the_flag_is_off_at_once_with_prometheus_away(
    behind_proxy: Operator, proxy: PrometheusProxy, desk: FlagDesk
) -> None:
    half(desk)
    proxy.fail("error")
    rollback(desk)
    desk.until_weight(0, timeout=10)
    status = desk.until_phase("RolledBack", timeout=20)
    assert status["rollback"]["seconds"] < 5
