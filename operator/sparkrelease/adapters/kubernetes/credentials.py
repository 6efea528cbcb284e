"""Where the API server is and who we are there. Tokens are read again when they are rotated."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from kubernetes.aio import config as kube
from kubernetes.aio.client import Configuration
from kubernetes.aio.config.incluster_config import SERVICE_TOKEN_FILENAME

DEFAULT_KUBECONFIG = Path("~/.kube/config")
TOKEN_CHECK = 5.0
"""Seconds between two looks at a token file."""


class ClientError(Exception):
    """The API server cannot be talked to as configured; the text is one sentence for the administrator."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who talks to the API server. All None: $KUBECONFIG, else the pod's ServiceAccount, else ~/.kube/config."""

    kubeconfig: Path | None = None
    context: str | None = None
    token_file: Path | None = None
    """Takes the place of the token found otherwise; read again when it changes."""
    process: str = ""
    """Which process it is, of several with one account: the API server's audit log names it with every request."""


class TokenFile:
    """A bearer token in a file that is replaced when it is rotated."""

    def __init__(self, path: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._monotonic = monotonic
        self._stamp: tuple[int, int] | None = None
        self._checked = float("-inf")
        self._token = ""

    def token(self) -> str:
        """The token as the file has it (looked at every few seconds); the last one while the file cannot be read."""
        now = self._monotonic()
        if now - self._checked >= TOKEN_CHECK:
            self._checked = now
            try:
                self._read()
            except OSError as error:
                if not self._token:
                    raise ClientError(f"cannot read the token file {self._path}: {error.strerror}") from error
        return self._token

    def _read(self) -> None:
        stat = self._path.stat()
        stamp = (stat.st_ino, stat.st_mtime_ns)
        if stamp == self._stamp:
            return
        token = self._path.read_text(encoding="ascii", errors="ignore").strip()
        if token:
            self._stamp, self._token = stamp, token

    def attach(self, configuration: Configuration) -> None:
        """Makes the client ask this file for its token before every request."""

        def refresh(configuration: Configuration) -> None:
            configuration.api_key["BearerToken"] = f"Bearer {self.token()}"

        refresh(configuration)
        setattr(configuration, "refresh_api_key_hook", refresh)  # noqa: B010 - the library declares it as None


@dataclass(slots=True)
class Login:
    """A client configuration, and the task that renews its credentials where a plugin gives them."""

    configuration: Configuration
    renewal: asyncio.Task[None] | None = None
    process: str = ""

    async def close(self) -> None:
        """Ends the renewal."""
        if self.renewal is not None:
            self.renewal.cancel()
            await asyncio.gather(self.renewal, return_exceptions=True)


def _chosen_kubeconfig(identity: Identity) -> Path | None:
    """The kubeconfig to read, or None for the pod's ServiceAccount."""
    if identity.kubeconfig is not None:
        return identity.kubeconfig
    if os.environ.get("KUBECONFIG"):
        return Path(os.environ["KUBECONFIG"])
    in_cluster = os.environ.get("KUBERNETES_SERVICE_HOST") and Path(SERVICE_TOKEN_FILENAME).is_file()
    return None if in_cluster else DEFAULT_KUBECONFIG.expanduser()


def _token_path(user: kube.kube_config.ConfigNode | None) -> Path | None:
    """The file named by `tokenFile` of the kubeconfig's user, which the library reads only once."""
    if user is None or "token" in user or "tokenFile" not in user:
        return None
    return Path(user.path or ".").parent / str(user["tokenFile"])


async def log_in(identity: Identity) -> Login:
    """Reads the configuration.

    Raises:
        ClientError: it cannot be read, or would talk to the server without verifying it.
    """
    configuration = Configuration()
    login = Login(configuration, process=identity.process)
    path = _chosen_kubeconfig(identity)
    try:
        if path is None:
            kube.load_incluster_config(client_configuration=configuration, try_refresh_token=False)
            TokenFile(Path(SERVICE_TOKEN_FILENAME)).attach(configuration)
        else:
            await _load_kubeconfig(path, identity.context, login)
    except (kube.ConfigException, OSError, ValueError, TypeError) as error:
        where = path if path is not None else "the pod's ServiceAccount"
        raise ClientError(f"cannot read the Kubernetes configuration from {where}: {error}") from error
    if identity.token_file is not None:
        TokenFile(identity.token_file).attach(configuration)
    refuse_unverified(configuration)
    return login


async def _load_kubeconfig(path: Path, context: str | None, login: Login) -> None:
    loader = await kube.load_kube_config(
        config_file=str(path), context=context, client_configuration=login.configuration, persist_config=False
    )
    user: kube.kube_config.ConfigNode | None = loader._user  # the library has no public word for it
    token_path = _token_path(user)
    if token_path is not None:
        TokenFile(token_path).attach(login.configuration)
    elif user is not None and "exec" in user:
        login.renewal = asyncio.create_task(kube.refresh_token(loader, login.configuration))


def refuse_unverified(configuration: Configuration) -> None:
    """Raises ClientError unless the server's certificate is verified; plain HTTP is for a proxy on this machine."""
    address = urlsplit(configuration.host)
    if address.scheme == "https":
        if not configuration.verify_ssl:
            raise ClientError("insecure-skip-tls-verify is set: give the API server's certificate authority instead")
        return
    try:
        local = ipaddress.ip_address(address.hostname or "").is_loopback
    except ValueError:
        local = address.hostname == "localhost"
    if not local or address.scheme != "http":
        raise ClientError(f"{configuration.host} is not https: credentials are never sent in the clear")
