"""AlertSource over HTTP: rules of Prometheus, silences of Alertmanager."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path

import aiohttp

from sparkrelease.api.config import MetricsServer
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.alerts import Matcher, Silence
from sparkrelease.decide.facts import Missing

_CHUNK = 65_536
_HEALTH = ("ok", "unknown", "err")
"""From the best to the worst."""


class HttpAlerts:
    """Asks with what the server's declaration says of headers, token, certificate authority, time and size."""

    def __init__(self, servers: Mapping[str, MetricsServer]) -> None:
        self._servers = servers

    async def rules(self, server: str) -> Mapping[str, str] | Missing:
        """See AlertSource."""
        declared = self._servers[server]
        found = await self._get(declared, f"{declared.url.rstrip('/')}/api/v1/rules?type=alert", trusted=True)
        if isinstance(found, Missing):
            return found
        data = found.get("data") if isinstance(found, Mapping) else None
        worst: dict[str, str] = {}
        for group in _objects(data, "groups"):
            for rule in _objects(group, "rules"):
                name, health = str(rule.get("name")), str(rule.get("health"))
                health = health if health in _HEALTH else "unknown"
                worst[name] = max(worst.get(name, "ok"), health, key=_HEALTH.index)
        return worst

    async def silences(self, server: str) -> Sequence[Silence] | Missing:
        """See AlertSource."""
        declared = self._servers[server]
        if declared.alertmanager is None:
            return ()
        url = f"{declared.alertmanager.rstrip('/')}/api/v2/silences"
        found = await self._get(declared, url, trusted=False)
        if isinstance(found, Missing):
            return found
        return tuple(_silence(one) for one in _objects({"all": found}, "all") if _in_force(one))

    async def _get(self, declared: MetricsServer, url: str, *, trusted: bool) -> object:
        """The JSON at an address, or Missing. Credentials are the metrics server's own and go to it alone."""
        try:
            async with (
                asyncio.timeout(declared.timeout.total_seconds()),
                aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.DummyCookieJar()) as session,
                session.get(
                    url,
                    headers=_headers(declared) if trusted else {},
                    allow_redirects=False,
                    ssl=ssl.create_default_context(cafile=declared.ca_file),
                ) as response,
            ):
                body = bytearray()
                async for chunk in response.content.iter_chunked(_CHUNK):
                    body += chunk
                    if len(body) > declared.max_bytes:
                        return Missing(Reason.ANSWER_TOO_LARGE, f"the answer has more than {declared.max_bytes} bytes")
                if response.status != HTTPStatus.OK:
                    return Missing(Reason.PROMETHEUS_ERROR, f"HTTP {response.status}")
                found: object = json.loads(body)
                return found
        except TimeoutError:
            return Missing(Reason.PROMETHEUS_UNREACHABLE, "no answer in time")
        except (aiohttp.ClientError, OSError) as fault:
            # The message may have the address in it, and with it perhaps a password.
            return Missing(Reason.PROMETHEUS_UNREACHABLE, type(fault).__name__)
        except (ValueError, RecursionError):
            return Missing(Reason.PROMETHEUS_ERROR, "the answer is not JSON")


def _headers(declared: MetricsServer) -> dict[str, str]:
    headers = dict(declared.headers)
    if declared.token_file is not None:
        headers["Authorization"] = f"Bearer {Path(declared.token_file).read_text(encoding='ascii').strip()}"
    return headers


def _objects(body: object, name: str) -> Iterator[Mapping[str, object]]:
    found = body.get(name) if isinstance(body, Mapping) else None
    yield from (one for one in (found if isinstance(found, list) else ()) if isinstance(one, Mapping))


def _in_force(silence: Mapping[str, object]) -> bool:
    status = silence.get("status")
    return isinstance(status, Mapping) and status.get("state") == "active"


def _silence(body: Mapping[str, object]) -> Silence:
    matchers = tuple(
        Matcher(
            label=str(one.get("name")),
            value=str(one.get("value")),
            regex=one.get("isRegex") is True,
            equal=one.get("isEqual") is not False,
        )
        for one in _objects(body, "matchers")
    )
    return Silence(str(body.get("id")), matchers, str(body.get("comment", "")))
