"""Row B7: back in two minutes: the operator sets the flag to 0 at once, then people take the workload back."""

from __future__ import annotations

import time
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
WITHIN = 120
"""Seconds the protocol gives flag and workload together."""

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
    """A run with half of the users on the feature, which came with a rollout of the workload."""
    desk.begin("v1")
    desk.roll_out("v2")
    desk.cluster.wait_rolled_out(desk.namespace, desk.name)
    desk.start_load(rps=40)
    desk.release("v2", stages=STAGES)
    desk.until("half is in force", lambda s: s["weight"]["desired"] == 50 and s["weight"]["verified"])


def rollback(desk: FlagDesk, *args: str) -> str:
    """A person asks for it."""
    return kubectl(desk, "sparkrelease", "rollback", desk.name, "--reason", "scores look wrong", *args)


def image(desk: FlagDesk) -> str:
    """What the workload is to run."""
    body = desk.cluster.get("apps/v1", "Deployment", desk.name, desk.namespace)
    return str(body["spec"]["template"]["spec"]["containers"][0]["image"])


def kubectl(desk: FlagDesk, *args: str) -> str:
    """A person's command in the namespace of the release."""
    done = desk.cluster.kubectl(*args, "-n", desk.namespace, identity=MIRA)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(240)
def test_one_command_turns_the_flag_off_and_a_workload_that_people_take_back_then_gets_no_user_on_the_feature(
    flag_operator: Operator, desk: FlagDesk
) -> None:
    half(desk)
    assert f"ConfigMap/{desk.flags}" in rollback(desk, "--dry-run")
    assert desk.value() == "0.5", "a dry run changes nothing"
    asked = time.monotonic()
    rollback(desk)
    status = desk.until_phase("RolledBack", timeout=20)
    assert desk.value() == "0"
    assert status["rollback"]["seconds"] < 5
    desk.in_force("0")
    since = desk.cluster.audit_cursor()
    assert image(desk) == desk.cluster.app_image("v2", "trading"), "the operator leaves the workload as it is"
    kubectl(desk, "rollout", "undo", f"deployment/{desk.name}")
    desk.cluster.wait_rolled_out(desk.namespace, desk.name)
    desk.in_force("0")
    assert time.monotonic() - asked < WITHIN
    assert image(desk) == desk.cluster.app_image("v1", "trading")
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
