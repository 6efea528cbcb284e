"""Who we are and where the API server is: never unverified, never in the clear."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparkrelease.adapters.kubernetes.credentials import ClientError, Identity, TokenFile, log_in

CONFIG = """
apiVersion: v1
kind: Config
current-context: one
contexts:
  - {{name: one, context: {{cluster: test, user: test}}}}
clusters: [{{name: test, cluster: {{{cluster}}}}}]
users: [{{name: test, user: {{token: abc}}}}]
"""


def kubeconfig(folder: Path, cluster: str) -> Identity:
    path = folder / "kubeconfig"
    path.write_text(CONFIG.format(cluster=cluster))
    return Identity(kubeconfig=path)


async def test_an_unverified_connection_is_refused(tmp_path: Path) -> None:
    identity = kubeconfig(tmp_path, 'server: "https://api.example", insecure-skip-tls-verify: true')
    with pytest.raises(ClientError, match="insecure-skip-tls-verify"):
        await log_in(identity)


@pytest.mark.parametrize("server", ["http://api.example", "http://10.0.0.1:8080", "ftp://127.0.0.1"])
async def test_credentials_are_never_sent_in_the_clear(tmp_path: Path, server: str) -> None:
    with pytest.raises(ClientError, match="not https"):
        await log_in(kubeconfig(tmp_path, f'server: "{server}"'))


@pytest.mark.parametrize("server", ["http://127.0.0.1:8001", "http://localhost:8001", "https://api.example"])
async def test_a_proxy_on_this_machine_and_https_are_fine(tmp_path: Path, server: str) -> None:
    login = await log_in(kubeconfig(tmp_path, f'server: "{server}"'))
    assert login.configuration.host == server


@pytest.mark.parametrize("text", ["", "not: a kubeconfig", "[1, 2]", "current-context: gone"])
async def test_a_kubeconfig_that_cannot_be_read_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(ClientError, match="kubeconfig"):
        await log_in(Identity(kubeconfig=path))


async def test_a_missing_kubeconfig_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="nowhere"):
        await log_in(Identity(kubeconfig=tmp_path / "nowhere"))


async def test_an_unknown_context_is_one_sentence(tmp_path: Path) -> None:
    known = kubeconfig(tmp_path, 'server: "https://api.example"')
    with pytest.raises(ClientError, match="elsewhere"):
        await log_in(Identity(kubeconfig=known.kubeconfig, context="elsewhere"))


def test_a_token_is_read_again_only_when_it_changed_and_kept_while_it_is_unreadable(tmp_path: Path) -> None:
    now = 0.0
    path = tmp_path / "token"
    path.write_text("one\n")
    token = TokenFile(path, lambda: now)
    assert token.token() == "one"
    path.write_text("two, longer\n")
    assert token.token() == "one", "not looked at again yet"
    now = 60.0
    assert token.token() == "two, longer"
    path.unlink()
    now = 120.0
    assert token.token() == "two, longer"
    path.write_text("")
    now = 180.0
    assert token.token() == "two, longer"


def test_a_token_file_that_never_was_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="token file"):
        TokenFile(tmp_path / "nowhere").token()
