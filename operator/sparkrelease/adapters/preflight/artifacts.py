"""Files in ConfigMaps and registries: fetched here, read in a process of their own."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sparkrelease.adapters.preflight.gets import Gets
from sparkrelease.adapters.preflight.kube import Object, content_of, get, items, listed, part, text
from sparkrelease.adapters.preflight.registries import Registries
from sparkrelease.api.config import PreflightConfig
from sparkrelease.api.expectations import Op
from sparkrelease.api.preflight import FileRef, PreflightItem, RegistryRef
from sparkrelease.api.status import Verdict
from sparkrelease.decide.preflight.answers import FileAnswer, Unanswered
from sparkrelease.ports.api_server import ApiServer
from sparkrelease.ports.preflight import Subject

SIGNATURE = ".sig"
"""What is added to a file's key for that of its detached signature, unless the file is an envelope itself."""

READERS = 2
"""Files read at once: each is a process of some fifty megabytes for about a second."""

FETCHES = 4
"""Files of registries under way at once: a registry that does not answer keeps only those of registries waiting."""

_KEPT_ENVIRONMENT = ("PATH", "PYTHONPATH", "LANG", "LC_ALL")
_FOUND = TypeAdapter(FileAnswer)


@dataclass(frozen=True, slots=True)
class _Held:
    """A file: what people call it, its content, and a detached signature where there is one beside it."""

    name: str
    content: bytes
    signature: str = ""


class Artifacts:
    """Reads files of ConfigMaps and registries, and what the pods of canary run."""

    def __init__(self, api: ApiServer, config: PreflightConfig) -> None:
        self._api = api
        self._config = config
        self._registries = Registries(Gets(api, config))
        self._readers = asyncio.Semaphore(READERS)
        self._turns = {FileRef: asyncio.Semaphore(READERS), RegistryRef: asyncio.Semaphore(FETCHES)}

    def turn(self, item: PreflightItem) -> asyncio.Semaphore:
        """What is held while a file is fetched and read: hardly one waits for a reader in its own time."""
        return self._turns[type(item.file)]

    async def read(self, subject: Subject, item: PreflightItem) -> FileAnswer | Unanswered:
        """The file as far as its kind is read."""
        ref = item.file
        held = await self._held(subject, ref)
        if isinstance(held, Unanswered):
            return held
        digest = hashlib.sha256(held.content).hexdigest()
        answer = FileAnswer(held.name, digest, len(held.content))
        another = isinstance(ref, FileRef) and ref.sha256 not in {None, digest}
        if another or (item.asks == "file" and item.signer is None):
            return answer
        key = self._key(item.signer) if item.signer is not None else ""
        if isinstance(key, Unanswered):
            return key
        request: dict[str, object] = {
            "file": answer.file,
            "content": base64.b64encode(held.content).decode(),
            "kind": item.asks,
            "key": key,
            "signature": held.signature,
            "licenses": [name for line in item.expected if line.op is Op.IN for name in line.names]
            if item.asks == "sbom"
            else [],
        }
        found = await self._in_a_process(request)
        if isinstance(found, Unanswered) or item.asks != "provenance":
            return found
        return await self._with_images(subject, found)

    async def _held(self, subject: Subject, ref: FileRef | RegistryRef) -> _Held | Unanswered:
        """What the file is, from where it is."""
        if isinstance(ref, RegistryRef):
            found = await self._registries.read(ref)
            return found if isinstance(found, Unanswered) else _Held(ref.text, found)
        what = f"ConfigMap {ref.config_map}"
        config_map = await get(self._api, "configmaps", subject.namespace, ref.config_map, what)
        if isinstance(config_map, Unanswered):
            return config_map
        content = content_of(config_map, ref.key)
        if content is None:
            return Unanswered(Verdict.ERROR, f"{what} has no key {ref.key}")
        signature = (content_of(config_map, ref.key + SIGNATURE) or b"").decode(errors="replace")
        return _Held(f"{ref.config_map}/{ref.key}", content, signature)

    def _key(self, signer: str) -> str | Unanswered:
        """The public key (PEM) the administrator declared under that name."""
        file = self._config.signers.get(signer)
        if file is None:
            return Unanswered(Verdict.ERROR, f"signer {signer} is not declared to the operator (preflight.signers)")
        try:
            return Path(file).read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as fault:
            why = getattr(fault, "strerror", None) or "it is no PEM"
            return Unanswered(Verdict.ERROR, f"the key of signer {signer} cannot be read: {why}")

    async def _in_a_process(self, request: dict[str, object]) -> FileAnswer | Unanswered:
        """Parsers, and what they import, live for one file; their process ends with whoever waits for it."""
        environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
        async with self._readers:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "sparkrelease.adapters.preflight.reader",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment,
            )
            try:
                out, err = await process.communicate(json.dumps(request).encode())
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        try:
            return _FOUND.validate_json(out)
        except ValidationError:
            words = err.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
            return Unanswered(Verdict.ERROR, f"{request['file']} cannot be read: {words[0][:200]}")

    async def _with_images(self, subject: Subject, found: FileAnswer) -> FileAnswer | Unanswered:
        """The same with the images that the pods behind canary run."""
        what = f"Service {subject.canary}"
        service = await get(self._api, "services", subject.namespace, subject.canary, what)
        if isinstance(service, Unanswered):
            return service
        selector = part(service, "spec", "selector")
        if not selector:
            return Unanswered(Verdict.ERROR, f"{what} has no selector to find its pods by")
        labels = ",".join(f"{name}={value}" for name, value in sorted(selector.items()))
        pods = await listed(self._api, "pods", subject.namespace, labels, f"pods of {what}")
        if isinstance(pods, Unanswered):
            return pods
        images = tuple(
            (text(part(pod, "metadata"), "name"), digests_of(pod))
            for pod in pods
            if part(pod, "status").get("phase") == "Running"
        )
        return FileAnswer(**{name: getattr(found, name) for name in FileAnswer.__slots__} | {"images": images})


def digests_of(pod: Object) -> tuple[str, ...]:
    """Digests (hex) of the images a pod's containers run, as the node pulled them."""
    ids = (text(one, "imageID") for one in items(pod, "status", "containerStatuses"))
    found = (one.rpartition("sha256:")[2] for one in ids if "sha256:" in one)
    return tuple(dict.fromkeys(found))
