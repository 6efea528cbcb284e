"""Every answer of an API server becomes a value with a reason."""

from __future__ import annotations

import json

import pytest

from sparkrelease.adapters.kubernetes.replies import LONGEST_MESSAGE, reply_of
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Problem
from sparkrelease.ports.api_server import Reply


def answer(code: int, message: str = "words", wait: str | None = None, **status: object) -> Reply:
    body = {"kind": "Status", "code": code, "message": message, **status}
    return reply_of("PATCH", "/apis/x", code, json.dumps(body).encode(), wait)


def problem(reply: Reply) -> Problem:
    assert reply.problem is not None
    return reply.problem


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (400, Reason.REFUSED),
        (401, Reason.FORBIDDEN),
        (403, Reason.FORBIDDEN),
        (404, Reason.OBJECT_NOT_FOUND),
        (409, Reason.OBJECT_CHANGED),
        (410, Reason.OBJECT_CHANGED),
        (422, Reason.REFUSED),
        (429, Reason.API_SERVER_BUSY),
        (500, Reason.API_SERVER_ERROR),
        (503, Reason.API_SERVER_ERROR),
    ],
)
def test_each_refusal_has_its_reason_and_the_servers_words(code: int, reason: Reason) -> None:
    reply = answer(code)
    assert not reply.ok
    assert problem(reply).reason is reason
    assert "words" in problem(reply).message


def test_a_terminating_namespace_is_told_from_missing_rights() -> None:
    reply = answer(403, reason="Forbidden", details={"causes": [{"reason": "NamespaceTerminating"}]})
    assert problem(reply).reason is Reason.NAMESPACE_TERMINATING


def test_a_create_that_meets_its_name_is_not_a_failed_guard() -> None:
    assert answer(409, reason="AlreadyExists").already_exists
    assert not answer(409, reason="AlreadyExists").guard_failed
    assert answer(409, reason="Conflict").guard_failed
    assert answer(422, reason="Invalid").guard_failed


@pytest.mark.parametrize(("said", "seconds"), [("3", 3.0), (None, 1.0), ("soon", 1.0), ("-5", 1.0)])
def test_a_busy_server_says_how_long_or_one_second_is_taken(said: str | None, seconds: float) -> None:
    assert answer(429, wait=said).retry_after == seconds


@pytest.mark.parametrize("data", [b"<html>404 page not found</html>", b"", b"\xff\xfe", b"[1,2]", b'"text"'])
def test_an_answer_that_is_no_object_breaks_nothing(data: bytes) -> None:
    failed = reply_of("GET", "/x", 502, data, None)
    assert not failed.ok
    assert failed.body == {}
    strange = reply_of("GET", "/x", 200, data, None)
    assert problem(strange).reason is Reason.API_SERVER_ERROR


def test_a_long_message_is_cut_and_kept_on_one_line() -> None:
    reply = answer(422, message="line\n" * 1000)
    assert len(problem(reply).message) == LONGEST_MESSAGE
    assert "\n" not in problem(reply).message
