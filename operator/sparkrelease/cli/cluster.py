"""The one door of the command line to the API server: the official client, one answer or one CliError per request."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from sparkrelease import __version__
from sparkrelease.adapters.kubernetes.evidence import EVIDENCE_LABEL, RELEASE_LABEL, RUN_LABEL, label_value
from sparkrelease.adapters.kubernetes.paths import path_of
from sparkrelease.adapters.kubernetes.replies import reply_of
from sparkrelease.cli.exits import CliError, ExitCode
from sparkrelease.cli.proxied import Fetched
from sparkrelease.ports.api_server import ContentType, Reply

CONNECT_WITHIN, ANSWER_WITHIN = 5.0, 15.0
"""Seconds."""

PAGE = 250
_CHUNK = 65_536
_REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_ACCOUNT_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

Object = Mapping[str, object]
"""An object as JSON."""


class ClusterDoor(Protocol):
    """What the commands need of a cluster. Every method raises CliError when it gets no good answer."""

    @property
    def namespace(self) -> str:
        """Namespace asked for, else that of the kubeconfig's context, else `default`."""
        ...

    def release(self, name: str) -> Object | None:
        """The SparkRelease; None when there is none of that name."""
        ...

    def releases(self, *, everywhere: bool) -> Sequence[Object]:
        """All releases of the namespace, or of all namespaces."""
        ...

    def policy(self, name: str) -> Object | None:
        """The ReleasePolicy; None when it does not exist or may not be read."""
        ...

    def events(self, release: str) -> Sequence[Object]:
        """The Kubernetes Events about the release that the cluster still has, without order."""
        ...

    def user(self) -> str:
        """Who the API server says we are."""
        ...

    def identity(self) -> tuple[str, tuple[str, ...]]:
        """The same, with the groups we are in."""
        ...

    def approvals(self) -> Sequence[Object]:
        """All ReleaseApprovals of the namespace."""
        ...

    def create_approval(self, body: Object) -> Object:
        """Creates a ReleaseApproval; answers it as it was stored."""
        ...

    def patch_release(self, name: str, operations: Sequence[object], *, dry_run: bool = False) -> bool:
        """JSON patch of a release; False when one of its tests failed or the object changed under it."""
        ...

    def evidence(self, release: str, run: str | None = None) -> Sequence[Object]:
        """Every ConfigMap with evidence of the release, of one run or of all, without order."""
        ...

    def get(self, path: str, query: Mapping[str, str | int] | None = None) -> Reply:
        """Reads anything with this person's own rights; an error the server answers is part of the reply."""
        ...


