"""`python -m demo`: brings a cluster up, tells the story, prints what happened; exit code 0 only if all of it held."""

from __future__ import annotations

import io
import re
import sys
import time
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from demo.story import RATE, STAGES, Result, Story
from testbed import session
from testbed.shop import Shop

GOAL_SECONDS = 1.0
"""From decision to route."""


class Screen:
    """Draws where the release is, at most ten times a second; one line per stage where there is no terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.live = Live(console=console, refresh_per_second=10, transient=True)
        self._told = ""

    def show(self, shop: Shop, chapter: str) -> None:
        status = shop.status
        weight = float((status.get("weight") or {}).get("observed") or 0)
        share = (status.get("weight") or {}).get("measuredShare")
        phase = str(status.get("phase", "Pending"))
        line = f"{chapter}: {phase}, canary weight {weight:g} %"
        if not self.console.is_terminal:
            if line != self._told:
                self.console.print(line)
                self._told = line
            return
        bar = ProgressBar(total=100, completed=weight, width=50, complete_style="green", finished_style="green")
        measured = f"measured {share:.1f} %" if isinstance(share, int | float) else "not measured yet"
        self.live.update(Panel(Group(Text(line), bar, Text(measured, style="dim")), title="SparkRelease", width=72))


def summary(results: list[Result], seconds: float) -> Table:
    """One column per release; fits 80 characters."""
    good, bad = results
    table = Table(title=f"Two releases in {seconds:.0f} s, {RATE:.0f} requests/s through a real gateway", min_width=72)
    table.add_column("")
    table.add_column(f"good release {good.version}", style="green")
    table.add_column(f"bad release {bad.version}", style="red")
    rows = (
        ("ended", good.phase, bad.phase),
        ("highest canary weight", f"{good.highest:g} %", f"{bad.highest:g} %"),
        ("client requests", str(good.requests), str(bad.requests)),
        (
            "failed, answered by the canary",
            str(good.failed - good.failed_elsewhere),
            str(bad.failed - bad.failed_elsewhere),
        ),
        ("failed otherwise", str(good.failed_elsewhere), str(bad.failed_elsewhere)),
        ("breaching scrape to weight 0", "-", _seconds(bad.breach_seconds)),
        ("decision to weight 0", "-", _seconds(bad.decision_seconds)),
        ("evidence", f"{good.entries} entries {good.evidence}", f"{bad.entries} entries {bad.evidence}"),
    )
    for row in rows:
        table.add_row(*row)
    return table


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


def faults(results: list[Result]) -> list[str]:
    """What did not go as promised."""
    good, bad = results
    found = []
    if good.phase != "Succeeded" or good.highest != STAGES[-1]["weight"]:
        found.append(f"the good release ended {good.phase} at {good.highest:g} %")
    if good.failed:
        found.append(f"{good.failed} client requests failed during the good release")
    if bad.phase != "RolledBack":
        found.append(f"the bad release ended {bad.phase}")
    if bad.failed_elsewhere:
        found.append(f"{bad.failed_elsewhere} requests failed that the bad canary had not answered")
    if bad.breach_seconds is None or bad.breach_seconds > GOAL_SECONDS:
        found.append(f"the rollback took {_seconds(bad.breach_seconds)} from the scrape that showed the breach")
    if bad.decision_seconds is None or bad.decision_seconds > GOAL_SECONDS:
        found.append(f"the rollback took {_seconds(bad.decision_seconds)} from its decision")
    found += [f"evidence of {r.version}: {r.evidence}" for r in results if r.evidence != "verified"]
    return found


def tell(console: Console, results: list[Result], seconds: float) -> list[str]:
    """Prints what happened; answers what did not go as promised."""
    console.print(summary(results, seconds))
    console.print(f"Why {results[1].version} went back: {results[1].sentence}")
    wrong = faults(results)
    for sentence in wrong:
        console.print(f"[red]not as promised:[/] {sentence}")
    if not wrong:
        console.print("[green]As promised:[/] the good release is on stable, the bad one is back at 0 %.")
    return wrong


def picture(file: Path, results: list[Result], seconds: float) -> None:
    """Draws the closing screen of this run as SVG, without the fonts that rich would have a browser load."""
    console = Console(file=io.StringIO(), record=True, width=78, force_terminal=True, highlight=False)
    tell(console, results, seconds)
    frame = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    console.save_svg(str(file), title="make demo", code_format=frame)


def main() -> int:
    """Runs the demo. An argument `--picture FILE` also draws the closing screen."""
    console = Console(highlight=False)
    session.prepare()
    begin = time.monotonic()
    screen = Screen(console)
    with session.running() as cluster:
        console.print(f"Cluster up after {time.monotonic() - begin:.1f} s: API server, Contour and Envoy, Prometheus.")
        start = time.monotonic()
        story = Story(cluster, screen.show)
        if console.is_terminal:
            with screen.live:
                results = story.tell()
        else:
            results = story.tell()
        seconds = time.monotonic() - start
    wrong = tell(console, results, seconds)
    if sys.argv[1:2] == ["--picture"]:
        picture(Path(sys.argv[2]), results, seconds)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
