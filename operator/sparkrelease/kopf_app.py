"""The operator process as kopf sees it: login and watches, one line per handler. The only module that imports kopf.

Kopf runs in a thread with an event loop of its own, because on exit it cancels every task of its loop; what it sees is
handed over to the engine's loop. It may end and start anew at any time without the engine noticing more than a list.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import aiohttp
import kopf
from kopf._cogs.structs.ephemera import AnyMemo
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory

from sparkrelease.adapters.kubernetes.credentials import Identity, log_in

log = logging.getLogger(__name__)

Deliver = Callable[[str, str | None, Mapping[str, object]], None]
"""Takes kind, event type and object; called in the engine's loop."""

Since = Callable[[str], Coroutine[None, None, str]]
"""Answers the version at which a watch of a kind begins, empty for the state there is; awaited in the engine's loop."""

_GATEWAY_API = "gateway.networking.k8s.io"
_WATCHED = (
    ("SparkRelease", "sparkrelease.dev", "v1alpha1", "sparkreleases"),
    ("ReleasePolicy", "sparkrelease.dev", "v1alpha1", "releasepolicies"),
    ("ReleaseApproval", "sparkrelease.dev", "v1alpha1", "releaseapprovals"),
    ("HTTPRoute", _GATEWAY_API, "v1", "httproutes"),
    ("GRPCRoute", _GATEWAY_API, "v1", "grpcroutes"),
    ("EndpointSlice", "discovery.k8s.io", "v1", "endpointslices"),
    ("Service", "", "v1", "services"),
)
_GATEWAYS = (
    ("Gateway", _GATEWAY_API, "v1", "gateways"),
    ("GatewayClass", _GATEWAY_API, "v1", "gatewayclasses"),
)
_DEPLOYMENTS = ("Deployment", "apps", "v1", "deployments")
_INITIAL = frozenset({"sendInitialEvents", "resourceVersionMatch"})
"""What kopf adds to a watch with which it wants all objects."""

_RESTART_PAUSE = 2.0
_TOKEN_LIFE = timedelta(minutes=10)
"""A token is read again this often; rotated ones stay valid for much longer."""


class _Backoffs:
    """Pauses between tries of a request, in seconds; they never end, so an outage never ends the process."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((0.2, 0.5, 1.0), (2.0 + random.random() / 2 for _ in itertools.count()))


class _NoDiff(kopf.DiffBaseStorage):
    """Remembers nothing of an object.

    Kopf copies and cleans every object of every event to compare it with the last one, which only handlers of changes
    need. We have none, and with thousands of objects the copies take most of the processor.
    """

    def build(self, *, body: kopf.Body, extra_fields: Iterable[object] | None = None) -> kopf.BodyEssence:  # noqa: ARG002 - kopf's
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:  # noqa: ARG002 - kopf's signature
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Nothing is kept."""


class _NoMemories(ResourceMemories):
    """Keeps nothing of an object between two events.

    Kopf keeps almost a kilobyte for each object there was news of, for daemons, indexes and retries. We have none.
    `kopf.operator` takes an inventory, and exports no class of one.
    """

    async def recall(
        self,
        raw_body: kopf.RawBody,
        *,
        memobase: AnyMemo | None = None,
        noticed_by_listing: bool = False,
        ephemeral: bool = True,  # noqa: ARG002 - kopf's signature
    ) -> ResourceMemory:
        """A new memory each time."""
        return await super().recall(raw_body, memobase=memobase, noticed_by_listing=noticed_by_listing, ephemeral=True)


