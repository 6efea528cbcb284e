"""MetricSource over threads: the loop never waits for a server, and a server never for another."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import requests

from sparkrelease.adapters.prometheus.answers import clock_skew, read_answer, read_range, without
from sparkrelease.adapters.prometheus.client import BoundedPrometheus, HTTPAnswer, TooLargeError, TooSlowError
from sparkrelease.api.config import MetricsServer
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Missing
from sparkrelease.decide.series import Answer, RangeAnswer

THREADS = 8
"""Queries under way at once, per server: a frozen server takes up its own threads only."""

GRACE = 0.5
"""Seconds the loop waits longer than the socket, so that the socket's own error is the one that is told."""

_Found = TypeVar("_Found")
_Ask = Callable[[BoundedPrometheus], HTTPAnswer]


class _Server:
    def __init__(self, name: str, server: MetricsServer) -> None:
        self.declared = server
        self.timeout = server.timeout.total_seconds()
        self.client = BoundedPrometheus(server, THREADS)
        self.threads = ThreadPoolExecutor(THREADS, thread_name_prefix=f"prometheus-{name}")


class PrometheusSource:
    """The declared servers, each with its own client and threads."""

    def __init__(self, servers: Mapping[str, MetricsServer]) -> None:
        self._servers = {name: _Server(name, server) for name, server in servers.items()}

    def servers(self) -> frozenset[str]:
        """Names of the declared servers."""
        return frozenset(self._servers)

    async def query(self, server: str, promql: str, at: datetime) -> Answer | Missing:
        """An instant query. JSON is read in the thread, so that a large answer does not stop the loop."""

        def ask(client: BoundedPrometheus) -> HTTPAnswer:
            return client.ask(promql, at.timestamp())

        return await self._in_thread(server, ask, read_answer)

    async def query_range(
        self, server: str, promql: str, start: datetime, end: datetime, step: timedelta
    ) -> RangeAnswer | Missing:
        """A range query, bounded like an instant one."""

        def ask(client: BoundedPrometheus) -> HTTPAnswer:
            return client.ask_range(promql, start.timestamp(), end.timestamp(), step.total_seconds())

        return await self._in_thread(server, ask, read_range)

    async def _in_thread(
        self, server: str, ask: _Ask, read: Callable[[HTTPAnswer], _Found | Missing]
    ) -> _Found | Missing:
        known = self._servers.get(server)
        if known is None:
            return Missing(Reason.PROMETHEUS_UNKNOWN, f"metrics server {server} is not declared to the operator")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(known.timeout + GRACE):
                return await loop.run_in_executor(known.threads, _say, server, known, ask, read)
        except TimeoutError:
            text = f"metrics server {server}: no answer within {known.timeout:g} s"
            return Missing(Reason.PROMETHEUS_UNREACHABLE, text, True)

    def close(self) -> None:
        """Ends threads and connections; queries under way are left to their time limit."""
        for server in self._servers.values():
            server.threads.shutdown(wait=False, cancel_futures=True)
            server.client.close()


def _say(name: str, known: _Server, ask: _Ask, read: Callable[[HTTPAnswer], _Found | Missing]) -> _Found | Missing:
    client = known.client
    try:
        said = ask(client)
        found = read(said)
        skew = clock_skew(said, datetime.now(UTC), known.declared.max_age)
        if isinstance(found, Missing):
            answer = found
        elif skew is not None:
            answer = skew
        else:
            return found
    except TooLargeError as problem:
        answer = Missing(Reason.ANSWER_TOO_LARGE, str(problem))
    except TooSlowError as problem:
        answer = Missing(Reason.PROMETHEUS_UNREACHABLE, str(problem), True)
    except requests.Timeout:
        answer = Missing(Reason.PROMETHEUS_UNREACHABLE, "no answer in time", True)
    except requests.exceptions.SSLError:
        answer = Missing(Reason.PROMETHEUS_UNREACHABLE, "its certificate cannot be trusted", True)
    except requests.ConnectionError as problem:
        answer = Missing(Reason.PROMETHEUS_UNREACHABLE, _why(problem), True)
    except requests.RequestException as problem:
        answer = Missing(Reason.PROMETHEUS_UNREACHABLE, type(problem).__name__, True)
    except (OSError, ValueError) as problem:
        # Neither message may be shown: the file's path is nobody's business, and a bad token is still a token.
        why = getattr(problem, "strerror", None) or "holds no token"
        answer = Missing(Reason.PROMETHEUS_UNREACHABLE, f"the file of its token or certificate: {why}", True)
    text = without(client.secrets(), answer.message)
    return Missing(answer.reason, f"metrics server {name}: {text}", answer.server_wide)


def _why(problem: BaseException) -> str:
    """In a word why a connection failed; the error's own text has the address in it, and with it perhaps a password."""
    seen: BaseException | None = problem
    while seen is not None:
        if isinstance(seen, ConnectionRefusedError):
            return "it refuses connections"
        if isinstance(seen, socket.gaierror):
            return "its name cannot be resolved"
        if isinstance(seen, TimeoutError):
            return "no answer in time"
        if isinstance(seen, ConnectionError):
            return "it closed the connection"
        seen = seen.__cause__ or seen.__context__
    return "no connection"
