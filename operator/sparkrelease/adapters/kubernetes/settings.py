"""What a mitigation changes, by guarded merge patches: keys of a ConfigMap, then a Deployment's pod template."""

from __future__ import annotations

from collections.abc import Mapping

from sparkrelease.adapters.kubernetes.evidence import EVIDENCE_LABEL
from sparkrelease.adapters.kubernetes.paths import FIELD_MANAGER, path_of
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Problem, Settings, SettingsAsk
from sparkrelease.decide.plan import Change
from sparkrelease.ports.api_server import ApiServer, ContentType

RESTARTED = "sparkrelease.dev/restarted"
"""Annotation of a pod template; a new value starts the Deployment's pods anew."""


class ConfigMapSettings:
    """Reads and changes them; a Mitigations."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api

    async def read(self, namespace: str, ask: SettingsAsk) -> Settings:
        """The keys that are there, and the Deployment's token; see Mitigations."""
        reply = await self._api.request("GET", path_of("ConfigMap", namespace, ask.config_map))
        if reply.problem is not None:
            return Settings(ask.config_map, problem=reply.problem)
        metadata = _part(reply.body, "metadata")
        if EVIDENCE_LABEL in _part(metadata, "labels"):
            refused = Problem(Reason.MITIGATION_REFUSED, "it holds evidence, which nobody changes")
            return Settings(ask.config_map, problem=refused)
        token = await self._token(namespace, ask.deployment) if ask.deployment else ""
        if isinstance(token, Problem):
            return Settings(ask.config_map, problem=token)
        data = _part(reply.body, "data")
        return Settings(
            config_map=ask.config_map,
            resource_version=str(metadata.get("resourceVersion") or ""),
            values={key: str(data[key]) for key in ask.keys if key in data},
            token=token,
        )

    async def _token(self, namespace: str, deployment: str) -> str | Problem:
        reply = await self._api.request("GET", path_of("Deployment", namespace, deployment))
        if reply.problem is not None:
            return reply.problem
        template = _part(_part(reply.body, "spec"), "template")
        return str(_part(_part(template, "metadata"), "annotations").get(RESTARTED) or "")

    async def change(self, namespace: str, change: Change) -> Problem | None:
        """Sets the keys, guarded by resourceVersion, then restarts; see Mitigations."""
        guarded = {"metadata": {"resourceVersion": change.resource_version}, "data": dict(change.values)}
        problem = await self._patch("ConfigMap", namespace, change.config_map, guarded)
        if problem is not None or not change.restart:
            return problem
        template = {"metadata": {"annotations": {RESTARTED: change.token}}}
        return await self._patch("Deployment", namespace, change.restart, {"spec": {"template": template}})

    async def _patch(self, kind: str, namespace: str, name: str, body: Mapping[str, object]) -> Problem | None:
        reply = await self._api.request(
            "PATCH",
            path_of(kind, namespace, name),
            query={"fieldManager": FIELD_MANAGER},
            body=body,
            content=ContentType.MERGE_PATCH,
        )
        return reply.problem


def _part(body: Mapping[str, object], field: str) -> Mapping[str, object]:
    part = body.get(field)
    return part if isinstance(part, Mapping) else {}
