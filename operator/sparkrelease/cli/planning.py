"""The command `plan`: asks, and prints."""

from __future__ import annotations

from sparkrelease.api.config import OperatorConfig
from sparkrelease.cli.exits import ExitCode
from sparkrelease.cli.manifests import Manifest
from sparkrelease.cli.options import Format
from sparkrelease.cli.plan import plan_release
from sparkrelease.cli.render.planned import describe_planned, render_planned
from sparkrelease.cli.screen import WIDE, print_data, print_text
from sparkrelease.ports.cluster import ObjectKey


def show_plan(target: Manifest, config: OperatorConfig, form: Format, *, ask: bool) -> ExitCode:
    """Prints every query of the release; `ask`: and what each answers now."""
    planned = plan_release(ObjectKey(target.namespace, target.name), target.spec, config, ask=ask)
    if form is Format.TEXT:
        print_text(render_planned(planned), piped_width=WIDE)
    else:
        print_data(describe_planned(planned), form)
    return planned.code
