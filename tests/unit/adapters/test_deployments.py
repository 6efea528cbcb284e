"""Looking at and writing managed workloads, for answers a real API server cannot be made to give on time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pytest

from sparkrelease.adapters.kubernetes.deployments import KubernetesDeployments
from sparkrelease.adapters.kubernetes.replies import reply_of
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.plan import CopyTemplate
from sparkrelease.ports.api_server import ContentType, Reply
from sparkrelease.ports.deployments import Owner

OWNER = Owner("web", "web", "shop", ("shop-stable", "shop-canary"))
CONFLICT = b"""{"kind": "Status", "reason": "Conflict", "message": "conflict with \\"helm\\": .spec.template",
 "details": {"causes": [{"reason": "FieldManagerConflict"}]}}"""


class Server:
    """Answers by the last part of the path; everything else is not found."""

    def __init__(self, **answers: tuple[int, bytes]) -> None:
        self.answers = answers
        self.written: list[tuple[str, Any]] = []

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, object] | Sequence[object] | None = None,
        content: ContentType = ContentType.JSON,
        accept: str = "application/json",
        within: float | None = None,
    ) -> Reply:
        del query, content, accept, within
        name = path.rpartition("/")[2].replace("-", "_")
        key = f"{method.lower()}_{name}"
        if method != "GET":
            self.written.append((path, body))
        status, data = self.answers.get(key, (404, b"{}"))
        return reply_of(method, path, status, data, None)


FINE: dict[str, tuple[int, bytes]] = {"get_horizontalpodautoscalers": (200, b'{"items": []}')}


async def test_what_may_not_be_read_is_a_problem_and_no_absence() -> None:
    for part in ("get_shop", "get_shop_stable", "get_horizontalpodautoscalers"):
        looked: list[str] = []
        deployments = KubernetesDeployments(Server(**{**FINE, part: (403, b"{}")}), partial(looked.append, "watched"))
        seen = await deployments.look(OWNER)
        assert seen.problem is not None and seen.problem.reason is Reason.FORBIDDEN
        assert looked == [], "what may not be read may not be watched either"


async def test_deployments_are_watched_from_the_first_look_that_succeeds() -> None:
    looked: list[str] = []
    seen = await KubernetesDeployments(Server(**FINE), lambda: looked.append("watched")).look(OWNER)
    assert (seen.problem, seen.candidate.exists, looked) == (None, False, ["watched"])


async def test_only_what_targets_the_deployment_itself_scales_it() -> None:
    def scaler(name: str, kind: str, target: str) -> dict[str, object]:
        return {"metadata": {"name": name}, "spec": {"scaleTargetRef": {"kind": kind, "name": target}}}

    listed = [scaler("set", "StatefulSet", "shop"), scaler("copy", "Deployment", "shop-stable")]
    deployment = json.dumps({"metadata": {"name": "shop"}, "spec": {"selector": {"matchLabels": {"app": "shop"}}}})
    server = Server(
        get_horizontalpodautoscalers=(200, json.dumps({"items": listed}).encode()),
        get_shop=(200, deployment.encode()),
    )
    seen = await KubernetesDeployments(server).look(OWNER)
    assert (seen.candidate.autoscaler, seen.stable.autoscaler) == ("", "HorizontalPodAutoscaler copy")


@pytest.mark.parametrize(("template", "reason"), [("sha256:other", Reason.OBJECT_CHANGED), ("", Reason.OBJECT_CHANGED)])
async def test_a_template_that_changed_meanwhile_is_not_copied(template: str, reason: Reason) -> None:
    server = Server(get_shop=(200, b'{"spec": {"template": {"spec": {}}}}'))
    step = CopyTemplate("shop", "1", "shop-stable", "2", template, 2)
    problem = await KubernetesDeployments(server).carry_out(OWNER, step)
    assert problem is not None and problem.reason is reason
    assert server.written == []


async def test_fields_that_somebody_else_keeps_are_told_and_no_race_to_be_run_again() -> None:
    body = b'{"metadata": {"name": "shop"}, "spec": {"selector": {"matchLabels": {"app": "shop"}}, "template": {}}}'
    server = Server(get_shop=(200, body), patch_shop_stable=(409, CONFLICT))
    deployments = KubernetesDeployments(server)
    digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    problem = await deployments.carry_out(OWNER, CopyTemplate("shop", "1", "shop-stable", "", digest, 2))
    assert problem is not None and problem.reason is Reason.REFUSED
    assert "helm" in problem.message
