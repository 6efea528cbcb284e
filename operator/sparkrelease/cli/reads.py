"""The API server as a person may see it: reads alone, with that person's own rights."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from sparkrelease.api.reasons import Reason
from sparkrelease.cli.cluster import Cluster
from sparkrelease.cli.exits import CliError
from sparkrelease.decide.facts import Problem
from sparkrelease.ports.api_server import Reply


class Reads:
    """An ApiServer. `cluster` is why there is none, where there is none."""

    def __init__(self, cluster: Cluster | str) -> None:
        self._cluster = cluster
        self.kept_back = False
        """Whether a write was asked for, and kept back."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        **_: object,
    ) -> Reply:
        """See ApiServer; everything but a read is kept back, a dry run too."""
        if isinstance(self._cluster, str):
            return Reply(0, {}, Problem(Reason.API_SERVER_UNREACHABLE, self._cluster))
        if method != "GET":
            self.kept_back = True
            return Reply(0, {}, Problem(Reason.FORBIDDEN, "nothing is written from here"))
        try:
            return await asyncio.to_thread(self._cluster.get, path, query)
        except CliError as error:
            return Reply(0, {}, Problem(Reason.API_SERVER_UNREACHABLE, str(error)))
