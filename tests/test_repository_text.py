"""The repository is the same on every machine: no path of somebody's disk, no address of a package index."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent

MACHINE_PATH = re.compile(r"(?<![\w.}-])/(?:root|home|work|Users|tmp)/\w|\b[A-Z]:\\\\?\w")
INDEX_HOST = re.compile(
    r"pypi[.]org|pythonhosted[.]org|proxy[.]golang|sum[.]golang|registry[.]npmjs|deb[.]debian"
    r"|-{2}(?:(?:extra-)?index-url|find-links|trusted-host)"
)


def repository_texts() -> Iterator[tuple[Path, str]]:
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("not a git work tree: there is no list of the files that belong to the repository")
    for name in filter(None, done.stdout.split("\0")):
        path = ROOT / name
        if path.is_file():
            try:
                yield path.relative_to(ROOT), path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue  # a picture, not text


def findings(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()[:120]}"
        for path, text in repository_texts()
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]


def test_no_file_names_a_path_of_one_machine() -> None:
    assert findings(MACHINE_PATH) == []


def test_no_file_names_a_package_index() -> None:
    assert findings(INDEX_HOST) == []


@pytest.mark.parametrize("name", ["runtime", "dev", "lock"])
def test_every_locked_package_has_an_exact_version_and_hashes_and_no_address(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    packages = text.replace("\\\n", " ").splitlines()
    assert packages
    for package in packages:
        assert re.match(r"^[a-z0-9][a-z0-9._-]*==\S+( ; .*?)?( +--hash=sha256:[0-9a-f]{64})+$", package), package[:80]


def test_the_development_lock_contains_the_runtime_lock_unchanged() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^\S+==\S+", (ROOT / "requirements" / f"{name}.txt").read_text(), re.MULTILINE))

    assert pins("runtime") <= pins("dev")


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (MACHINE_PATH, "cd " + "/".join(["", "root", "x"])),
        (MACHINE_PATH, 'open("' + "/".join(["", "home", "me", "x"]) + '")'),
        (MACHINE_PATH, "key=" + "/".join(["", "tmp", "key"])),
        (INDEX_HOST, "https://" + "pypi" + ".org/simple"),
        (INDEX_HOST, "--index" + "-url https://mirror.example/simple"),
    ],
)
def test_the_patterns_find_what_they_look_for(pattern: re.Pattern[str], text: str) -> None:
    assert pattern.search(text)
