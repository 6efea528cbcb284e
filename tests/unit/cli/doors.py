"""A cluster in memory that can change at the worst moment, which a real one cannot be asked to do."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sparkrelease.adapters.kubernetes.replies import reply_of
from sparkrelease.cli.exits import CliError, ExitCode
from sparkrelease.ports.api_server import Reply


class FakeDoor:
    """A ClusterDoor with one release. `before_patch` runs before each patch is tested and applied."""

    def __init__(self, release: dict[str, Any] | None, namespace: str = "trading") -> None:
        self.body = copy.deepcopy(release)
        self.namespace = namespace
        self.policies: dict[str, Mapping[str, object]] = {}
        self.happened: list[Mapping[str, object]] | CliError = []
        self.config_maps: list[Mapping[str, object]] | CliError = []
        self.objects: dict[str, Reply] = {}
        """What `get` answers, by path; nothing else exists."""
        self.before_patch: Callable[[dict[str, Any]], None] = lambda _: None
        self.on_look: Callable[[dict[str, Any]], None] = lambda _: None
        self.patches = 0
        self.tried: dict[str, Any] = {}
        """The command of the last patch, kept or not."""
        self.user_name = "mira@example.com"
        self.groups: tuple[str, ...] = ()
        self.signed: list[Mapping[str, object]] = []
        self.refusing: list[CliError] = []
        """What the next signatures are refused with."""
        self.names = [f"a{number}" for number in range(100)]
        """What the server calls the signatures, one after the other."""

    def release(self, name: str) -> Mapping[str, object] | None:
        if self.body is None or self.body["metadata"]["name"] != name:
            return None
        self.on_look(self.body)
        return copy.deepcopy(self.body)

    def releases(self, *, everywhere: bool) -> Sequence[Mapping[str, object]]:
        return [self.body] if self.body else []

    def policy(self, name: str) -> Mapping[str, object] | None:
        return self.policies.get(name)

    def events(self, release: str) -> Sequence[Mapping[str, object]]:
        if isinstance(self.happened, CliError):
            raise self.happened
        return self.happened

    def user(self) -> str:
        return self.user_name

    def identity(self) -> tuple[str, tuple[str, ...]]:
        return self.user_name, self.groups

    def approvals(self) -> Sequence[Mapping[str, object]]:
        return self.signed

    def create_approval(self, body: Mapping[str, object]) -> Mapping[str, object]:
        if self.refusing:
            raise self.refusing.pop()
        meta = {"name": self.names[len(self.signed)], "creationTimestamp": "2026-11-21T14:03:50Z"}
        stored = {**copy.deepcopy(dict(body)), "metadata": {**body["metadata"], **meta}}  # type: ignore[dict-item]
        self.signed.append(stored)
        return stored

    def patch_release(self, name: str, operations: Sequence[Any], *, dry_run: bool = False) -> bool:
        assert self.body is not None
        self.patches += 1
        self.tried = json.loads(operations[-1]["value"])
        self.before_patch(self.body)
        changed = copy.deepcopy(self.body)
        for operation in operations:
            *parents, last = [part.replace("~1", "/") for part in operation["path"].split("/")[1:]]
            target = changed
            for part in parents:
                target = target[part]
            if operation["op"] == "test" and target.get(last) != operation["value"]:
                return False
            if operation["op"] == "add":
                target[last] = operation["value"]
        if not dry_run:
            self.body = changed
        return True

    def evidence(self, release: str, run: str | None = None) -> Sequence[Mapping[str, object]]:
        if isinstance(self.config_maps, CliError):
            raise self.config_maps
        return self.config_maps

    def get(self, path: str, query: Mapping[str, str | int] | None = None) -> Reply:
        return self.objects.get(path) or reply_of("GET", path, 404, b"{}", None)

    def command(self) -> dict[str, Any] | None:
        """The command in the annotation."""
        notes = (self.body or {}).get("metadata", {}).get("annotations", {})
        return json.loads(notes["sparkrelease.dev/command"]) if "sparkrelease.dev/command" in notes else None

    def take(self, result: str = "taken", **status: object) -> None:
        """Answers the command in the annotation, as the operator would."""
        command = self.command()
        if command is None or self.body is None:
            return
        taken = {key: command[key] for key in ("nonce", "verb", "user")}
        self.body["status"]["command"] = {**taken, "at": "2026-11-21T14:03:50.000Z", "result": result}
        self.body["status"].update(status)


FORBIDDEN = CliError(ExitCode.REFUSED, "not for you")
