"""Jobs made from CronJobs: once, bounded, read, removed."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from sparkrelease.adapters.preflight import jobs as module
from sparkrelease.adapters.preflight.jobs import ATTEMPT, Jobs, job_name
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Verdict
from sparkrelease.decide.preflight.answers import JobAnswer, Unanswered
from unit.preflight.api import NAMESPACE, SUBJECT, FakeApi, item

JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
CHECK = item(job="check", timeout="90s")
TEMPLATE = {
    "spec": {
        "suspend": True,
        "jobTemplate": {
            "metadata": {"labels": {"app": "check"}},
            "spec": {"backoffLimit": 1, "template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}},
        },
    }
}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    monkeypatch.setattr(module, "PAUSE", 0.001)
    made = FakeApi()
    made.put("/apis/batch/v1", "cronjobs", "check", TEMPLATE)
    return made


def job_of(api: FakeApi) -> dict[str, Any]:
    return dict(api.objects[f"{JOBS}/{job_name(SUBJECT, CHECK)}"])


async def created(api: FakeApi) -> None:
    while f"{JOBS}/{job_name(SUBJECT, CHECK)}" not in api.objects:  # noqa: ASYNC110 - the fake has no events
        await asyncio.sleep(0)


def end(api: FakeApi, kind: str, code: int, reason: str = "") -> None:
    """The Job ends, and its pod with it."""
    conditions = [{"type": kind, "status": "True", "reason": reason}]
    api.objects[f"{JOBS}/{job_name(SUBJECT, CHECK)}"] = job_of(api) | {"status": {"conditions": conditions}}
    api.pod("pod-1", containerStatuses=[{"state": {"terminated": {"exitCode": code}}}])
    api.logs["pod-1"] = "looking\n0 pending\n"


async def test_a_job_is_made_of_the_template_and_read_to_its_end(api: FakeApi) -> None:
    running = asyncio.create_task(Jobs(api).run(SUBJECT, CHECK))
    await created(api)
    spec, metadata = job_of(api)["spec"], job_of(api)["metadata"]
    assert spec["template"] == TEMPLATE["spec"]["jobTemplate"]["spec"]["template"]  # type: ignore[index]  # a literal
    assert (spec["activeDeadlineSeconds"], spec["backoffLimit"], spec["ttlSecondsAfterFinished"]) == (90, 1, 3600)
    assert "suspend" not in spec
    assert metadata["labels"] | {"app": "check", "app.kubernetes.io/managed-by": "sparkrelease"} == metadata["labels"]
    assert metadata["ownerReferences"][0]["uid"] == SUBJECT.uid
    end(api, "Complete", 0)
    assert await running == JobAnswer(metadata["name"], True, 0, "looking\n0 pending\n", "")


async def test_a_job_that_fails_tells_exit_code_and_log(api: FakeApi) -> None:
    running = asyncio.create_task(Jobs(api).run(SUBJECT, CHECK))
    await created(api)
    end(api, "Failed", 3, "BackoffLimitExceeded")
    answer = await running
    assert isinstance(answer, JobAnswer)
    assert (answer.succeeded, answer.exit_code, answer.why) == (False, 3, "BackoffLimitExceeded")


async def test_a_restarted_operator_waits_for_the_job_that_is_there(api: FakeApi) -> None:
    first = asyncio.create_task(Jobs(api).run(SUBJECT, CHECK))
    await created(api)
    first.cancel()
    again = asyncio.create_task(Jobs(api).run(SUBJECT, CHECK))
    await asyncio.sleep(0.02)
    end(api, "Complete", 0)
    answer = await again
    assert isinstance(answer, JobAnswer)
    assert answer.succeeded
    assert [method for method, path in api.asked if path == JOBS] == ["POST"]


async def test_a_job_made_for_something_else_proves_nothing(api: FakeApi) -> None:
    name = job_name(SUBJECT, CHECK)
    done = {"conditions": [{"type": "Complete", "status": "True"}]}
    api.put("/apis/batch/v1", "jobs", name, {"metadata": {"annotations": {ATTEMPT: "other/it"}}, "status": done})
    answer = await Jobs(api).run(SUBJECT, CHECK)
    assert isinstance(answer, Unanswered)
    assert answer.verdict is Verdict.ERROR


async def test_a_template_that_is_not_there_and_a_right_that_is_missing_need_an_edit(api: FakeApi) -> None:
    missing = await Jobs(api).run(SUBJECT, item(job="other"))
    assert missing == Unanswered(Verdict.ERROR, "CronJob other does not exist")
    api.refuse["POST", "jobs"] = Reason.FORBIDDEN
    refused = await Jobs(api).run(SUBJECT, CHECK)
    assert isinstance(refused, Unanswered)
    assert refused.verdict is Verdict.ERROR
    assert "403" in refused.message


async def test_a_log_that_cannot_be_read_is_said_and_fails_nothing(api: FakeApi) -> None:
    running = asyncio.create_task(Jobs(api).run(SUBJECT, CHECK))
    await created(api)
    api.refuse["GET", "pods"] = Reason.FORBIDDEN
    end(api, "Complete", 0)
    answer = await running
    assert isinstance(answer, JobAnswer)
    assert answer.succeeded


async def test_what_was_made_is_removed_with_its_pods(api: FakeApi) -> None:
    running = asyncio.create_task(Jobs(api).run(SUBJECT, CHECK))
    await created(api)
    running.cancel()
    await Jobs(api).remove(SUBJECT, CHECK)
    assert f"{JOBS}/{job_name(SUBJECT, CHECK)}" not in api.objects


def test_names_are_valid_and_differ_by_attempt_and_item() -> None:
    long = dataclasses.replace(SUBJECT, release="a.very-" + "long-" * 20 + "name")
    names = {
        job_name(subject, one)
        for subject in (SUBJECT, dataclasses.replace(SUBJECT, attempt="v2-abc.12345678.2"), long)
        for one in (CHECK, item(job="check").model_copy(update={"name": "other"}))
    }
    assert len(names) == 6
    assert all(len(name) <= 63 and "." not in name and not name.startswith("-") for name in names)
