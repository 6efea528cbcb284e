"""Options that several commands share. Nothing heavy is imported here: `--help` is fast."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

LONGEST_REASON = 512
LONGEST_STAGE = 80
LONGEST_RESTORE_POINT = 256
"""Characters, as in `api.command.Command`, which is not imported here."""


class Format(StrEnum):
    """How an answer is printed."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


class TableFormat(StrEnum):
    """How entries are printed."""

    TABLE = "table"
    JSON = "json"


class ReportFormat(StrEnum):
    """How a report is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str, option: str = "") -> float:
    """Reads `30s`, `2m`, `500ms` or plain seconds; `option` is whose value it is, for the fault."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|)", text.strip())
    if found is None:
        raise typer.BadParameter(f"{text!r} is not a duration such as 30s or 2m", param_hint=option or None)
    return float(found[1]) * _SECONDS[found[2]]


def reason(text: str | None) -> str | None:
    """A reason fits into the status and says something."""
    return _said(text, LONGEST_REASON, "say why")


def seen_stage(text: str | None) -> str | None:
    """A stage's name, as a person gives it."""
    return _said(text, LONGEST_STAGE, "name the stage")


def restore_point(text: str | None) -> str | None:
    """What names a restore point of a database: a time, a label, a snapshot."""
    return _said(text, LONGEST_RESTORE_POINT, "name the restore point")


def _said(text: str | None, most: int, wanted: str) -> str | None:
    if text is None:
        return None
    said = " ".join(text.split())
    if not said:
        raise typer.BadParameter(wanted)
    if len(said) > most:
        raise typer.BadParameter(f"at most {most} characters")
    return said


Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the SparkRelease.", show_default=False)]
Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace", "-n", help="Namespace; that of the kubeconfig's context if absent.", show_default=False
    ),
]
Kubeconfig = Annotated[
    Path | None,
    typer.Option("--kubeconfig", help="Kubeconfig file; $KUBECONFIG or ~/.kube/config if absent.", show_default=False),
]
Context = Annotated[
    str | None,
    typer.Option("--context", help="Context of the kubeconfig; the current one if absent.", show_default=False),
]
Output = Annotated[Format, typer.Option("--output", "-o", help="How to print.")]
EntriesOutput = Annotated[TableFormat, typer.Option("--output", "-o", help="How to print.")]
RunName = Annotated[
    str | None,
    typer.Option("--run", help="Run whose evidence is meant; the present or last one if absent.", show_default=False),
]
FromDir = Annotated[
    Path | None,
    typer.Option(
        "--from-dir",
        help="Read ConfigMaps (YAML or JSON, as kubectl prints them) or entries (.jsonl) from a folder, not a cluster.",
        show_default=False,
    ),
]
Why = Annotated[
    str, typer.Option("--reason", callback=reason, help="Why; recorded in status and evidence.", show_default=False)
]
OptionalWhy = Annotated[
    str | None,
    typer.Option("--reason", callback=reason, help="Why; recorded in status and evidence.", show_default=False),
]
SeenStage = Annotated[
    str | None,
    typer.Option(
        "--stage", callback=seen_stage, help="Stage you saw it at; recorded, never waited for.", show_default=False
    ),
]
RestorePoint = Annotated[
    str | None,
    typer.Option(
        "--restore-point",
        metavar="TEXT",
        callback=restore_point,
        help="Database restore point to go back to; recorded in evidence.",
        show_default=False,
    ),
]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the operator has taken the command.")]
Timeout = Annotated[str, typer.Option("--timeout", help="How long to wait, such as 30s or 2m.")]
Manifests = Annotated[
    list[Path],
    typer.Option("--filename", "-f", help="File with the SparkRelease; may be repeated.", show_default=False),
]
Policies = Annotated[
    list[Path] | None,
    typer.Option("--policy", help="File with the ReleasePolicy it names; may be repeated.", show_default=False),
]
OptionalName = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="Name of a SparkRelease of the cluster.", show_default=False)
]
OptionalManifests = Annotated[
    list[Path] | None,
    typer.Option("--filename", "-f", help="File with the SparkRelease; may be repeated.", show_default=False),
]
PrometheusURL = Annotated[
    str | None,
    typer.Option("--prometheus", metavar="URL", help="Metrics server to ask, as you reach it.", show_default=False),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", help="The operator's configuration, which declares servers and their labels.", show_default=False
    ),
]
NamespaceLabel = Annotated[
    str | None,
    typer.Option("--namespace-label", help="Label of series that holds the namespace.", show_default=False),
]
ServiceLabel = Annotated[
    str | None, typer.Option("--service-label", help="Label of series that holds the Service.", show_default=False)
]
