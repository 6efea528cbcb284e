"""Requests of items take turns: an item's time is its endpoint's, never that of the requests before it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from aiohttp import web

from fakes.preflight import FakeSource
from sparkrelease.adapters.preflight.artifacts import FETCHES, READERS, Artifacts
from sparkrelease.adapters.preflight.registries import Registries
from sparkrelease.adapters.preflight.runner import GETS, ClusterRunner
from sparkrelease.api.config import PreflightConfig
from sparkrelease.api.status import Verdict
from sparkrelease.decide.facts import Check
from sparkrelease.decide.preflight.answers import FileAnswer
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.engine import checks as module
from sparkrelease.engine.checks import Checks
from sparkrelease.ports.cluster import ObjectKey
from unit.decide.world import START, World, spec
from unit.preflight.api import FakeApi
from unit.preflight.serving import serving

MINE, THEIRS = ObjectKey("shop", "mine"), ObjectKey("shop", "theirs")


@dataclass
class Server:
    """A real HTTP server: `/fast` answers at once, `/held` when it is let go."""

    port: int = 0
    asked: list[str] = field(default_factory=list)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    full: asyncio.Event = field(default_factory=asyncio.Event)
    """As many requests are held as may be under way at once."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        if self.asked.count("/held") == GETS:
            self.full.set()
        if request.path == "/held":
            await self.let_go.wait()
        return web.Response()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    async with serving(made.answer) as made.port:
        yield made
        made.let_go.set()


@pytest.fixture
async def checks(server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Checks]:
    """The engine's part before the real runner."""
    monkeypatch.setattr(module, "AT_ONCE", 0.01)
    runner = ClusterRunner(FakeApi(), PreflightConfig(hosts=(f"127.0.0.1:{server.port}",)))
    made = Checks(runner, FakeSource(), {}, lambda: START)
    yield made
    for key in (MINE, THEIRS):
        made.drop(key)


def asking(server: Server, path: str, timeout: str, times: int = 1) -> ResolvedSpec:
    """A release with so many items that ask for this path."""
    url = f"http://127.0.0.1:{server.port}{path}"
    items = [{"name": f"i{n}", "http": url, "timeout": timeout} for n in range(times)]
    found = World(spec=spec(preflight=items)).resolved()
    assert found is not None
    return found


async def ended(checks: Checks, found: ResolvedSpec) -> Check:
    async with asyncio.timeout(10):
        while True:
            (check,) = await checks.look(MINE, "uid", found, "mine.1")
            if check.verdict is not None:
                return check
            await asyncio.sleep(0.001)


async def taken_up(checks: Checks, server: Server) -> None:
    """Another release holds every turn there is."""
    await checks.look(THEIRS, "uid", asking(server, "/held", "1m", GETS), "theirs.1")
    async with asyncio.timeout(10):
        await server.full.wait()


@pytest.mark.slow
async def test_an_endpoint_that_is_fast_passes_however_long_its_item_waited_for_its_turn(
    checks: Checks, server: Server
) -> None:
    await taken_up(checks, server)
    fast = asking(server, "/fast", "1s")
    (check,) = await checks.look(MINE, "uid", fast, "mine.1")
    assert (check.verdict, server.asked.count("/fast")) == (None, 0)
    asyncio.get_running_loop().call_later(1.2, server.let_go.set)
    check = await ended(checks, fast)
    assert (check.verdict, check.details["status"]) == (Verdict.PASS, "200"), check.message


