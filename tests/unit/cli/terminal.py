"""The command line as a person runs it: a process of its own whose screen is a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

MAIN = "from sparkrelease.cli.app import main; main()"


def on_a_terminal(*args: str, columns: int = 200) -> str:
    """Everything the command wrote to its terminal, control codes included."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns)}
    with subprocess.Popen([sys.executable, "-c", MAIN, *args], stdout=theirs, stderr=theirs, env=environment):
        os.close(theirs)
        written = b"".join(iter(lambda: _read(ours), b""))
    os.close(ours)
    return written.decode(errors="replace")


def _read(terminal: int) -> bytes:
    """The next piece; nothing once the last process has closed it, which Linux says by an error."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""
