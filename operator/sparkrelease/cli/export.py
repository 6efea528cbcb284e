"""`evidence export` and `report`: a run's documents, from the cluster or from an earlier export."""

from __future__ import annotations

import webbrowser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rich.console import Group
from rich.table import Table

from sparkrelease.adapters.kubernetes.evidence import label_value
from sparkrelease.cli.cluster import ClusterDoor
from sparkrelease.cli.evidence import Checked
from sparkrelease.cli.exits import CliError, ExitCode
from sparkrelease.cli.kept import checked_files
from sparkrelease.cli.originals import Seek, find_originals, in_cluster, in_export
from sparkrelease.cli.render.words import Tone, count, say
from sparkrelease.cli.screen import console, print_text
from sparkrelease.cli.show import checked_evidence
from sparkrelease.documents.files import documents, report
from sparkrelease.documents.originals import originals_wanted
from sparkrelease.documents.record import Chain, UnreadableRunError

NOWHERE = "say where the evidence is: a cluster, or --from-dir"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a run's evidence comes from: a cluster, or a folder or file that was kept."""

    name: str
    run: str | None
    cluster: ClusterDoor | None = None
    kept: Path | None = None
    namespace: str | None = None

    def read(self) -> Checked:
        """The evidence, checked; CliError when there is none."""
        if self.kept is not None:
            return checked_files(self.kept, self.name, self.namespace, self.run)
        if self.cluster is None:
            raise CliError(ExitCode.USAGE, NOWHERE)
        return checked_evidence(self.cluster, self.name, self.run)

    def seek(self) -> Seek:
        """Where to look for the files that its preflight looked at."""
        if self.kept is not None:
            return in_export(self.kept)
        if self.cluster is None:
            raise CliError(ExitCode.USAGE, NOWHERE)
        return in_cluster(self.cluster)


def export(source: Source, folder: Path) -> ExitCode:
    """Writes every document of the run into the folder and says which; BAD when the chain is broken."""
    checked = source.read()
    chain, entries = chain_of(checked), checked.stored.entries
    try:
        originals = find_originals(originals_wanted(entries, chain), source.seek())
        found = documents(checked.stored.lines, entries, chain, originals.told)
    except UnreadableRunError as problem:
        raise CliError(ExitCode.BAD, f"run {checked.stored.run} has no documents: {problem}") from problem
    sizes = [(path, _write(folder, path, text.encode())) for path, text in found.items()]
    sizes += [(path, _write(folder, path, content)) for path, content in originals.files.items()]
    _show(folder, sizes, checked, originals.missing)
    return ExitCode.FINE if checked.intact else ExitCode.BAD


def write_report(source: Source, file: Path | None, *, show: bool) -> ExitCode:
    """Writes the page and opens it; BAD when the chain is broken."""
    checked = source.read()
    try:
        page, view = report(checked.stored.entries, chain_of(checked))
    except UnreadableRunError as problem:
        raise CliError(ExitCode.BAD, f"run {checked.stored.run} has no report: {problem}") from problem
    path = file if file is not None else Path(f"{label_value(source.name)}-{label_value(view.run.id)}-report.html")
    size = _write(path.parent, path.name, page.encode())
    print_text(say(f"{view.verdict}: {view.sentence}", Tone.STRONG))
    print_text(say(f"wrote {path} ({_kilobytes(size)})"))
    _tell_fault(checked)
    if show and not webbrowser.open(path.resolve().as_uri()):
        console(stderr=True).print(say("no browser could be opened; open the file yourself", Tone.CAUTION))
    return ExitCode.FINE if checked.intact else ExitCode.BAD


def chain_of(checked: Checked) -> Chain:
    """What checking came to, as documents tell it."""
    entries = checked.stored.entries
    faults = [checked.broken.message] if checked.broken is not None else []
    faults += [f"ConfigMap {name} is gone" for name in checked.missing]
    return Chain(
        head=entries[-1].digest if entries else "",
        entries=len(checked.stored.lines),
        fault="; ".join(faults),
        anchored=checked.known is not None and checked.intact,
    )


def _write(folder: Path, path: str, data: bytes) -> int:
    """Writes one file, its folders with it; its size in bytes. CliError when that cannot be done."""
    target = folder.joinpath(*PurePosixPath(path).parts)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    except OSError as problem:
        raise CliError(ExitCode.USAGE, f"{target} cannot be written: {problem.strerror}") from problem
    return len(data)


def _show(folder: Path, sizes: Sequence[tuple[str, int]], checked: Checked, missing: Mapping[str, str]) -> None:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right", style=Tone.QUIET.value)
    for path, size in sizes:
        table.add_row(say(f"  {path}"), say(_kilobytes(size)))
    head = f"wrote {count(len(sizes), 'file')} of run {checked.stored.run} to {folder}"
    print_text(Group(say(head, Tone.STRONG), table))
    for check, why in missing.items():
        console(stderr=True).print(
            say(f"! the file that check {check} looked at is not among them: {why}", Tone.CAUTION)
        )
    _tell_fault(checked)


def _tell_fault(checked: Checked) -> None:
    fault = chain_of(checked).fault
    if fault:
        console(stderr=True).print(say(f"✖ the evidence is not intact: {fault}", Tone.BAD))


def _kilobytes(size: int) -> str:
    return f"{size / 1000:.1f} kB"
