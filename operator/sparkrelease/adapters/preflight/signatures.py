"""Whether a file was signed by a key: an envelope (DSSE) by what is in it, any other file by a signature beside it."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import (  # type: ignore[attr-defined]  # exported without saying so
    Signature,
    SSlibKey,
)

from sparkrelease.adapters.preflight.documents import Document

RSA_AS_COSIGN = "rsa-pkcs1v15-sha256"
"""The scheme cosign and openssl use for RSA keys; the library's own default is PSS."""


def fault_of(document: Document, content: bytes, pem: str, detached: str) -> str:
    """Why the signature is not good; empty when it is.

    `detached` is the signature beside the file, base64 as `cosign sign-blob` writes it; an envelope needs none.
    """
    try:
        keys = list(_keys(pem))
    except (ValueError, UnsupportedAlgorithm) as fault:
        return f"the signer's key cannot be used: {fault}"
    if document.envelope is not None:
        return _enveloped(document.envelope, keys)
    if not detached.strip():
        return "it is not signed: it is no envelope, and no signature is beside it"
    try:
        signature = base64.b64decode(detached.strip(), validate=True)
    except ValueError:
        return "the signature beside it is not base64"
    return "" if _any_verifies(keys, signature, content) else "the signature beside it is not the signer's"


def _keys(pem: str) -> Iterator[SSlibKey]:
    """The key under every scheme that signers use with its type."""
    public = load_pem_public_key(pem.encode())
    default = SSlibKey.from_crypto(public)
    yield default
    if default.keytype == "rsa":
        yield SSlibKey.from_crypto(public, scheme=RSA_AS_COSIGN)


def _enveloped(body: Mapping[str, object], keys: list[SSlibKey]) -> str:
    """A key's own name in the envelope (keyid) is a hint, says DSSE; it is the signature that counts."""
    signatures = body.get("signatures")
    found = [one.get("sig") for one in signatures if isinstance(one, Mapping)] if isinstance(signatures, list) else []
    try:
        payload = base64.b64decode(str(body["payload"]), validate=True)
        signed = Envelope(payload, str(body["payloadType"]), {}).pae()
        raw = [base64.b64decode(str(one), validate=True) for one in found]
    except (KeyError, ValueError):
        return "its envelope cannot be read"
    if any(_any_verifies(keys, one, signed) for one in raw):
        return ""
    return "no signature of its envelope is the signer's"


def _any_verifies(keys: list[SSlibKey], signature: bytes, data: bytes) -> bool:
    for key in keys:
        try:
            key.verify_signature(Signature(key.keyid, signature.hex()), data)
        except UnverifiedSignatureError:
            continue
        return True
    return False
