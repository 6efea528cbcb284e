"""Messages over real HTTP: signed, tried again within bounds, a target by itself, and no secret told to anybody."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from sparkrelease.adapters.notify import WebhookNotifier
from sparkrelease.adapters.notify.post import seconds_of
from sparkrelease.api.notifications import NotificationTarget
from sparkrelease.ports.notifier import Delivery, Fate
from unit.notify.receiver import Answer, Receiver, hangs, receiving, says, taken
from unit.notify.sample import NOW, notice

if TYPE_CHECKING:
    from pathlib import Path

WAIT = 20.0
"""Seconds a test waits for what should take none."""


class Outcomes:
    """What came of messages."""

    def __init__(self) -> None:
        self.all: list[Delivery] = []
        self._came = asyncio.Event()

    def __call__(self, delivery: Delivery) -> None:
        self.all.append(delivery)
        self._came.set()

    async def count(self, wanted: int) -> list[Delivery]:
        async with asyncio.timeout(WAIT):
            while len(self.all) < wanted:
                self._came.clear()
                await self._came.wait()
        return self.all


def target(**fields: object) -> NotificationTarget:
    return NotificationTarget.model_validate({"kind": "webhook", **fields})


@asynccontextmanager
async def sending(**targets: NotificationTarget) -> AsyncIterator[tuple[WebhookNotifier, Outcomes]]:
    notifier = WebhookNotifier(targets, cluster="prod-1", first_pause=0.01)
    task = asyncio.create_task(notifier.run())
    try:
        yield notifier, Outcomes()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def one(*answers: Answer, **fields: object) -> AsyncIterator[tuple[Receiver, WebhookNotifier, Outcomes]]:
    """One webhook that answers so, and a notifier with it alone."""
    async with (
        receiving(*answers) as receiver,
        sending(hook=target(url=receiver.url, **fields)) as (notifier, outcomes),
    ):
        yield receiver, notifier, outcomes


async def test_a_webhook_can_check_who_sent_the_message_and_that_nobody_changed_it(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret-of-the-webhook\n")
    async with receiving() as receiver:
        hook = target(url=receiver.url, secretFile=str(tmp_path / "key"))
        async with sending(hook=hook) as (notifier, outcomes):
            notifier.send("hook", notice(), outcomes)
            (delivery,) = await outcomes.count(1)
    assert (delivery.fate, delivery.tries, delivery.why) == (Fate.SENT, 1, "")
    ((headers, body),) = receiver.requests
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(b"s3cret-of-the-webhook", signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60, (
        "so that an old message can be told from a new one"
    )
    assert headers["content-type"].startswith("application/cloudevents+json")
    assert receiver.bodies[0]["id"] == headers["webhook-id"] == notice().id


async def test_a_changed_key_is_used_for_the_next_message(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("one")
    async with receiving() as receiver:
        hook = target(url=receiver.url, secretFile=str(tmp_path / "key"))
        async with sending(hook=hook) as (notifier, outcomes):
            notifier.send("hook", notice(), outcomes)
            await outcomes.count(1)
            (tmp_path / "key").write_text("two\none")
            notifier.send("hook", notice(), outcomes)
            await outcomes.count(2)
    assert [len(headers["webhook-signature"].split()) for headers, _ in receiver.requests] == [1, 2]


async def test_slack_and_teams_are_reached_by_the_address_in_a_file(tmp_path: Path) -> None:
    async with receiving() as receiver:
        (tmp_path / "url").write_text(receiver.url + "\n")
        targets = {kind: target(kind=kind, urlFile=str(tmp_path / "url")) for kind in ("slack", "teams")}
        async with sending(**targets) as (notifier, outcomes):
            for name in targets:
                notifier.send(name, notice(), outcomes)
            assert {d.fate for d in await outcomes.count(2)} == {Fate.SENT}
    assert sorted(sorted(body) for body in receiver.bodies) == [["attachments", "type"], ["blocks", "text"]]


@pytest.mark.slow
async def test_a_busy_target_is_left_alone_for_as_long_as_it_asks() -> None:
    async with (
        receiving(says(429, "slow down", Retry_After="1"), taken) as receiver,
        sending(hook=target(url=receiver.url)) as (notifier, outcomes),
    ):
        began = time.monotonic()
        notifier.send("hook", notice(), outcomes)
        (delivery,) = await outcomes.count(1)
        waited = time.monotonic() - began
    assert (delivery.fate, delivery.tries) == (Fate.SENT, 2)
    assert waited >= 1.0, "without the header the pause would have been 10 ms"


async def test_a_wish_longer_than_a_message_may_wait_ends_it_without_another_try() -> None:
    async with (
        receiving(says(503, Retry_After="3600")) as receiver,
        sending(hook=target(url=receiver.url, giveUpAfter="1m")) as (notifier, outcomes),
    ):
        notifier.send("hook", notice(), outcomes)
        notifier.send("hook", notice(), outcomes)
        deliveries = await outcomes.count(2)
    assert [d.fate for d in deliveries] == [Fate.FAILED, Fate.FAILED]
    assert [d.tries for d in deliveries] == [1, 0], "the second one is not even tried: the wish holds for the target"
    assert deliveries[0].why == "HTTP 503"


@pytest.mark.slow
async def test_a_wish_that_no_calendar_knows_ends_neither_the_message_nor_the_other_targets() -> None:
    odd = says(503, Retry_After=f"Thu, 26 Nov {'9' * 20} 12:00:30 GMT")
    async with (
        receiving(odd, taken) as first,
        receiving() as second,
        sending(odd=target(url=first.url), other=target(url=second.url)) as (notifier, outcomes),
    ):
        notifier.send("odd", notice(), outcomes)
        await outcomes.count(1)
        notifier.send("other", notice(), outcomes)
        assert [one.fate for one in await outcomes.count(2)] == [Fate.SENT, Fate.SENT]


@pytest.mark.slow
async def test_trouble_of_the_target_is_tried_again_until_the_message_is_too_old() -> None:
    async with (
        receiving(says(500)) as receiver,
        sending(hook=target(url=receiver.url, giveUpAfter="2s")) as (notifier, outcomes),
    ):
        notifier.send("hook", notice(), outcomes)
        (delivery,) = await outcomes.count(1)
    assert delivery.fate is Fate.FAILED
    assert 3 <= delivery.tries == len(receiver.requests) <= 9, "pauses of 10, 20, 40, ... 1280 ms"
    assert delivery.why == f"HTTP 500 ({delivery.tries} tries)"
    assert len({headers["webhook-id"] for headers, _ in receiver.requests}) == 1, "a receiver can tell that it is one"


@pytest.mark.parametrize("status", [301, 307, 400, 403, 404, 410])
async def test_a_refusal_for_good_is_not_tried_again_and_no_redirect_is_followed(status: int) -> None:
    async with (
        receiving(says(status, "invalid_blocks", Location="/elsewhere")) as receiver,
        sending(hook=target(url=receiver.url)) as (notifier, outcomes),
    ):
        notifier.send("hook", notice(), outcomes)
        (delivery,) = await outcomes.count(1)
    assert (delivery.fate, delivery.why) == (Fate.FAILED, f"HTTP {status}: invalid_blocks")
    assert len(receiver.requests) == 1


async def test_a_target_that_hangs_keeps_no_other_waiting() -> None:
    async with receiving(hangs) as stuck, receiving() as fine:
        targets = {"stuck": target(url=stuck.url, timeout="300s"), "fine": target(url=fine.url)}
        async with sending(**targets) as (notifier, outcomes):
            for _ in range(5):
                notifier.send("stuck", notice(), outcomes)
                notifier.send("fine", notice(), outcomes)
            assert [d.target for d in await outcomes.count(5)] == ["fine"] * 5
            assert notifier.waiting() == {"stuck": 5, "fine": 0}


async def test_a_target_that_hangs_is_given_up_after_its_timeout() -> None:
    async with receiving(hangs) as stuck:
        hook = target(url=stuck.url, timeout="100ms", giveUpAfter="50ms")
        async with sending(hook=hook) as (notifier, outcomes):
            notifier.send("hook", notice(), outcomes)
            (delivery,) = await outcomes.count(1)
    assert (delivery.fate, delivery.tries, delivery.why) == (Fate.FAILED, 1, "no answer within 0.1 s")


async def test_a_full_queue_drops_the_oldest_and_keeps_the_order_of_the_rest() -> None:
    async with receiving() as receiver:
        notifier = WebhookNotifier({"hook": target(url=receiver.url, queue=3)})
        outcomes = Outcomes()
        for number in range(5):
            notifier.send("hook", notice(id=str(number)), outcomes)
        assert [(d.notice.id, d.fate) for d in outcomes.all] == [("0", Fate.DROPPED), ("1", Fate.DROPPED)]
        task = asyncio.create_task(notifier.run())
        await outcomes.count(5)
        task.cancel()
    assert [body["id"] for body in receiver.bodies] == ["2", "3", "4"]


async def test_what_waits_is_sent_before_a_clean_stop_but_nobody_waits_for_a_dead_target() -> None:
    async with receiving() as receiver, receiving(hangs) as stuck:
        targets = {"hook": target(url=receiver.url), "stuck": target(url=stuck.url)}
        async with sending(**targets) as (notifier, outcomes):
            notifier.send("hook", notice(), outcomes)
            await asyncio.wait_for(notifier.flush(within=WAIT), WAIT)
            assert [d.fate for d in outcomes.all] == [Fate.SENT]
            notifier.send("stuck", notice(), outcomes)
            await asyncio.wait_for(notifier.flush(within=0.05), WAIT)
            assert notifier.waiting()["stuck"] == 1


async def test_no_secret_is_told_whatever_goes_wrong(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with receiving() as receiver:
        (tmp_path / "key").write_text("the-k3y")
        addresses = {
            "answers": receiver.url + "/T0KEN",
            "nobody": "http://127.0.0.1:1/T0KEN",
            "unknown": "http://no-such-host.invalid/T0KEN",
            "wrong": "http://[T0KEN",
            "none": "T0KEN is no address",
        }
        receiver.answers[0] = says(500, f"{addresses['answers']} and /hook/T0KEN is what you sent to")
        targets = {}
        for name, address in addresses.items():
            (tmp_path / name).write_text(address)
            fields = {"urlFile": str(tmp_path / name), "secretFile": str(tmp_path / "key"), "giveUpAfter": "50ms"}
            targets[name] = target(**fields)
        targets["gone"] = target(urlFile=str(tmp_path / "gone"), giveUpAfter="50ms")
        targets["no-key"] = target(url=receiver.url, secretFile=str(tmp_path / "no-key"), giveUpAfter="50ms")
        async with sending(**targets) as (notifier, outcomes):
            for name in targets:
                notifier.send(name, notice(), outcomes)
            deliveries = await outcomes.count(len(targets))
    logged = (record.getMessage() for record in caplog.records if record.name.startswith("sparkrelease"))
    told = "\n".join([*(d.why for d in deliveries), *logged])
    assert {d.fate for d in deliveries} == {Fate.FAILED}
    assert "T0KEN" not in told and "the-k3y" not in told
    assert all(d.why for d in deliveries)


def test_a_target_is_open_to_the_namespaces_it_names() -> None:
    notifier = WebhookNotifier(
        {"all": target(url="https://a.example"), "desk": target(url="https://b.example", namespaces=["trading"])}
    )
    assert notifier.open_to("trading") == {"all", "desk"}
    assert notifier.open_to("shop") == {"all"}


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        (f"Thu, 26 Nov {'9' * 20} 12:00:30 GMT", None),
        (f"Thu, 26 Nov 2026 12:00:30 +{'9' * 20}", None),
        ("0", 0.0),
        ("120", 120.0),
        ("Thu, 26 Nov 2026 12:00:30 GMT", 30.0),
        ("Thu, 26 Nov 2026 11:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_read_in_both_its_forms(header: str | None, seconds: float | None) -> None:
    assert seconds_of(header, NOW) == seconds


def test_a_wish_of_any_length_is_read_without_an_error() -> None:
    assert seconds_of("9" * 400, NOW) == float("inf")
    assert seconds_of("Thu, 26 Nov 9999 12:00:30 GMT", NOW) > timedelta(days=365).total_seconds()  # type: ignore[operator]
