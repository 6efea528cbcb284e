"""Managed workloads: the candidate and its copy, and the selectors of both Services, by guarded writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from sparkrelease.adapters.kubernetes.copying import (
    RELEASE,
    TEMPLATE,
    Apart,
    Body,
    apart,
    candidate_of,
    copy_of,
    digest,
    part,
    stable_of,
    text,
)
from sparkrelease.adapters.kubernetes.lists import list_pages
from sparkrelease.adapters.kubernetes.paths import FIELD_MANAGER, path_of
from sparkrelease.adapters.kubernetes.replies import cause_reasons
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.deployed import Deployed, ManagedWorkload, Selecting
from sparkrelease.decide.facts import Problem
from sparkrelease.decide.plan import CopyTemplate, ScaleDeployment, SelectPods, WorkloadStep
from sparkrelease.ports.api_server import ApiServer, ContentType, Reply
from sparkrelease.ports.deployments import Owner, both

WORKLOAD_MANAGER = "sparkrelease-workload"
"""Field manager of what is applied: the copy, and a Service's selector."""

_Key = tuple[str, str, str]
"""Namespace, name and resourceVersion of a Service."""


class KubernetesDeployments:
    """Reads and writes them; a Deployments.

    `watch` is called at each look that succeeds: from the first one on, changes of Deployments are to be told.
    """

    def __init__(self, api: ApiServer, watch: Callable[[], None] = lambda: None) -> None:
        self._api = api
        self._watch = watch
        self._refused: dict[_Key, str] = {}
        """By Service, in the server's words, who keeps its selector."""

    # ------------------------------------------------------------ looking

    async def look(self, owner: Owner) -> ManagedWorkload:
        """See Deployments."""
        names = both(owner.deployment)
        found = [await self._get("Deployment", owner.namespace, name) for name in names]
        found += [await self._get("Service", owner.namespace, name) for name in owner.services]
        scaled = await self._autoscalers(owner.namespace)
        unread = next((one for one in (*found, scaled) if isinstance(one, Problem)), None)
        if unread is not None or isinstance(scaled, Problem):
            return ManagedWorkload(Deployed(names[0]), Deployed(names[1]), problem=unread)
        bodies = [one if isinstance(one, Mapping) else None for one in found]
        self._watch()
        return self._told(owner, bodies, scaled)

    def _told(self, owner: Owner, bodies: list[Body | None], scaled: Mapping[str, str]) -> ManagedWorkload:
        candidate, copy, *services = bodies
        name, copy_name = both(owner.deployment)
        unlike = apart(candidate) if candidate is not None else None
        known = unlike if isinstance(unlike, Apart) else None
        return ManagedWorkload(
            candidate=candidate_of(name, candidate, scaled.get(name, "")),
            stable=stable_of(copy_name, copy, scaled.get(copy_name, ""), (owner.release, name), known),
            services=self._selecting(owner, candidate, services, known) if candidate is not None and known else (),
        )

    def _selecting(
        self, owner: Owner, candidate: Body, services: list[Body | None], unlike: Apart
    ) -> tuple[Selecting, ...]:
        labels = part(candidate, "spec", "template", "metadata", "labels")
        matched = part(candidate, "spec", "selector", "matchLabels")
        values = (unlike.stable, unlike.candidate)
        told = []
        for place, (name, service) in enumerate(zip(owner.services, services, strict=True)):
            own, other = ({**labels, unlike.label: value} for value in (values[place], values[1 - place]))
            wanted = {**matched, unlike.label: values[place]}
            selector = part(service or {}, "spec", "selector")
            version = text(part(service or {}, "metadata"), "resourceVersion")
            told.append(
                Selecting(
                    service=name,
                    selector=tuple(sorted((label, str(value)) for label, value in wanted.items())),
                    fits=bool(selector) and selector.items() <= own.items() and not selector.items() <= other.items(),
                    refused=self._refused.get((owner.namespace, name, version), ""),
                )
            )
        return tuple(told)

    async def _get(self, kind: str, namespace: str, name: str) -> Body | Problem | None:
        reply = await self._api.request("GET", path_of(kind, namespace, name))
        if reply.not_found:
            return None
        return reply.problem if reply.problem is not None else reply.body

    async def _autoscalers(self, namespace: str) -> dict[str, str] | Problem:
        """By Deployment, what scales it."""
        path = path_of("HorizontalPodAutoscaler", namespace)
        listed = await list_pages(self._api, path)
        if isinstance(listed, Problem):
            return listed
        found = {}
        for item in listed:
            target = part(item, "spec", "scaleTargetRef")
            if target.get("kind") == "Deployment":
                found[text(target, "name")] = f"HorizontalPodAutoscaler {text(part(item, 'metadata'), 'name')}"
        return found

    # ------------------------------------------------------------ writing

    async def carry_out(self, owner: Owner, step: WorkloadStep) -> Problem | None:
        """See Deployments."""
        match step:
            case CopyTemplate():
                return await self._copy(owner, step)
            case ScaleDeployment():
                return await self._scale(owner, step)
            case SelectPods():
                return await self._select(owner, step)

    async def _copy(self, owner: Owner, step: CopyTemplate) -> Problem | None:
        """Applies the candidate's template to the copy.

        Applied, also when it is made: what a later template leaves out goes, because nobody else owns it. A copy that
        is there is taken over field by field, and only if nobody wrote it since it was looked at.
        """
        candidate = await self._get("Deployment", owner.namespace, step.deployment)
        if isinstance(candidate, Problem):
            return candidate
        if candidate is None or digest(part(candidate, "spec", "template")) != step.template:
            return Problem(Reason.OBJECT_CHANGED, f"Deployment {step.deployment} has another pod template by now")
        unlike = apart(candidate)
        if isinstance(unlike, Problem):
            return unlike
        replicas = await self._replicas(owner, step)
        if isinstance(replicas, Problem):
            return replicas
        manifest = copy_of(candidate, step.copy, owner.release, unlike)
        body = {**manifest, "spec": {**part(manifest, "spec"), "replicas": replicas}}
        if step.copy_version:
            body["metadata"] = {**part(manifest, "metadata"), "resourceVersion": step.copy_version}
        reply = await self._apply("Deployment", owner.namespace, step.copy, body, force=bool(step.copy_version))
        if reply.problem is None and part(reply.body, "metadata", "annotations").get(TEMPLATE) != step.template:
            return Problem(Reason.REFUSED, f"Deployment {step.copy} was stored without the digest of its template")
        return reply.problem

    async def _replicas(self, owner: Owner, step: CopyTemplate) -> int | Problem:
        """How many the copy has: as told; where something scales it, as it has now, which changes nothing.

        Left out they would fall to one, because they were applied before and nobody else would own them.
        """
        if step.replicas is not None:
            return step.replicas
        name = step.copy if step.copy_version else step.deployment
        now = await self._get("Deployment", owner.namespace, name)
        if isinstance(now, Problem):
            return now
        count = part(now or {}, "spec").get("replicas")
        return count if isinstance(count, int) else 1

    async def _scale(self, owner: Owner, step: ScaleDeployment) -> Problem | None:
        reply = await self._api.request(
            "PATCH",
            path_of("Deployment", owner.namespace, step.deployment, "scale"),
            query={"fieldManager": FIELD_MANAGER},
            body={"metadata": {"resourceVersion": step.version}, "spec": {"replicas": step.replicas}},
            content=ContentType.MERGE_PATCH,
        )
        return reply.problem

    async def _select(self, owner: Owner, step: SelectPods) -> Problem | None:
        there = await self._get("Service", owner.namespace, step.service)
        if isinstance(there, Problem):
            return there
        ours = there is None or part(there, "metadata", "annotations").get(RELEASE) == owner.release
        spec: dict[str, object] = {"selector": dict(step.selector)}
        metadata: dict[str, object] = {"name": step.service, "namespace": owner.namespace}
        if ours:
            ports = await self._ports(owner, step)
            if isinstance(ports, Problem):
                return ports
            spec["ports"] = [ports]
            metadata["annotations"] = {RELEASE: owner.release}
        body = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
        reply = await self._apply("Service", owner.namespace, step.service, body, force=False)
        if "FieldManagerConflict" not in cause_reasons(reply.body):
            return reply.problem
        version = text(part(there or {}, "metadata"), "resourceVersion")
        self._refused[owner.namespace, step.service, version] = reply.problem.message if reply.problem else ""
        return None

    async def _ports(self, owner: Owner, step: SelectPods) -> dict[str, object] | Problem:
        """The port of a Service that is made: to the container's port of that number, else to the only one there is."""
        candidate = await self._get("Deployment", owner.namespace, owner.deployment)
        if isinstance(candidate, Problem):
            return candidate
        ports = _ports_of(candidate or {})
        same = next((port for port in ports if port.get("containerPort") == step.port), None)
        leads_to = same or (ports[0] if len(ports) == 1 else {"containerPort": step.port})
        named = {"name": leads_to["name"]} if leads_to.get("name") else {}
        return {**named, "port": step.port, "protocol": "TCP", "targetPort": leads_to["containerPort"]}

    async def _apply(self, kind: str, namespace: str, name: str, body: Body, *, force: bool) -> Reply:
        reply = await self._api.request(
            "PATCH",
            path_of(kind, namespace, name),
            query={"fieldManager": WORKLOAD_MANAGER, "force": "true" if force else "false"},
            body=body,
            content=ContentType.APPLY,
        )
        if reply.problem is None or "FieldManagerConflict" not in cause_reasons(reply.body):
            return reply
        # Not a race that another look would settle: somebody else keeps these fields.
        return replace(reply, problem=Problem(Reason.REFUSED, reply.problem.message))


def _ports_of(deployment: Body) -> list[Body]:
    """Every port that a container of its pods names."""
    containers = _mappings(part(deployment, "spec", "template", "spec").get("containers"))
    return [port for container in containers for port in _mappings(container.get("ports"))]


def _mappings(value: object) -> list[Body]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
