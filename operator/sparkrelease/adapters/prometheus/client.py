"""prometheus-api-client with everything it leaves out: warnings, a size cap, one try, no redirects, no proxies."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import requests
import urllib3
from prometheus_api_client import PrometheusConnect
from requests.adapters import HTTPAdapter

from sparkrelease.api.config import MetricsServer

CHUNK = 65_536


class TooLargeError(Exception):
    """The answer is over the size limit."""


class TooSlowError(Exception):
    """The answer came, but not all of it in time."""


@dataclass(frozen=True, slots=True)
class HTTPAnswer:
    """Status, headers and body of an answer, whatever they are."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class BoundedPrometheus(PrometheusConnect):  # type: ignore[misc]  # the library has no types
    """One server. `ask` answers the whole body, where the library's own `custom_query` keeps only the result."""

    def __init__(self, server: MetricsServer, connections: int) -> None:
        session = requests.Session()
        session.trust_env = False
        session.verify = server.ca_file or True
        timeout = server.timeout.total_seconds()
        super().__init__(url=server.url.rstrip("/"), headers=dict(server.headers), session=session, timeout=timeout)
        # The library mounts an adapter that retries; a late answer to an old question is worth nothing here.
        session.mount(
            self.url,
            HTTPAdapter(max_retries=0, pool_connections=1, pool_maxsize=connections, pool_block=True),
        )
        self._server = server

    def ask(self, promql: str, at: float) -> HTTPAnswer:
        """An instant query; raises what `_post` raises."""
        return self._post("query", {"query": promql, "time": f"{at:.3f}"})

    def ask_range(self, promql: str, start: float, end: float, step: float) -> HTTPAnswer:
        """A range query; raises what `_post` raises."""
        form = {"query": promql, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        return self._post("query_range", form)

    def _post(self, kind: str, form: Mapping[str, str]) -> HTTPAnswer:
        """POSTs a query and reads at most `max_bytes`, for at most the server's timeout.

        A form has no length limit as an address has, and no cache answers it.

        Raises:
            TooLargeError: the answer is larger.
            TooSlowError: it came too slowly.
            requests.RequestException: no answer.
            OSError, ValueError: the token file cannot be read, or holds no token.
        """
        deadline = time.monotonic() + self._timeout
        with self._session.post(
            f"{self.url}/api/v1/{kind}",
            data={**form, "timeout": f"{self._timeout:g}s"},
            headers={"Accept-Encoding": "identity", **self._with_token()},
            timeout=self._timeout,
            allow_redirects=False,
            stream=True,
        ) as response:
            body = bytearray()
            for chunk in _as_it_comes(response):
                body += chunk
                if len(body) > self._server.max_bytes:
                    raise TooLargeError(f"the answer has more than {self._server.max_bytes} bytes")
                if time.monotonic() > deadline:
                    raise TooSlowError(f"{len(body)} bytes came within {self._timeout:g} s, and more were to come")
            return HTTPAnswer(response.status_code, bytes(body), response.headers)

    def secrets(self) -> tuple[str, ...]:
        """What must never be shown: the token and the values of declared headers."""
        try:
            return tuple(self._with_token().values())
        except (OSError, ValueError):
            return tuple((self.headers or {}).values())

    def _with_token(self) -> dict[str, str]:
        headers = dict(self.headers or {})
        if self._server.token_file is not None:
            token = Path(self._server.token_file).read_text(encoding="ascii").strip()
            headers["Authorization"] = f"Bearer {token}"
        return headers


def _as_it_comes(response: requests.Response) -> Iterator[bytes]:
    """Parts of the body as soon as they are there; waiting until a chunk is full could take for ever, byte by byte."""
    try:
        while chunk := response.raw.read1(CHUNK):
            yield chunk
    except urllib3.exceptions.HTTPError as problem:
        raise requests.ConnectionError(problem) from problem