class Cluster:
    """A ClusterDoor to a real API server."""

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._api.user_agent = f"kubectl-sparkrelease/{__version__}"

    @property
    def namespace(self) -> str:
        """See ClusterDoor."""
        return self._namespace

    def release(self, name: str) -> Object | None:
        """See ClusterDoor."""
        reply = self._request("GET", path_of("SparkRelease", self._namespace, name))
        if reply.not_found and not reply.body:
            raise CliError(ExitCode.NOT_FOUND, "the cluster does not know SparkReleases: is the operator installed?")
        return None if reply.not_found else _good(reply)

    def releases(self, *, everywhere: bool) -> Sequence[Object]:
        """See ClusterDoor."""
        return list(self._pages(path_of("SparkRelease", None if everywhere else self._namespace)))

    def policy(self, name: str) -> Object | None:
        """See ClusterDoor."""
        reply = self._request("GET", path_of("ReleasePolicy", name=name))
        return None if reply.status in {HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN} else _good(reply)

    def events(self, release: str) -> Sequence[Object]:
        """See ClusterDoor."""
        about = f"involvedObject.kind=SparkRelease,involvedObject.name={release}"
        return list(self._pages(path_of("Event", self._namespace), fields=about))

    def user(self) -> str:
        """See ClusterDoor."""
        return self.identity()[0]

    def identity(self) -> tuple[str, tuple[str, ...]]:
        """See ClusterDoor."""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        status = _good(self._request("POST", _REVIEW, body=review)).get("status")
        info = status.get("userInfo") if isinstance(status, Mapping) else None
        name = info.get("username") if isinstance(info, Mapping) else None
        if not isinstance(name, str) or not name:
            raise CliError(ExitCode.REFUSED, "the API server does not say who you are")
        groups = info.get("groups") if isinstance(info, Mapping) else None
        return name, tuple(map(str, groups)) if isinstance(groups, list) else ()

    def approvals(self) -> Sequence[Object]:
        """See ClusterDoor."""
        return list(self._pages(path_of("ReleaseApproval", self._namespace)))

    def create_approval(self, body: Object) -> Object:
        """See ClusterDoor."""
        query = {"fieldManager": "kubectl-sparkrelease"}
        return _good(self._request("POST", path_of("ReleaseApproval", self._namespace), query=query, body=body))

    def patch_release(self, name: str, operations: Sequence[object], *, dry_run: bool = False) -> bool:
        """See ClusterDoor."""
        query = {"fieldManager": "kubectl-sparkrelease"} | ({"dryRun": "All"} if dry_run else {})
        path = path_of("SparkRelease", self._namespace, name)
        reply = self._request("PATCH", path, query=query, body=operations, content=ContentType.JSON_PATCH)
        if reply.status == HTTPStatus.CONFLICT or _test_failed(reply):
            return False
        _good(reply)
        return True

    def evidence(self, release: str, run: str | None = None) -> Sequence[Object]:
        """See ClusterDoor."""
        labels = f"{EVIDENCE_LABEL}=true,{RELEASE_LABEL}={label_value(release)}"
        if run is not None:
            labels += f",{RUN_LABEL}={label_value(run)}"
        return list(self._pages(path_of("ConfigMap", self._namespace), labels))

    def get(self, path: str, query: Mapping[str, str | int] | None = None) -> Reply:
        """See ClusterDoor."""
        return self._request("GET", path, query=query)

    def fetch(self, path: str, *, most: int, within: float) -> Fetched:
        """Sends one GET, once, whose answer may be anything: no redirect is followed, no status is tried again.

        `most` is the longest body in bytes, `within` how many seconds it may take.
        """
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        _, url, headers, *_ = self._api.param_serialize(
            "GET", path, header_params=headers, auth_settings=["BearerToken"]
        )
        begin = time.monotonic()
        timeout = urllib3.Timeout(connect=min(CONNECT_WITHIN, within), read=within)
        try:
            answer = self._api.rest_client.pool_manager.request(
                "GET", url, headers=headers, redirect=False, retries=False, timeout=timeout, preload_content=False
            )
            try:
                body = _read(answer, most, begin + within)
            finally:
                answer.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unreachable(error) from error
        return Fetched(answer.status, tuple(answer.headers.iteritems()), body, time.monotonic() - begin)

    def _pages(self, path: str, labels: str = "", fields: str = "") -> Iterator[Object]:
        query: dict[str, str | int] = {"limit": PAGE} | ({"labelSelector": labels} if labels else {})
        query |= {"fieldSelector": fields} if fields else {}
        while True:
            body = _good(self._request("GET", path, query=query))
            items, meta = body.get("items"), body.get("metadata")
            yield from (item for item in (items if isinstance(items, list) else ()) if isinstance(item, Mapping))
            more = meta.get("continue") if isinstance(meta, Mapping) else None
            if not isinstance(more, str) or not more:
                return
            query["continue"] = more

    def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: object = None,
        content: ContentType = ContentType.JSON,
    ) -> Reply:
        request = self._api.param_serialize(
            method,
            path,
            query_params=[(name, str(value)) for name, value in (query or {}).items()],
            header_params={"Accept": "application/json", "Content-Type": content.value},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            answer = self._api.call_api(*request, _request_timeout=(CONNECT_WITHIN, ANSWER_WITHIN))
            data = answer.read()
        except (urllib3.exceptions.HTTPError, ApiException, OSError) as error:
            raise self._unreachable(error) from error
        return reply_of(method, path, answer.status, data, answer.headers.get("Retry-After"))

    def _unreachable(self, error: Exception) -> CliError:
        return CliError(ExitCode.UNREACHABLE, f"cannot reach {self._api.configuration.host}: {_why(error)}")


def connect(kubeconfig: Path | None, context: str | None, namespace: str | None) -> Cluster:
    """Opens the door as kubectl would: --kubeconfig, $KUBECONFIG, ~/.kube/config, else the pod's ServiceAccount.

    Nothing is sent yet. Raises CliError when there is no configuration or it cannot be read.
    """
    configuration = client.Configuration()
    file = str(kubeconfig.expanduser()) if kubeconfig else None
    try:
        if file is None and context is None and _in_pod_only():
            config.load_incluster_config(client_configuration=configuration)
            home = _ACCOUNT_NAMESPACE.read_text(encoding="utf-8").strip()
        else:
            config.load_kube_config(config_file=file, context=context, client_configuration=configuration)
            home = _namespace_of(file, context)
    except (config.ConfigException, OSError, ValueError, TypeError, KeyError) as error:
        where = file or os.environ.get("KUBECONFIG") or "the default kubeconfig"
        raise CliError(ExitCode.USAGE, f"cannot use {where}: {error}") from error
    configuration.retries = 1
    return Cluster(client.ApiClient(configuration), namespace or home or "default")


def _in_pod_only() -> bool:
    """Whether this runs in a pod that has a ServiceAccount and no kubeconfig."""
    has_file = os.environ.get("KUBECONFIG") or Path("~/.kube/config").expanduser().exists()
    return not has_file and _ACCOUNT_NAMESPACE.exists()


def _namespace_of(file: str | None, context: str | None) -> str:
    contexts, active = config.list_kube_config_contexts(config_file=file)
    chosen = next((one for one in contexts if one["name"] == context), active)
    return str(chosen.get("context", {}).get("namespace") or "")


def _why(error: Exception) -> str:
    """The innermost cause, without the library's own wrapping."""
    cause = getattr(error, "reason", None) or error
    return str(getattr(cause, "reason", None) or cause).split(": ", 1)[-1]


def _read(answer: urllib3.BaseHTTPResponse, most: int, until: float) -> bytes | None:
    """The body as it is sent; None when it is longer than `most`. TimeoutError when it takes longer."""
    body = bytearray()
    while chunk := answer.read1(_CHUNK, decode_content=False):
        body += chunk
        if len(body) > most:
            return None
        if time.monotonic() > until:
            raise TimeoutError("the answer took too long")
    return bytes(body)


def _test_failed(reply: Reply) -> bool:
    """Whether a `test` of a JSON patch failed, which the API server tells only by this sentence."""
    words = str(reply.body.get("message", ""))
    return reply.status == HTTPStatus.UNPROCESSABLE_ENTITY and "the server rejected our request" in words


def _good(reply: Reply) -> Object:
    """The object in a reply; CliError when it is an error, with the server's own words."""
    if reply.problem is None:
        return reply.body
    words = reply.body.get("message")
    text = words if isinstance(words, str) and words else reply.problem.message
    if reply.not_found:
        raise CliError(ExitCode.NOT_FOUND, text)
    if reply.status == HTTPStatus.UNAUTHORIZED:
        raise CliError(ExitCode.REFUSED, f"the API server does not know you: {text}")
    if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR or reply.status == HTTPStatus.TOO_MANY_REQUESTS:
        raise CliError(ExitCode.UNREACHABLE, f"the API server cannot answer now: {text}")
    raise CliError(ExitCode.REFUSED, text)
