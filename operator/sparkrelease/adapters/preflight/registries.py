"""Files in OCI registries: a manifest bound by its digest, and the one blob it names, by plain GETs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping

from sparkrelease.adapters.preflight.gets import Gets
from sparkrelease.api.preflight import RegistryRef
from sparkrelease.api.status import Verdict
from sparkrelease.decide.preflight.answers import Unanswered

MANIFESTS = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
"""What a registry is asked for; an index of several manifests is none of it."""

_OK = 200
_REFUSED = frozenset({401, 403})
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Registries:
    """Reads what anybody may pull; the administrator allows the hosts."""

    def __init__(self, gets: Gets) -> None:
        self._gets = gets

    async def read(self, ref: RegistryRef) -> bytes | Unanswered:
        """The content, which is what the digest of the manifest stands for."""
        manifest = await self._get(ref, f"manifests/sha256:{ref.sha256}", f"sha256:{ref.sha256}", MANIFESTS)
        if isinstance(manifest, Unanswered):
            return manifest
        blob = _only_blob(manifest)
        if blob is None:
            text = f"{ref.text} is no manifest of one file: exactly one layer with a sha256 digest is expected"
            return Unanswered(Verdict.ERROR, text)
        return await self._get(ref, f"blobs/{blob}", blob, "*/*")

    async def _get(self, ref: RegistryRef, what: str, digest: str, accept: str) -> bytes | Unanswered:
        answer = await self._gets.get_allowed(f"https://{ref.host}/v2/{ref.repository}/{what}", accept)
        if isinstance(answer, Unanswered):
            return answer
        if answer.status in _REFUSED:
            text = f"registry {ref.host} asks for credentials; only what anybody may pull is read"
            return Unanswered(Verdict.ERROR, text)
        if answer.status in range(300, 400):
            text = f"registry {ref.host} answers {answer.status} for {what[:20]}: redirects are not followed"
            return Unanswered(Verdict.ERROR, text)
        if answer.status != _OK:
            return Unanswered(Verdict.ERROR, f"registry {ref.host} answers {answer.status} for {what[:20]}...")
        if f"sha256:{hashlib.sha256(answer.body).hexdigest()}" != digest:
            return Unanswered(Verdict.ERROR, f"registry {ref.host} answers something else than {digest[:20]}...")
        return answer.body


def _only_blob(manifest: bytes) -> str | None:
    """Digest of the one layer a manifest has; None when it has none, or several."""
    try:
        body = json.loads(manifest)
    except (ValueError, RecursionError):
        return None
    match body:
        case {"layers": [Mapping() as layer]}:
            digest = layer.get("digest")
            return digest if isinstance(digest, str) and _DIGEST.fullmatch(digest) else None
        case _:
            return None