class Watches:
    """Watches of every kind the engine wants, until `stop`.

    Args:
        identity: who logs in.
        deliver: takes what is seen; called in the loop that `start` is called in.
        since: tells where a watch begins; awaited in the same loop.
        namespaces: those served; all when empty.
        gateways: whether Gateways and their classes may be watched.
    """

    def __init__(
        self,
        identity: Identity,
        deliver: Deliver,
        since: Since,
        *,
        namespaces: tuple[str, ...] = (),
        gateways: bool = True,
    ) -> None:
        self._identity = identity
        self._deliver = deliver
        self._since = since
        self._namespaces = namespaces
        self._watched = _WATCHED + (_GATEWAYS if gateways else ())
        self._engine_loop: asyncio.AbstractEventLoop | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._operator: asyncio.Task[None] | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="watches", daemon=True)

    def start(self) -> None:
        """Begins to watch; returns at once."""
        self._engine_loop = asyncio.get_running_loop()
        self._thread.start()

    def alive(self) -> bool:
        """Whether the watches go on, or begin anew by themselves."""
        return self._thread.is_alive()

    def restart(self) -> None:
        """Looks anew at which kinds the cluster serves."""
        if self._loop is not None and self._operator is not None:
            self._loop.call_soon_threadsafe(self._operator.cancel)

    def watch_deployments(self) -> None:
        """Watches Deployments, too, from the first call on: only managed workloads need them."""
        if _DEPLOYMENTS not in self._watched:
            self._watched = (*self._watched, _DEPLOYMENTS)
            self.restart()

    def stop(self, within: float = 2.0) -> None:
        """Ends the watches, waiting for `within` seconds at most."""
        self._stopping = True
        self.restart()
        self._thread.join(within)

    # ------------------------------------------------------------ in the thread

    def _run(self) -> None:
        asyncio.run(self._watch())

    async def _watch(self) -> None:
        self._loop = asyncio.get_running_loop()
        while not self._stopping:
            self._operator = asyncio.create_task(self._once(), name="kopf")
            try:
                await self._operator
            except asyncio.CancelledError:
                continue
            except Exception:
                log.exception("the watches ended; they start anew")
            if not self._stopping:
                await asyncio.sleep(_RESTART_PAUSE)

    async def _once(self) -> None:
        await kopf.operator(
            registry=self._handlers(),
            settings=_settings(),
            standalone=True,
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            memories=_NoMemories(),
            memo=(),  # copied for every object of every kind; what cannot change is not
        )

    def _handlers(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(self._log_in)
        for kind, group, version, plural in self._watched:
            kopf.on.event(group, version, plural, id=kind, registry=registry)(self._handler(kind))
        return registry

    def _handler(self, kind: str) -> Callable[..., Awaitable[None]]:
        async def see(event: kopf.RawEvent, **_: object) -> None:
            # Kopf takes a watch that has begun for a list until the first bookmark; it shows news from the start.
            self._hand_over(kind, event["type"] or "ADDED", event["object"])

        return see

    def _hand_over(self, kind: str, event: str | None, body: Mapping[str, object]) -> None:
        if self._engine_loop is not None and not self._engine_loop.is_closed():
            self._engine_loop.call_soon_threadsafe(self._deliver, kind, event, body)

    async def _begin_watch(
        self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Lets a watch begin at a list of the engine's own, where kopf asks the server to send everything first."""
        query = request.url.query
        if "sendInitialEvents" in query:
            version = await self._version_of(request.url.name)
            kept = {name: value for name, value in query.items() if name not in _INITIAL}
            request.url = request.url.with_query(kept | ({"resourceVersion": version} if version else {}))
        return await send(request)

    async def _version_of(self, plural: str) -> str:
        kind = next((kind for kind, _, _, name in self._watched if name == plural), None)
        if kind is None or self._engine_loop is None:
            return ""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._since(kind), self._engine_loop))

    async def _log_in(self, **_: object) -> kopf.AiohttpSession:
        login = await log_in(self._identity)
        try:
            found = login.configuration
            refresh: Callable[[object], None] | None = getattr(found, "refresh_api_key_hook", None)
            if refresh is not None:
                refresh(found)
            token = str(found.api_key.get("BearerToken", "")).removeprefix("Bearer ") or None
            way = kopf.ConnectionInfo(
                server=found.host,
                ca_path=found.ssl_ca_cert,
                certificate_path=found.cert_file,
                private_key_path=found.key_file,
                token=token,
            )
            return kopf.AiohttpSession(
                server=found.host,
                aiohttp_session=aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(limit=0, ssl=way.as_ssl_context()),
                    headers=way.as_http_headers(),
                    proxy=found.proxy,
                    trust_env=False,
                    middlewares=(self._begin_watch,),
                ),
                expiration=datetime.now(UTC) + _TOKEN_LIFE if token else None,  # noqa: TID251 - kopf compares with it
            )
        finally:
            await login.close()


def _settings() -> kopf.OperatorSettings:
    """What makes kopf a transport and nothing more: it writes nothing, and no outage ends it."""
    settings = kopf.OperatorSettings()
    settings.process.ultimate_exiting_timeout = None
    settings.peering.standalone = True
    settings.persistence.diffbase_storage = _NoDiff()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.networking.request_timeout = 10
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = _Backoffs()
    settings.watching.server_timeout = 240
    settings.watching.inactivity_timeout = 70
    settings.watching.initial_streaming = True  # no lists; see Watches._begin_watch for where watches begin
    # Nothing waits in a worker. Few of them, each staying a while, would hold up the news of thousands of objects for
    # minutes and keep all of these in memory meanwhile.
    settings.queueing.worker_limit = None
    settings.queueing.idle_timeout = 0.05
    settings.queueing.exit_timeout = 0.1
    settings.execution.max_workers = 1
    return settings