async def test_an_item_whose_turn_never_comes_is_no_fault_of_its_endpoint(
    checks: Checks, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_WAIT", timedelta(milliseconds=50))
    await taken_up(checks, server)
    check = await ended(checks, asking(server, "/fast", "10s"))
    assert check.verdict is Verdict.NO_DATA
    assert check.message == "not asked within 50ms: the operator was busy with other items"
    assert "/fast" not in server.asked


async def test_an_item_that_gave_up_waiting_keeps_no_turn_from_the_next(
    checks: Checks, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    await taken_up(checks, server)
    with monkeypatch.context() as short:
        short.setattr(module, "LONGEST_WAIT", timedelta(milliseconds=50))
        await ended(checks, asking(server, "/fast", "10s"))
    checks.drop(THEIRS)
    fast = asking(server, "/fast", "10s")
    checks.drop(MINE)
    assert (await ended(checks, fast)).verdict is Verdict.PASS


@pytest.mark.slow
async def test_an_endpoint_slower_than_the_timeout_is_no_pass_and_the_sentence_says_for_how_long(
    checks: Checks, server: Server
) -> None:
    check = await ended(checks, asking(server, "/held", "1s"))
    assert (check.verdict, check.message) == (Verdict.NO_DATA, "not done within 1s")
    assert server.asked == ["/held"]


async def test_an_endpoint_within_the_timeout_passes_with_the_seconds_it_took(checks: Checks, server: Server) -> None:
    slow = asking(server, "/held", "10s")
    (check,) = await checks.look(MINE, "uid", slow, "mine.1")
    asyncio.get_running_loop().call_later(0.1, server.let_go.set)
    check = await ended(checks, slow)
    assert check.verdict is Verdict.PASS
    assert float(check.details["seconds"]) >= 0.05
    assert check.message == f"200 in {check.details['seconds']} s"


# ---------------------------------------------------------------- files


class Reader:
    """In place of the process that reads a file: reads nothing before it may."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.busy, self.full = 0, asyncio.Event()
        """How many files are being read, and whether no more may be at once."""

    async def read(self, request: dict[str, object]) -> FileAnswer:
        self.busy += 1
        if self.busy == READERS:
            self.full.set()
        await self.may.wait()
        self.busy -= 1
        return FileAnswer(str(request["file"]), "", 1)


@pytest.mark.slow
async def test_a_file_waits_for_the_files_before_it_in_no_time_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten bills and reports of one release are read two at a time, each within its own ten seconds."""
    files, api, reader = 5 * READERS, FakeApi(), Reader()
    api.config_map("files", **{f"{n}.json": "{}" for n in range(files)})
    monkeypatch.setattr(Artifacts, "_in_a_process", reader.read)
    checks = Checks(ClusterRunner(api, PreflightConfig()), FakeSource(), {}, lambda: START)
    items = [
        {"name": f"i{n}", "artifact": f"files/{n}.json@sha256:{hashlib.sha256(b'{}').hexdigest()}", "kind": "sbom"}
        for n in range(files)
    ]
    found = World(spec=spec(preflight=items)).resolved()
    assert found is not None
    async with asyncio.timeout(10):
        await checks.look(MINE, "uid", found, "mine.1")
        await reader.full.wait()
        assert len(api.asked) == READERS, "the time of all others has not begun"
        reader.may.set()
        while True:
            told = await checks.look(MINE, "uid", found, "mine.1")
            if all(check.verdict is not None for check in told):
                break
            await asyncio.sleep(0.001)
    assert len(api.asked) == files
    checks.drop(MINE)


@pytest.mark.slow
async def test_registries_that_do_not_answer_keep_no_file_of_a_config_map_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api, reader, asked = FakeApi(), Reader(), asyncio.Event()
    api.config_map("files", **{"bill.json": "{}"})
    reader.may.set()

    async def silence(_: object) -> None:
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Artifacts, "_in_a_process", reader.read)
    monkeypatch.setattr(Registries, "read", lambda _, ref: silence(ref))
    checks = Checks(ClusterRunner(api, PreflightConfig()), FakeSource(), {}, lambda: START)
    digest = hashlib.sha256(b"{}").hexdigest()
    away = [
        {"name": f"away{n}", "artifact": f"oci://registry.example/bills@sha256:{digest}", "kind": "sbom"}
        for n in range(2 * FETCHES)
    ]
    item = {"name": "here", "artifact": f"files/bill.json@sha256:{digest}", "kind": "sbom"}
    theirs, mine = (World(spec=spec(preflight=items)).resolved() for items in (away, [item]))
    assert theirs is not None and mine is not None
    await checks.look(THEIRS, "uid", theirs, "theirs.1")
    await asked.wait()
    assert (await ended(checks, mine)).verdict is not None
    for key in (MINE, THEIRS):
        checks.drop(key)
