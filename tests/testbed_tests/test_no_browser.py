"""Without a browser no page is opened; the run passes, and its last lines say what was not tested."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from testbed.browser import NO_BROWSER
from testbed.paths import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

OPENS_A_PAGE = "tests/unit/documents/test_release_note.py::test_it_prints_on_one_page"


def last_lines(tmp_path: Path, *args: str, **env: str) -> tuple[int, str]:
    """Runs pytest where nothing is on PATH."""
    around = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "SPARKRELEASE"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", OPENS_A_PAGE, *args]
    done = subprocess.run(
        command, cwd=PROJECT, env={**around, "PATH": str(tmp_path), **env}, capture_output=True, text=True, check=False
    )
    return done.returncode, "\n".join(done.stdout.splitlines()[-5:])


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_skipped_page_is_named_in_the_last_lines_with_the_remedy(workers: str, tmp_path: Path) -> None:
    code, said = last_lines(tmp_path, "-n", workers)
    assert code == 0
    assert "NOT TESTED: skipped for want of a browser to open a page in: 1." in said
    assert NO_BROWSER in said
    assert "apt-get install chromium" in NO_BROWSER


@pytest.mark.slow
def test_the_clusters_of_make_test_come_last_and_say_it_again(tmp_path: Path) -> None:
    _, said = last_lines(tmp_path, "--collect-only", SPARKRELEASE_TEST_STARTED="1")
    assert "NOT TESTED: no page was opened in a browser" in said
    assert NO_BROWSER in said


@pytest.mark.slow
def test_a_run_by_hand_that_wants_no_page_says_nothing_of_it(tmp_path: Path) -> None:
    _, said = last_lines(tmp_path, "--collect-only")
    assert "NOT TESTED" not in said
