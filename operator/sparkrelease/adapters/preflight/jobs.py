"""A Job from a CronJob's template, as `kubectl create job --from` makes it: created once, waited for, read, removed."""

from __future__ import annotations

import asyncio
import copy
import hashlib
from collections.abc import Mapping
from datetime import timedelta

from sparkrelease.adapters.preflight.kube import Object, get, items, listed, part, path_of, text, unanswered
from sparkrelease.api.preflight import PreflightItem
from sparkrelease.api.status import Verdict
from sparkrelease.decide.preflight.answers import JobAnswer, Unanswered
from sparkrelease.ports.api_server import PLAIN_TEXT, ApiServer
from sparkrelease.ports.preflight import Subject

ATTEMPT = "sparkrelease.dev/preflight-attempt"
"""Annotation of a Job: the attempt it was made for."""

PAUSE = 1.0
"""Seconds between two looks at a Job."""

KEPT = 3600
"""Seconds after its end at which a Job goes by itself, should nobody be there to remove it."""

LOG_LINES, LOG_BYTES = 20, 4096
"""End of a log that is kept."""

_HEAD = 40


def job_name(subject: Subject, item: PreflightItem) -> str:
    """Name of the item's Job: the same for the same attempt, whoever asks, and never that of another one."""
    words = "\n".join((subject.uid, subject.attempt, item.name))
    head = f"{subject.release}-{item.name}".replace(".", "-")[:_HEAD].rstrip("-")
    return f"{head}-{hashlib.sha256(words.encode()).hexdigest()[:12]}"


class Jobs:
    """Jobs of preflight in the namespaces of releases."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api

    async def run(self, subject: Subject, item: PreflightItem) -> JobAnswer | Unanswered:
        """Runs the Job to its end. Whoever cancels this leaves the Job, which `remove` or its own limit ends."""
        name = job_name(subject, item)
        created = await self._create(subject, item, name)
        if isinstance(created, Unanswered):
            return created
        while True:
            job = await get(self._api, "jobs", subject.namespace, name, f"Job {name}")
            if isinstance(job, Unanswered) and job.verdict is Verdict.ERROR:
                return job
            ended = None if isinstance(job, Unanswered) else _ended(job)
            if ended is not None:
                return await self._answer(subject.namespace, name, *ended)
            await asyncio.sleep(PAUSE)

    async def remove(self, subject: Subject, item: PreflightItem) -> None:
        """Removes the item's Job and its pods; one that is not there, or cannot be removed, is left to its limit."""
        path = path_of("jobs", subject.namespace, job_name(subject, item))
        await self._api.request("DELETE", path, query={"propagationPolicy": "Background"})

    async def _create(self, subject: Subject, item: PreflightItem, name: str) -> Unanswered | None:
        there = await get(self._api, "jobs", subject.namespace, name, f"Job {name}")
        if not isinstance(there, Unanswered):
            return _stranger(there, subject, name)
        what = f"CronJob {item.job}"
        template = await get(self._api, "cronjobs", subject.namespace, item.job or "", what)
        if isinstance(template, Unanswered):
            return template
        body = job_of(template, subject, item, name)
        reply = await self._api.request("POST", path_of("jobs", subject.namespace), body=body)
        if reply.problem is None or reply.already_exists:
            return None
        return unanswered(reply.problem, f"Job {name}")

    async def _answer(self, namespace: str, name: str, succeeded: bool, why: str) -> JobAnswer:
        pods = await listed(self._api, "pods", namespace, f"batch.kubernetes.io/job-name={name}", "pods of the Job")
        newest = [] if isinstance(pods, Unanswered) else sorted(pods, key=_created)[-1:]
        code = _exit_code(newest[0]) if newest else None
        log = await self._log(namespace, text(part(newest[0], "metadata"), "name")) if newest else ""
        return JobAnswer(name, succeeded, code, log, why)

    async def _log(self, namespace: str, pod: str) -> str:
        """The end of a pod's log; why there is none, where it cannot be read."""
        query: dict[str, str | int] = {"tailLines": LOG_LINES, "limitBytes": LOG_BYTES}
        reply = await self._api.request("GET", path_of("pods", namespace, pod, "log"), query=query, accept=PLAIN_TEXT)
        if reply.problem is not None:
            return f"(its log cannot be read: {reply.problem.message})"
        return reply.text[-LOG_BYTES:]


def job_of(template: Object, subject: Subject, item: PreflightItem, name: str) -> Mapping[str, object]:
    """The Job: the template's own spec, within the item's time, and gone after an hour if nobody removes it."""
    declared = part(template, "spec", "jobTemplate")
    spec = copy.deepcopy(dict(part(declared, "spec")))
    spec.pop("suspend", None)
    limit = max(int(item.limit / timedelta(seconds=1)), 1)
    own = spec.get("activeDeadlineSeconds")
    spec["activeDeadlineSeconds"] = min(own, limit) if isinstance(own, int) else limit
    spec.setdefault("ttlSecondsAfterFinished", KEPT)
    labels = {
        **part(declared, "metadata", "labels"),
        "app.kubernetes.io/managed-by": "sparkrelease",
        "sparkrelease.dev/release": subject.release,
    }
    annotations = {**part(declared, "metadata", "annotations"), ATTEMPT: f"{subject.attempt}/{item.name}"}
    owner = {
        "apiVersion": "sparkrelease.dev/v1alpha1",
        "kind": "SparkRelease",
        "name": subject.release,
        "uid": subject.uid,
    }
    metadata = {
        "name": name,
        "namespace": subject.namespace,
        "labels": labels,
        "annotations": annotations,
        **({"ownerReferences": [owner]} if subject.uid else {}),
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def _stranger(job: Object, subject: Subject, name: str) -> Unanswered | None:
    """A Job of that name that was made for something else proves nothing."""
    said = text(part(job, "metadata", "annotations"), ATTEMPT)
    if said.startswith(f"{subject.attempt}/"):
        return None
    return Unanswered(Verdict.ERROR, f"a Job {name} is there that was not made for this attempt; remove it")


def _ended(job: Object) -> tuple[bool, str] | None:
    """Whether the Job succeeded, and the reason it gives; None while it runs."""
    for condition in items(job, "status", "conditions"):
        if condition.get("status") == "True" and condition.get("type") in {"Complete", "Failed"}:
            return condition["type"] == "Complete", text(condition, "reason")
    return None


def _created(pod: Object) -> str:
    return text(part(pod, "metadata"), "creationTimestamp")


def _exit_code(pod: Object) -> int | None:
    """The worst exit code of the pod's containers: any that is not 0."""
    codes = [part(one, "state", "terminated").get("exitCode") for one in items(pod, "status", "containerStatuses")]
    numbers = [code for code in codes if isinstance(code, int)]
    return max(numbers, key=abs) if numbers else None
