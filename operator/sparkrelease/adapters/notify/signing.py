"""Signatures of a webhook's messages, as Standard Webhooks 1.0 (standardwebhooks.com) has them.

What is signed is `id.timestamp.body`, so a message that was caught cannot be sent again later, nor with another body.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

_PREFIX = "whsec_"


def keys_of(text: str) -> tuple[bytes, ...]:
    """The keys in a secret file, one a line: `whsec_` and base64, or any other text as it stands.

    Raises:
        ValueError: there is none, or one that begins with `whsec_` is no base64.
    """
    keys = tuple(_key(line) for line in text.split())
    if not keys:
        raise ValueError("it holds no key")
    return keys


def _key(line: str) -> bytes:
    if not line.startswith(_PREFIX):
        return line.encode()
    try:
        return base64.b64decode(line.removeprefix(_PREFIX), validate=True)
    except binascii.Error as problem:
        raise ValueError("a key that begins with whsec_ is no base64") from problem


def headers(identity: str, timestamp: int, body: bytes, keys: Sequence[bytes]) -> dict[str, str]:
    """The headers of a message; one signature for each key. `timestamp` is Unix time in seconds."""
    found = {"webhook-id": identity, "webhook-timestamp": str(timestamp)}
    signed = f"{identity}.{timestamp}.".encode() + body
    signatures = [base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys]
    if signatures:
        found["webhook-signature"] = " ".join(f"v1,{signature}" for signature in signatures)
    return found
