"""Memory that is free goes back to the system, whatever small blocks lie between the large ones."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import os
import sys
from pathlib import Path

from sparkrelease.adapters.memory import give_back_what_is_free


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20


if sys.argv[1] == "given back":
    assert give_back_what_is_free()
first = bytearray(4 * 2**20)  # from here on glibc keeps room for blocks of this size
del first
before = resident()
blocks = [(bytearray(b"x") * 2**20, bytearray(1024)) for _ in range(40)]
small = [block[1] for block in blocks]
most = resident()
del blocks
print(most - before, resident() - before)
"""


def growth(way: str) -> tuple[int, int]:
    """MiB by which a process grows while it holds 40 blocks of a MiB, and when only small ones are left of them."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, way], capture_output=True, text=True, check=True)
    most, left = map(int, done.stdout.split())
    return most, left


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="parameters of glibc")
def test_large_blocks_are_given_back_although_small_ones_lie_between_them() -> None:
    most, left = growth("given back")
    assert most >= 39
    assert left <= 4
    assert growth("kept")[1] >= 20, "without being told, glibc keeps them: the test would see it"
