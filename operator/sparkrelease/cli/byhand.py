"""Items of preflight carried out from a person's machine: what can be done from there, and why not where it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from http import HTTPStatus

from sparkrelease.adapters.kubernetes.paths import path_of
from sparkrelease.adapters.preflight.artifacts import Artifacts
from sparkrelease.adapters.preflight.gets import Gets
from sparkrelease.adapters.preflight.hosts import Place, place_of
from sparkrelease.api.config import OperatorConfig, PreflightConfig
from sparkrelease.api.preflight import PreflightItem
from sparkrelease.api.status import Verdict
from sparkrelease.cli.cluster import Cluster
from sparkrelease.cli.exits import CliError
from sparkrelease.cli.proxied import Unseen, answer_of, path_through_proxy, why_not_by_proxy
from sparkrelease.cli.reads import Reads
from sparkrelease.decide.preflight.answers import HttpAnswer, PreflightAnswer, Unanswered
from sparkrelease.ports.preflight import Subject


@dataclass(frozen=True, slots=True)
class From:
    """Where this is tried from. `cluster` is why there is none, where there is none; `ask` whether a server is named.

    `configured`: whether the operator's configuration was given, and with it allowed hosts and the alerts it asks for.
    """

    cluster: Cluster | str
    config: OperatorConfig
    ask: bool
    configured: bool


class RunnerFromHere:
    """A PreflightRunner that does what can be done from here, and remembers what it skipped, and why."""

    def __init__(self, here: From) -> None:
        api = Reads(here.cluster)
        self._here = here
        self._artifacts = Artifacts(api, here.config.preflight)
        self._gets = Gets(api, here.config.preflight)
        self._api = api
        self.skipped: dict[str, str] = {}

    def turn(self, _: PreflightItem) -> AbstractAsyncContextManager[None]:
        """See PreflightRunner; one release's items crowd nobody."""
        return nullcontext()

    async def run(self, subject: Subject, item: PreflightItem) -> PreflightAnswer:
        """See PreflightRunner."""
        if item.job is not None:
            return self._skip(item, "a Job would be created; the operator does that")
        if item.http is not None:
            return await self._get(subject, item, item.http)
        if isinstance(self._here.cluster, str):
            return self._skip(item, f"needs the cluster: {self._here.cluster}")
        return await self._artifacts.read(subject, item)

    async def clean(self, subject: Subject, items: Sequence[PreflightItem]) -> None:
        """See PreflightRunner; nothing was made."""

    async def _get(self, subject: Subject, item: PreflightItem, url: str) -> PreflightAnswer:
        place = place_of(url, subject.namespace, self._here.config.preflight.hosts)
        if not isinstance(place, str) and place.service is not None:
            found = await self._through_proxy(subject.namespace, item, url, place)
            return self._skip(item, found.why) if isinstance(found, Unseen) else found
        if isinstance(place, str) and not self._here.configured:
            # Nobody said which hosts are allowed there; from here a person may ask what a browser may.
            host = place_host(url)
            own = PreflightConfig(hosts=(host,)) if host else PreflightConfig()
            return await Gets(self._api, own).get(subject.namespace, url)
        return await self._gets.get(subject.namespace, url)

    async def _through_proxy(
        self, namespace: str, item: PreflightItem, url: str, place: Place
    ) -> HttpAnswer | Unanswered | Unseen:
        cluster, most = self._here.cluster, self._here.config.preflight.max_bytes
        if isinstance(cluster, str):
            return Unseen(f"Service {place.service} answers inside the cluster: {cluster}")
        unfit = why_not_by_proxy(item, place)
        if unfit is not None:
            return unfit
        # A little longer than the item may take: that it is late is then said in the operator's own words.
        path, within = path_through_proxy(namespace, place), item.limit.total_seconds() + 1
        try:
            fetched = await asyncio.to_thread(cluster.fetch, path, most=most, within=within)
        except CliError as error:
            return Unseen(str(error))
        found = answer_of(url, place, fetched, most)
        if isinstance(found, Unseen) and fetched.status == HTTPStatus.NOT_FOUND:
            looked = await self._api.request("GET", path_of("Service", namespace, place.service))
            if looked.not_found:
                return Unanswered(Verdict.ERROR, f"Service {place.service} does not exist")
        return found

    def _skip(self, item: PreflightItem, why: str) -> Unanswered:
        self.skipped[item.name] = why
        return Unanswered(Verdict.ERROR, why)


def place_host(url: str) -> str:
    """Host and port of a URL as an entry of an allow-list; empty when there is none."""
    return url.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2].lower()
