"""What a traffic provider's author gives the suite: a world in which its route can be made and disturbed.

Implement `ProviderHarness`, derive a class from `suite.ProviderConformance` with a fixture `harness`, and run pytest:

    class TestMyProvider(ProviderConformance):
        @pytest.fixture
        def harness(self, ...) -> Iterator[ProviderHarness]: ...
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from sparkrelease.ports.api_server import ApiServer, ContentType, Reply
from sparkrelease.ports.traffic import Target, TrafficProvider
from sparkrelease.ports.watch import ObjectCache

FOREIGN_MANAGER = "argocd-controller"
"""Field manager of everything the harness writes in somebody else's name."""


class Provider(TrafficProvider, ObjectCache, Protocol):
    """A provider is both."""


@dataclass(frozen=True)
class Snapshot:
    """The route as the API server stores it.

    Attributes:
        version: changes with every write, of whomever.
        generation: grows with every change of what the route says (and with other writes, unless it `counts_changes`).
        weights: (stable, canary) in percent, of every managed rule.
        explicit: whether each of these weights is written out.
        says: all that the route says, weights included, in a form that can be compared.
        marks: what the operator has left on it beside the weights.
    """

    version: str
    generation: int
    weights: tuple[tuple[float, float], ...]
    explicit: bool
    says: str
    marks: Mapping[str, str]

    @property
    def content(self) -> tuple[object, ...]:
        """All but the version, which the gateway moves on at any time."""
        return self.generation, self.weights, self.says, self.marks


@dataclass(frozen=True)
class Served:
    """What clients got."""

    stable: int
    canary: int
    failed: int

    @property
    def total(self) -> int:
        return self.stable + self.canary + self.failed


class Traffic(Protocol):
    """Clients that send until they are stopped."""

    def answered(self, count: int) -> None:
        """Returns once this many more answers are in."""
        ...

    def stop(self) -> Served:
        """Ends it and says what came."""
        ...


@dataclass
class DisturbedLane:
    """A lane to the API server on which replies get lost and things happen at the worst moment."""

    lane: ApiServer
    lose_replies: int = 0
    """So many writes are carried out and their replies lost."""
    before_write: Callable[[], Awaitable[object]] | None = None
    """Runs once, after a write was decided and before the API server gets it."""
    writes: list[str] = field(default_factory=list)
    """Method and path of every write that was sent."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: object = None,
        content: ContentType = ContentType.JSON,
        accept: str = "application/json",
        within: float | None = None,
    ) -> Reply:
        """Sends one request; see ApiServer."""
        wrote = method != "GET"
        if wrote and self.before_write is not None:
            hook, self.before_write = self.before_write, None
            await hook()
        reply = await self.lane.request(
            method,
            path,
            query=query,
            body=body,  # type: ignore[arg-type]  # passed on as it came
            content=content,
            accept=accept,
            within=within,
        )
        if wrote:
            self.writes.append(f"{method} {path}")
        if wrote and self.lose_replies > 0:
            self.lose_replies -= 1
            return await self.lane.request("GET", "/", within=0.000001)
        return reply


class ProviderHarness(Protocol):
    """One route in a real cluster, two sides that answer behind it, and ways to disturb."""

    @property
    def target(self) -> Target:
        """The route under test: referenced or owned."""
        ...

    @property
    def counts_changes(self) -> bool:
        """Whether the API server numbers the changes of what the route says; else its version stands for that."""
        ...

    @property
    def has_other_rule(self) -> bool:
        """Whether a route of this provider can hold a part that is not managed, and `edit_other_rule` works."""
        ...

    def provider(self) -> tuple[Provider, DisturbedLane]:
        """A fresh instance, as another operator process has one, over a lane of its own. It has seen nothing yet."""
        ...

    def stranger(self) -> Provider:
        """An instance whose account may read and not write."""
        ...

    def show(self, provider: Provider) -> None:
        """Shows it all that its watches would have shown by now."""
        ...

    def put_route(self) -> None:
        """Makes the route as its owner does: all on stable. For an owned target: a live route that is to be adopted."""
        ...

    def drop_route(self) -> None:
        """Deletes the route, in somebody else's name; returns when it is gone."""
        ...

    def drop_canary_service(self) -> AbstractContextManager[None]:
        """Takes the canary's Service away for a while."""
        ...

    def snapshot(self) -> Snapshot | None:
        """The route now; None when there is none."""
        ...

    def write_weights(self, canary: float) -> None:
        """Sets the weights in somebody else's name, as a GitOps tool does."""
        ...

    def edit_other_rule(self) -> Callable[[], bool]:
        """Changes a part that is not managed; answers a question: is the change still there?"""
        ...

    def touch_status(self) -> None:
        """Has the status written, as gateways do at any time."""
        ...

    def gateway_asleep(self) -> AbstractContextManager[None]:
        """A while in which whatever accepts routes does not."""
        ...

    def serve(self, requests: int) -> Served:
        """Sends requests as a client, to every managed rule in equal parts, and counts who answered.

        A gateway may say that it took a route moments before it goes by it: those are let pass first.
        """
        ...

    def reached_canary(self) -> int:
        """Requests that canary has counted itself since it runs, those whose answers nobody gets included."""
        ...

    def add_filter(self) -> Callable[[], bool]:
        """Adds to every managed rule what the team wants done with its requests; answers a question: is it there?

        For providers that mirror; of a target the provider owns, nothing is added.
        """
        ...

    def start_traffic(self, rps: float) -> Traffic:
        """Starts clients."""
        ...
