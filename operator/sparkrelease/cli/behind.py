"""The pods behind both Services of a release, as a person may see them: metrics and targets are found by pod."""

from __future__ import annotations

from sparkrelease.adapters.kubernetes.endpoints import SERVICE_LABEL
from sparkrelease.adapters.kubernetes.lists import list_pages
from sparkrelease.adapters.kubernetes.paths import path_of
from sparkrelease.adapters.kubernetes.workloads import SERVICE, SLICE, ServiceWorkloads
from sparkrelease.decide.facts import Problem
from sparkrelease.ports.api_server import ApiServer


async def pods_behind(api: ApiServer, namespace: str, services: tuple[str, ...]) -> ServiceWorkloads | Problem:
    """A PodSource that knows the pods there are now, or why they cannot be known."""
    seen = ServiceWorkloads(api, pause=0)
    for name in services:
        listed = await list_pages(api, path_of(SLICE, namespace), labels=f"{SERVICE_LABEL}={name}")
        if isinstance(listed, Problem):
            return listed
        for body in listed:
            seen.see(SLICE, None, body)
        service = await api.request("GET", path_of(SERVICE, namespace, name))
        if service.problem is None:
            seen.see(SERVICE, None, service.body)
            await seen.side(namespace, name)  # reads when each pod began
    return seen
