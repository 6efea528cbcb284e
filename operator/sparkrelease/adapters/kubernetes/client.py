"""Lanes to the API server: ordinary requests, rollbacks, pruning and the Lease, each with connections of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus
from typing import cast

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.rest import RESTClientObject, RESTResponse

from sparkrelease import __version__
from sparkrelease.adapters.kubernetes.credentials import ClientError, Identity, Login, log_in
from sparkrelease.adapters.kubernetes.replies import DEFAULT_RETRY_AFTER, kept_back, reply_of, retry_after, unanswered
from sparkrelease.adapters.kubernetes.throttle import Throttle
from sparkrelease.api.config import OperatorConfig
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Problem
from sparkrelease.ports.api_server import PLAIN_TEXT, ContentType, Reply

__all__ = ["ApiClients", "ClientError", "Identity", "Lane", "lease_lane", "open_clients"]

ROLLBACK_CONNECTIONS = 32
LEASE_CONNECTIONS = 2
PRUNER_CONNECTIONS = 2
WATCH_CONNECTIONS = 1024
"""Each watch of one object keeps a connection busy; those beyond wait, and their objects are only read now and then."""

READ_CONNECTIONS = 4
"""Connections of the ordinary lane beyond those for writes. Each that was ever needed at once keeps a buffer of 256 KiB
(asyncio's, for TLS)."""


_NO_LIMIT = aiohttp.ClientTimeout(total=None)
_SILENCE = aiohttp.ClientTimeout(total=None, connect=10, sock_read=300)
"""Of a watch, which the server ends sooner."""


class _PacedTransport(RESTClientObject):
    """The library's transport, which keeps every pause the server asks for, whoever sends through it."""

    def __init__(self, configuration: Configuration, throttle: Throttle, urgent: bool) -> None:
        super().__init__(configuration)
        self._throttle = throttle
        self._urgent = urgent

    async def request(
        self,
        method: str,
        url: str,
        headers: dict[str, str] | None = None,
        body: object = None,
        post_params: Sequence[tuple[str, str]] | None = None,
        _request_timeout: float | aiohttp.ClientTimeout | None = None,
    ) -> RESTResponse:
        async with asyncio.timeout(_request_timeout if isinstance(_request_timeout, int | float) else None):
            await self._throttle.pass_through(urgent=self._urgent)
        # The library declares no types here.
        send = cast(Callable[..., Awaitable[RESTResponse]], super().request)
        response = await send(method, url, headers, body, post_params, _request_timeout)
        if response.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._throttle.pause(retry_after(response.headers.get("Retry-After")) or DEFAULT_RETRY_AFTER)
        return response


class Lane:
    """One set of connections to the API server (an ApiServer). Nothing is retried; a 429 pauses all lanes.

    Proxy variables and .netrc of the environment are not looked at (a kubeconfig's proxy-url is): they would send
    credentials where nobody meant them to go. `client` is the library's own client over the same connections.
    """

    def __init__(self, login: Login, throttle: Throttle, *, connections: int, limit: float, urgent: bool) -> None:
        configuration = login.configuration
        configuration.connection_pool_maxsize = connections
        configuration.client_session_kwargs = {"trust_env": False}
        self._throttle = throttle
        self._limit = limit
        self.client = ApiClient(configuration)
        self.client.user_agent = f"sparkrelease/{__version__}{f' ({login.process})' if login.process else ''}"
        self.client.rest_client = _PacedTransport(configuration, throttle, urgent)

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
        """Sends one request; see ApiServer."""
        limit = self._limit if within is None else within
        try:
            async with asyncio.timeout(limit):
                return await self._exchange(method, path, query, body, {"Content-Type": content, "Accept": accept})
        except TimeoutError:
            wait = self._throttle.remaining()
            return (
                kept_back(method, path, wait) if wait > 0 else unanswered(method, path, f"no answer within {limit:g} s")
            )
        except (aiohttp.ClientError, OSError) as error:
            return unanswered(method, path, f"{type(error).__name__}: {error}")
        except ClientError as error:
            return unanswered(method, path, str(error))

    async def stream(self, path: str, query: Mapping[str, str | int]) -> AsyncGenerator[bytes | Problem]:
        """The answer to a GET, piece by piece as it comes; last a Problem when it is refused or breaks off."""
        try:
            method, url, headers, *_ = await self.client.param_serialize(
                "GET",
                path,
                query_params=[(name, str(value)) for name, value in query.items()],
                header_params={"Accept": "application/json"},
                auth_settings=["BearerToken"],
            )
            answer = await self.client.call_api(method, url, headers, _request_timeout=_SILENCE)
            if answer.status not in range(200, 300):
                data = cast(bytes, await answer.read())
                refused = reply_of("GET", path, answer.status, data, answer.headers.get("Retry-After"))
                yield refused.problem or Problem(Reason.API_SERVER_ERROR, f"GET {path}: {answer.status}")
                return
            try:
                async for piece in answer.response.content.iter_any():
                    yield piece
            finally:
                answer.response.close()
        except (TimeoutError, aiohttp.ClientError, OSError, ClientError) as error:
            lost = unanswered("GET", path, f"{type(error).__name__}: {error}")
            yield lost.problem or Problem(Reason.API_SERVER_UNREACHABLE, str(error))

    async def _exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None,
        body: Mapping[str, object] | Sequence[object] | None,
        headers: dict[str, str],
    ) -> Reply:
        # The body goes past the library's serialisation, which walks through every value: ours holds JSON values only.
        method, url, headers, *_ = await self.client.param_serialize(
            method,
            path,
            query_params=[(name, str(value)) for name, value in (query or {}).items()],
            header_params=headers,
            auth_settings=["BearerToken"],
        )
        # The time limit is set by the caller of this function; the library's own is only put out of the way.
        answer = await self.client.call_api(method, url, headers, body, _request_timeout=_NO_LIMIT)
        data = cast(bytes, await answer.read())
        if headers.get("Accept") == PLAIN_TEXT and answer.status in range(200, 300):
            return Reply(answer.status, text=data.decode(errors="replace"))
        return reply_of(method, path, answer.status, data, answer.headers.get("Retry-After"))

    async def close(self) -> None:
        """Closes the connections."""
        await self.client.close()


