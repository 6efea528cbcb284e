"""`hack/cluster-tests.sh`: a few failures beside other clusters are tried once more, alone, and never kept quiet."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from testbed.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PYTEST = """#!/usr/bin/env bash
echo "$@" >>calls
mkdir -p .pytest_cache/v/cache
case $* in
*--last-failed*) exit {alone} ;;
*) echo '{failed}' >.pytest_cache/v/cache/lastfailed; exit {beside} ;;
esac
"""


def run(folder: Path, beside: int, alone: int, failed: Sequence[str]) -> tuple[int, list[str], list[str]]:
    """Exit code, lines printed, and the arguments of each call of pytest."""
    script = folder / "hack" / "cluster-tests.sh"
    script.parent.mkdir()
    shutil.copy(PROJECT / "hack" / "cluster-tests.sh", script)
    fake = folder / "pytest"
    record = json.dumps(dict.fromkeys(failed, True), indent=2)
    fake.write_text(PYTEST.format(alone=alone, beside=beside, failed=record))
    fake.chmod(0o755)
    done = subprocess.run([script, fake, "--clusters", "4"], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines(), (folder / "calls").read_text().splitlines()


def test_what_passes_is_run_once(tmp_path: Path) -> None:
    code, lines, calls = run(tmp_path, 0, 1, [])
    assert (code, lines, calls) == (0, [], ["-q -m cluster --clusters 4"])


def test_what_passes_alone_passes_and_is_named_at_the_end(tmp_path: Path) -> None:
    code, lines, calls = run(tmp_path, 1, 0, ["tests/a.py::one[x]", "tests/b.py::two"])
    assert code == 0
    assert calls[1:] == ["-q -m cluster --last-failed --last-failed-no-failures none"]
    assert lines[-3].startswith("UNSTEADY: 2 failed")
    assert lines[-2:] == ["  tests/a.py::one[x]", "  tests/b.py::two"]


def test_what_fails_alone_too_fails_the_run(tmp_path: Path) -> None:
    code, lines, _ = run(tmp_path, 1, 1, ["tests/a.py::one"])
    assert code == 1
    assert lines[-1] == "  tests/a.py::one"


def test_failures_in_many_files_are_not_tried_again(tmp_path: Path) -> None:
    code, lines, calls = run(tmp_path, 1, 0, [f"tests/{n}.py::test_one" for n in range(9)])
    assert (code, len(calls)) == (1, 1)
    assert lines[-1].startswith("9 tests of 9 files failed")


def test_the_tests_of_one_file_fail_together_and_are_tried_again_together(tmp_path: Path) -> None:
    """What is set up for all of them was not there in time."""
    code, lines, calls = run(tmp_path, 1, 0, [f"tests/a.py::test_{n}" for n in range(9)])
    assert (code, len(calls)) == (0, 2)
    assert lines[-10].startswith("UNSTEADY: 9 failed")


@pytest.mark.parametrize("code", [2, 3, 4, 5])
def test_a_run_that_ended_otherwise_is_not_tried_again(tmp_path: Path, code: int) -> None:
    ended, _, calls = run(tmp_path, code, 0, ["tests/a.py::one"])
    assert (ended, len(calls)) == (code, 1)
