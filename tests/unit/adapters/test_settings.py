"""What a mitigation sends to the API server: guarded by resourceVersion, and never at evidence."""

from __future__ import annotations

from collections.abc import Mapping

from sparkrelease.adapters.kubernetes.settings import RESTARTED, ConfigMapSettings
from sparkrelease.api.problem import Problem
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import SettingsAsk
from sparkrelease.decide.plan import Change
from sparkrelease.ports.api_server import ContentType, Reply

ASK = SettingsAsk("flags", ("FLOOR", "POLL"), "worker")


class Api:
    """Answers what it is told, and keeps what it was asked."""

    def __init__(self, **replies: Reply) -> None:
        self.replies = replies
        self.asked: list[tuple[str, str, object, object]] = []

    async def request(self, method: str, path: str, **more: object) -> Reply:
        self.asked.append((method, path, more.get("body"), more.get("content")))
        return self.replies.get("deployments" if "deployments" in path else "configmaps", Reply(200, {"kind": "x"}))


def config_map(labels: Mapping[str, str] | None = None) -> Reply:
    data = {"FLOOR": "0.5", "SECRET": "s3cr3t"}
    return Reply(200, {"metadata": {"resourceVersion": "7", "labels": labels or {}}, "data": data})


def deployment() -> Reply:
    return Reply(200, {"spec": {"template": {"metadata": {"annotations": {RESTARTED: "then"}}}}})


async def test_it_reads_the_keys_it_is_asked_for_and_no_others() -> None:
    seen = await ConfigMapSettings(Api(configmaps=config_map(), deployments=deployment())).read("shop", ASK)
    assert (seen.resource_version, dict(seen.values), seen.token) == ("7", {"FLOOR": "0.5"}, "then")


async def test_evidence_is_refused_by_its_label() -> None:
    api = Api(configmaps=config_map({"sparkrelease.dev/evidence": "true"}))
    seen = await ConfigMapSettings(api).read("shop", ASK)
    assert seen.problem is not None
    assert seen.problem.reason is Reason.MITIGATION_REFUSED


async def test_what_is_not_there_is_a_problem() -> None:
    gone = Reply(404, {}, Problem(Reason.OBJECT_NOT_FOUND, "404"))
    seen = await ConfigMapSettings(Api(configmaps=gone)).read("shop", ASK)
    assert seen.problem is not None


async def test_a_change_is_guarded_by_what_was_read_and_restarts_after_it() -> None:
    api = Api()
    change = Change("flags", "7", {"FLOOR": "0.65", "POLL": None}, "worker", "now")
    assert await ConfigMapSettings(api).change("shop", change) is None
    (_, first, guarded, kind), (_, second, restart, _) = api.asked
    assert (first, kind) == ("/api/v1/namespaces/shop/configmaps/flags", ContentType.MERGE_PATCH)
    assert guarded == {"metadata": {"resourceVersion": "7"}, "data": {"FLOOR": "0.65", "POLL": None}}
    assert second == "/apis/apps/v1/namespaces/shop/deployments/worker"
    assert restart == {"spec": {"template": {"metadata": {"annotations": {RESTARTED: "now"}}}}}


async def test_nothing_is_restarted_when_somebody_wrote_in_between() -> None:
    api = Api(configmaps=Reply(409, {}, Problem(Reason.OBJECT_CHANGED, "409")))
    problem = await ConfigMapSettings(api).change("shop", Change("flags", "7", {"FLOOR": "1"}, "worker", "now"))
    assert problem is not None
    assert len(api.asked) == 1