@dataclass(frozen=True, slots=True)
class ApiClients:
    """Every lane of the operator but that of the Lease. `pruner` is None when no account may delete evidence."""

    normal: Lane
    rollback: Lane
    watching: Lane
    pruner: Lane | None
    logins: tuple[Login, ...]

    async def close(self) -> None:
        """Closes every connection."""
        for lane in (self.normal, self.rollback, self.watching, self.pruner):
            if lane is not None:
                await lane.close()
        for login in self.logins:
            await login.close()


async def open_clients(config: OperatorConfig, identity: Identity, pruner: Identity | None = None) -> ApiClients:
    """Opens the lanes. Nothing is sent yet.

    Raises:
        ClientError: the configuration cannot be read, or asks for an unverified connection.
    """
    logins = [await log_in(identity) for _ in range(3)]
    throttle = Throttle()
    normal, rollback, watching = logins
    pruner_lane = None
    if pruner is not None:
        account = await log_in(replace(pruner, kubeconfig=pruner.kubeconfig or identity.kubeconfig))
        logins.append(account)
        limit = config.api_timeout.total_seconds()
        pruner_lane = Lane(account, throttle, connections=PRUNER_CONNECTIONS, limit=limit, urgent=False)
    return ApiClients(
        normal=Lane(
            normal,
            throttle,
            connections=config.concurrent_writes + READ_CONNECTIONS,
            limit=config.api_timeout.total_seconds(),
            urgent=False,
        ),
        rollback=Lane(
            rollback,
            throttle,
            connections=ROLLBACK_CONNECTIONS,
            limit=config.rollback_timeout.total_seconds(),
            urgent=True,
        ),
        watching=Lane(
            watching,
            throttle,
            connections=WATCH_CONNECTIONS,
            limit=config.api_timeout.total_seconds(),
            urgent=False,
        ),
        pruner=pruner_lane,
        logins=tuple(logins),
    )


@asynccontextmanager
async def lease_lane(config: OperatorConfig, identity: Identity) -> AsyncIterator[Lane]:
    """The lane of the Lease, for the loop it is opened in. It keeps no pause that another lane was asked for.

    Raises:
        ClientError: as `open_clients`.
    """
    login = await log_in(identity)
    limit = _lease_limit(config.lease.deadline)
    lane = Lane(login, Throttle(), connections=LEASE_CONNECTIONS, limit=limit, urgent=True)
    try:
        yield lane
    finally:
        await lane.close()
        await login.close()


def _lease_limit(deadline: timedelta) -> float:
    """Seconds for one request about the Lease: several tries fit into the deadline."""
    return min(2.0, deadline.total_seconds() / 4)
