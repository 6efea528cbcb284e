"""A thin, typed Kubernetes client for tests: objects are plain mappings, answers and errors are the server's own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlencode

import urllib3
import yaml

from testbed.kubeconfig import tls_context

KubeObject = dict[str, Any]
"""An object as JSON. `Any`: its shape belongs to its kind, and tests reach deep into many of them."""

Patch = Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""A merge patch, or the operations of a JSON patch."""

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


class ApiError(RuntimeError):
    """The API server refused.

    Attributes:
        code: HTTP status.
        reason: `reason` of the Status object, such as `NotFound`.
        message: its message.
        body: the whole Status object.
    """

    def __init__(self, request: str, code: int, body: KubeObject) -> None:
        self.code = code
        self.body = body
        self.reason = str(body.get("reason", ""))
        self.message = str(body.get("message", ""))
        super().__init__(f"{request}: {code} {self.reason}: {self.message}")


class KubeApi:
    """Talks to one API server as one identity; safe to share between threads.

    Connection errors (`urllib3.exceptions.HTTPError`) are raised as they are: whether to try again is the test's
    decision. Only a kept-alive connection that turns out closed is replaced, for requests that change nothing.
    """

    def __init__(self, kubeconfig: Path, *, user_agent: str = "testbed", timeout: float = 30.0) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.server: str = cluster["server"]
        self._headers = {"Accept": "application/json", "User-Agent": user_agent}
        if token := user.get("token"):
            self._headers["Authorization"] = f"Bearer {token}"
        self._pool = urllib3.PoolManager(
            maxsize=16,
            timeout=urllib3.Timeout(connect=5, read=timeout),
            retries=urllib3.Retry(0, connect=0, read=0, redirect=0),
            ssl_context=tls_context(cluster, user),
        )
        self._plurals: dict[tuple[str, str], tuple[str, bool]] = {}
        self._plurals_lock = Lock()

    # ---------------------------------------------------------------- requests

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> KubeObject:
        """The server's answer to one request.

        Raises:
            ApiError: it answered with an error status.
        """
        response = self._pool.request(
            method,
            self._url(path, query),
            body=None if body is None else json.dumps(body),
            headers={**self._headers, "Content-Type": content_type},
            retries=urllib3.Retry(1, read=1, redirect=0) if method == "GET" else None,
        )
        answer = _decode(response.data)
        if response.status >= 300:
            raise ApiError(f"{method} {path}", response.status, answer)
        return answer

    def watch(self, path: str, resource_version: str, *, seconds: int = 300) -> Iterator[tuple[str, KubeObject]]:
        """(type, object) of each event, bookmarks included, until the server ends the watch."""
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
            "resourceVersion": resource_version,
        }
        response = self._pool.request(
            "GET",
            self._url(path, query),
            headers=self._headers,
            preload_content=False,
            timeout=urllib3.Timeout(connect=5, read=seconds + 30),
        )
        try:
            if response.status >= 300:
                raise ApiError(f"WATCH {path}", response.status, _decode(response.data))
            buffer = b""
            for chunk in response.stream(amt=None):
                *lines, buffer = (buffer + chunk).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    yield event["type"], event["object"]
        finally:
            response.close()

    def ready(self) -> bool:
        """Whether the server says of itself that it is."""
        try:
            return self._pool.request("GET", f"{self.server}/readyz", headers=self._headers).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    # ---------------------------------------------------------------- objects

    def path(
        self, kind: str, api_version: str, name: str | None = None, namespace: str | None = None, subresource: str = ""
    ) -> str:
        """URL path of a kind or of one object of it."""
        plural, namespaced = self._resource(api_version, kind)
        parts = [_group(api_version)]
        if namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(plural)
        parts += [part for part in (name, subresource) if part]
        return "/".join(parts)

    def create(self, obj: Mapping[str, Any]) -> KubeObject:
        return self.request("POST", self._path_of(obj, named=False), obj)

    def apply(
        self, obj: Mapping[str, Any], *, manager: str = "testbed", force: bool = True, dry: bool = False
    ) -> KubeObject:
        """Server-side apply; `dry` answers what it would make of the object and stores nothing."""
        query = {"fieldManager": manager, "force": str(force).lower()} | ({"dryRun": "All"} if dry else {})
        return self.request("PATCH", self._path_of(obj), obj, content_type=APPLY_PATCH, query=query)

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> KubeObject:
        return self.request("GET", self.path(kind, api_version, name, namespace))

    def list(
        self, api_version: str, kind: str, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> list[KubeObject]:
        """Objects of a kind, of all namespaces unless one is given; `labels` and `fields` are selectors."""
        query = {key: value for key, value in (("labelSelector", labels), ("fieldSelector", fields)) if value}
        items: list[KubeObject] = self.request("GET", self.path(kind, api_version, None, namespace), query=query)[
            "items"
        ]
        return items

    def patch(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str | None,
        patch: Patch,
        *,
        subresource: str = "",
        manager: str = "testbed",
    ) -> KubeObject:
        """A mapping is a merge patch, a list is a JSON patch."""
        content_type = JSON_PATCH if not isinstance(patch, Mapping) else MERGE_PATCH
        path = self.path(kind, api_version, name, namespace, subresource)
        return self.request("PATCH", path, patch, content_type=content_type, query={"fieldManager": manager})

    def replace(self, obj: Mapping[str, Any], *, subresource: str = "") -> KubeObject:
        path = self._path_of(obj) + (f"/{subresource}" if subresource else "")
        return self.request("PUT", path, obj)

    def delete(
        self, api_version: str, kind: str, name: str, namespace: str | None = None, *, grace: int | None = None
    ) -> None:
        """Asks for deletion (in the background, not waited for); gone already is fine."""
        options: KubeObject = {"propagationPolicy": "Background"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        try:
            self.request("DELETE", self.path(kind, api_version, name, namespace), options)
        except ApiError as error:
            if error.code != 404:
                raise

    def token(self, namespace: str, service_account: str, seconds: int = 86400) -> str:
        """A fresh token of a ServiceAccount."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        wish = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": seconds},
        }
        return str(self.request("POST", path, wish)["status"]["token"])

    # ---------------------------------------------------------------- inside

    def _url(self, path: str, query: Mapping[str, str] | None) -> str:
        return self.server + path + (f"?{urlencode(query)}" if query else "")

    def _path_of(self, obj: Mapping[str, Any], *, named: bool = True) -> str:
        meta = obj["metadata"]
        name = meta["name"] if named else None
        return self.path(obj["kind"], obj["apiVersion"], name, meta.get("namespace", "default"))

    def _resource(self, api_version: str, kind: str) -> tuple[str, bool]:
        with self._plurals_lock:
            known = self._plurals.get((api_version, kind))
        if known is None:
            resources = self.request("GET", _group(api_version))["resources"]
            found = {(api_version, r["kind"]): (r["name"], r["namespaced"]) for r in resources if "/" not in r["name"]}
            with self._plurals_lock:
                self._plurals.update(found)
            if (api_version, kind) not in found:
                raise ApiError(f"{api_version} {kind}", 404, {"reason": "NotFound", "message": "no such kind"})
            known = found[api_version, kind]
        return known


def _group(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _decode(data: bytes) -> KubeObject:
    try:
        answer = json.loads(data)
    except ValueError:
        return {"message": data.decode(errors="replace")}
    return answer if isinstance(answer, dict) else {"message": str(answer)}
