"""One try to send one message: the address and the key from their files, one request, and what came of it."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from sparkrelease import __version__
from sparkrelease.adapters.notify import cloudevents, signing, slack, teams
from sparkrelease.adapters.notify.words import shorten
from sparkrelease.api.notifications import NotificationTarget, TargetKind
from sparkrelease.decide.notices import Notice

ANSWER_READ = 512
"""Bytes read of an answer: enough for Slack's word on what it did not like."""

_WORDS = 80
_SHORTEST_SECRET = 6
_ADDRESS = re.compile(r"https?://\S+")
_TRY_AGAIN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_JSON = "application/json; charset=utf-8"

_FORMS: Mapping[TargetKind, tuple[str, Callable[[Notice, str], Mapping[str, object]]]] = {
    TargetKind.SLACK: (_JSON, slack.body),
    TargetKind.TEAMS: (_JSON, teams.body),
    TargetKind.WEBHOOK: (cloudevents.CONTENT_TYPE, cloudevents.body),
}


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a try failed, in words without any secret, and whether another one makes sense."""

    why: str
    again: bool
    retry_after: float | None = None
    """Seconds the target asked to wait."""


class _SecretError(Exception):
    """A file with an address or a key cannot be used."""


async def post(
    session: aiohttp.ClientSession, target: NotificationTarget, notice: Notice, cluster: str, now: datetime
) -> Refused | None:
    """Sends the message once, within the target's timeout; None when the target took it. Never raises."""
    content_type, form = _FORMS[target.kind]
    body = json.dumps(form(notice, cluster), ensure_ascii=False, separators=(",", ":")).encode()
    seconds = target.timeout.total_seconds()
    try:
        address = _address(target)
        signed = _signed(target, notice, body, now)
        async with session.post(
            address,
            data=body,
            headers={"Content-Type": content_type, "User-Agent": f"sparkrelease/{__version__}", **signed},
            timeout=aiohttp.ClientTimeout(total=seconds),
            allow_redirects=False,
            ssl=_trust(target),
        ) as response:
            said = await response.content.read(ANSWER_READ)
            return _judged(response.status, response.headers.get("Retry-After"), said, address, now)
    except _SecretError as problem:
        return Refused(str(problem), again=True)
    except TimeoutError:
        return Refused(f"no answer within {seconds:g} s", again=True)
    except aiohttp.InvalidURL:
        return Refused("its address is none", again=False)
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError):
        return Refused("its certificate cannot be trusted", again=True)
    except aiohttp.ClientConnectorError as problem:
        return Refused(f"no connection: {problem.os_error.strerror or 'unknown cause'}", again=True)
    except (aiohttp.ClientError, OSError) as problem:
        return Refused(f"no answer: {type(problem).__name__}", again=True)


def _judged(status: int, retry_after: str | None, said: bytes, address: str, now: datetime) -> Refused | None:
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    words = shorten(_without(address, said.decode(errors="replace")), _WORDS)
    again = status in _TRY_AGAIN or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return Refused(f"HTTP {status}{f': {words}' if words else ''}", again, seconds_of(retry_after, now))


def _without(address: str, text: str) -> str:
    """The text with the address blotted out, and its path by itself, which is the secret part of it."""
    path = urlsplit(address).path.strip("/")
    text = text.replace(address, "***")
    return text.replace(path, "***") if len(path) >= _SHORTEST_SECRET else text


def seconds_of(retry_after: str | None, now: datetime) -> float | None:
    """Seconds to wait by a Retry-After header, which holds seconds or a date; None when it says nothing."""
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        at = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):  # a date of more digits than a date can have
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max((at - now).total_seconds(), 0.0)


def _address(target: NotificationTarget) -> str:
    if target.url is not None or target.url_file is None:
        return target.url or ""
    address = _read(target.url_file, "its address").strip()
    if not _ADDRESS.fullmatch(address):
        raise _SecretError("the file of its address holds none")
    return address


def _signed(target: NotificationTarget, notice: Notice, body: bytes, now: datetime) -> dict[str, str]:
    if target.kind is not TargetKind.WEBHOOK:
        return {}
    keys: tuple[bytes, ...] = ()
    if target.secret_file is not None:
        try:
            keys = signing.keys_of(_read(target.secret_file, "its key"))
        except ValueError as problem:
            raise _SecretError(f"the file of its key: {problem}") from problem
    return signing.headers(notice.id, int(now.timestamp()), body, keys)


def _read(path: str, what: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise _SecretError(f"the file of {what} cannot be read") from problem


def _trust(target: NotificationTarget) -> ssl.SSLContext | bool:
    """Certificates are always checked, by the target's own authority where it has one."""
    return True if target.ca_file is None else ssl.create_default_context(cafile=target.ca_file)
