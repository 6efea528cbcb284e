"""A rolled-back release is told once, with true figures; a target that hangs costs the rollback nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import pytest

from e2e.receivers import receiving
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.receivers import Receiver
    from testbed.cluster import Cluster
    from testbed.shop import Shop
    from testbed.sole_operator import SoleOperator

KEY = "the-key-of-the-webhook"


@pytest.fixture
def receiver(cluster: Cluster) -> Iterator[Receiver]:
    with receiving(cluster.host_address) as one:
        yield one


@pytest.fixture
def stuck(cluster: Cluster) -> Iterator[Receiver]:
    with receiving(cluster.host_address, hangs=True) as one:
        yield one


@pytest.fixture
def chat(cluster: Cluster) -> Iterator[Receiver]:
    with receiving(cluster.host_address) as one:
        yield one


@pytest.fixture
def telling(
    operators: SoleOperator, cluster: Cluster, receiver: Receiver, stuck: Receiver, chat: Receiver
) -> SoleOperator:
    """An operator that knows the three targets, the key of the first and, as a secret, the address of the last."""
    targets = {
        "ops": {"kind": "webhook", "url": receiver.url, "secretFile": f"{cluster.operator_files}/webhook-key"},
        "stuck": {"kind": "webhook", "url": stuck.url, "timeout": "10m"},
        "chat": {"kind": "slack", "urlFile": f"{cluster.operator_files}/slack-url"},
    }
    files = {"webhook-key": KEY, "slack-url": f"{chat.url}\n"}
    operators.run(files=files, notifications=targets, clusterName="lab")
    return operators


def reads_in_slack(posted: Any, title: str, said: dict[str, Any], record: dict[str, Any]) -> None:  # noqa: ANN401
    """The blocks say of the rollback what the webhook was told and the status says."""
    assert posted["text"].startswith(f"{title}: burst: ")
    header, sentence, figures, command = posted["blocks"]
    assert (header["type"], header["text"]["text"]) == ("header", title)
    assert said["rules"][0]["value"] in sentence["text"]["text"]
    fields = dict(field["text"].split("\n") for field in figures["fields"])
    assert fields["*Rule*"] == f"`burst Fail: {said['rules'][0]['value']}; limit &gt; 5%`"
    assert fields["*Canary weight*"] == f"`{record['fromWeight']:g} % → 0 %`"
    assert fields["*Evidence*"].startswith(f"`{said['evidence']['head']}")
    assert command["elements"][0]["text"] == f"`{said['command']}`"


def test_a_rollback_is_told_once_with_true_figures_and_a_hanging_target_does_not_slow_it(
    telling: SoleOperator, shop: Shop, receiver: Receiver, stuck: Receiver, chat: Receiver
) -> None:
    shop.open()
    shop.start_load(rps=100)
    told = [*({"target": one, "on": ["rollback"]} for one in ("ops", "chat"))]
    told.append({"target": "stuck", "on": ["start", "rollback"]})
    shop.ship("v2", error=0.5, notifications=told)
    shop.until_condition("RolledBack", timeout=60)
    wait_for("the message", lambda: receiver.bodies(shop.namespace), timeout=10)
    assert len(stuck.taken) == 1, "one message hangs, and the next waits behind it"

    status = shop.until("route at rest", lambda s: s["phase"] == "RolledBack" and s["weight"]["observed"] == 0)
    assert status["rollback"]["seconds"] <= 1.0
    (event,) = receiver.bodies(shop.namespace)  # one message, and no other
    assert event["type"] == "dev.cdevents.service.rolledback.0.2.0"
    said, record = event["data"]["customData"], status["rollback"]
    assert said["rollbackSeconds"] == record["seconds"]
    assert (said["canaryWeightBefore"], said["canaryWeight"]) == (record["fromWeight"], 0)
    assert said["rules"][0]["rule"] == record["trigger"] == "burst"
    assert said["rules"][0]["limit"] == "> 5%"
    assert said["rules"][0]["value"] in record["message"]
    assert said["evidence"]["head"] in [entry["evidence"]["head"] for entry in status["history"]]
    assert said["command"] == f"kubectl sparkrelease status shop -n {shop.namespace}"
    headers, body = receiver.taken[-1]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    signature = base64.b64encode(hmac.digest(KEY.encode(), signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{signature}"

    wait_for("the message in the chat", lambda: chat.taken, timeout=10)
    ((headers, body),) = chat.taken
    assert headers["content-type"].startswith("application/json") and "webhook-signature" not in headers
    reads_in_slack(json.loads(body), f"{shop.namespace}/{shop.name} v2 rolled back (cluster lab)", said, record)

    assert status["untold"] == [status["run"]["id"]], "the target that hangs was not told yet"
    telling.crash()
    wait_for("said again after the crash", lambda: len(receiver.bodies(shop.namespace)) > 1, timeout=30)
    again = receiver.bodies(shop.namespace)[1]
    assert (again["id"], again["data"]["customData"]["again"]) == (event["id"], True)
