"""The commands that sign: approve and reject."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from sparkrelease.cli import options as o
from sparkrelease.cli.exits import CliError, ExitCode


class Lifted(StrEnum):
    """What a signature can lift; the words of `api.approval.Override`, which help and completion do without."""

    FREEZE = "freeze"


Stage = Annotated[
    str | None,
    typer.Option("--stage", help="Stage to sign for; the one that is waited for if absent.", show_default=False),
]
Run = Annotated[
    str | None, typer.Option("--run", help="Run to sign for; the one under way if absent.", show_default=False)
]


def approve(
    name: o.Name,
    *,
    items: Annotated[
        list[str] | None,
        typer.Option(
            "--item", help="Item of the checklist; may be repeated; all you may sign if absent.", show_default=False
        ),
    ] = None,
    stage: Stage = None,
    comment: Annotated[
        str | None, typer.Option("--comment", callback=o.reason, help="What you want to add.", show_default=False)
    ] = None,
    overrides: Annotated[
        list[Lifted] | None, typer.Option("--override", help="What else this lifts.", show_default=False)
    ] = None,
    run: Run = None,
    namespace: o.Namespace = None,
    kubeconfig: o.Kubeconfig = None,
    context: o.Context = None,
) -> None:
    """Sign GO for the run under way, and print what is still missing."""
    from sparkrelease.api.approval import Decision, Override
    from sparkrelease.cli.approve import Signature, sign
    from sparkrelease.cli.cluster import connect
    from sparkrelease.cli.screen import print_text

    if items and stage is not None:
        raise CliError(ExitCode.USAGE, "--item is for the go/no-go; give --item or --stage")
    lifted = tuple(Override[one.name] for one in overrides or ())
    wish = Signature(Decision.GO, comment or "", stage, tuple(items or ()), lifted, run)
    sign(connect(kubeconfig, context, namespace), name, wish, print_text)


def reject(
    name: o.Name,
    *,
    reason: o.Why,
    stage: Stage = None,
    run: Run = None,
    namespace: o.Namespace = None,
    kubeconfig: o.Kubeconfig = None,
    context: o.Context = None,
) -> None:
    """Sign NO-GO: before its first weight the run ends, after it all traffic goes back to stable."""
    from sparkrelease.api.approval import Decision
    from sparkrelease.cli.approve import Signature, sign
    from sparkrelease.cli.cluster import connect
    from sparkrelease.cli.screen import print_text

    sign(connect(kubeconfig, context, namespace), name, Signature(Decision.NO_GO, reason, stage, run=run), print_text)
