"""The page's charts: what the rules lose, and four runs as they were."""

from __future__ import annotations

from collections.abc import Iterator

from bench.verdicts.cells import ERRORS, HEALTHY, LATE, MAIN, RATES, SLOWER, Cell, of_cell, traffic
from bench.verdicts.engine import OURS, Numpy
from bench.verdicts.figures import Figures
from bench.verdicts.goals import times
from bench.verdicts.others import ORACLE, RULES
from sparkrelease.cli.render import svg
from sparkrelease.cli.render.simulated import draw_runs
from sparkrelease.documents.drawing import Axis
from sparkrelease.simulate.outcome import Summary
from sparkrelease.simulate.run import Setting, simulate

PEERS = (*RULES[:-2], *OURS)

_COLOURS = (
    *("#8d6e63", "#b7791f", "#6b46c1", "#9aa5b1"),
    *("#1a365d", "#2b6cb0", "#63b3ed", "#90cdf4"),
    *("#c53030", "#f687b3"),
)


def lost(main: Figures) -> str:
    """Requests lost, as multiples of the oracle's, over the error rate, at 50 and 500 requests/s."""
    drawing = svg.Drawing(960, 440, "Failed requests until rollback, as multiples of the oracle's")
    for place, rps in enumerate(RATES[1:]):
        left = 70 + 460 * place
        panel = svg.Panel(drawing, Axis(0.4, 25, left, left + 400, log=True), Axis(1, 10_000, 320, 60, log=True))
        panel.frame(y_unit="x", x_ticks=())
        for scenario in ERRORS:
            share = 100 * (scenario.errors or 0)
            drawing.write(panel.x.at(share), 336, f"{share:g} %", text_anchor="middle", font_size=11, fill=svg.FAINT)
        drawing.write(left, 44, f"{rps:g} requests/s", font_size=13, font_weight="bold")
        for rule, colour in zip(PEERS, _COLOURS, strict=True):
            points = list(_points(main, rule, rps))
            panel.line(points, colour)
            panel.dots(points, colour)
    for place, (rule, colour) in enumerate(zip(PEERS, _COLOURS, strict=True)):
        svg.legend(drawing, 70 + 220 * (place % 4), 370 + 22 * (place // 4), [(rule, colour)])
    drawing.write(70, 22, "Failed requests until rollback, as multiples of the oracle's, by canary's error rate")
    return drawing.text()


def _points(main: Figures, rule: str, rps: float) -> Iterator[tuple[float, float]]:
    for scenario in ERRORS:
        rules = main.get(Cell(scenario, rps).name, {})
        if rule in rules and ORACLE in rules:
            yield 100 * (scenario.errors or 0), max(1.0, times(rules[rule], rules[ORACLE]))


def stories() -> str:
    """One run each of a weak defect, a late one, a slow canary and an incident."""
    cells = [Cell(ERRORS[2], 50.0), Cell(LATE, 50.0), Cell(SLOWER[1], 50.0), Cell(HEALTHY[2], 50.0, control=True)]
    summaries = []
    for cell in cells:
        setting = Setting(of_cell(cell), cell.scenario, traffic(cell, MAIN))
        summaries.append(Summary(cell.scenario, (simulate(setting, MAIN.seed, chance=Numpy(MAIN.seed), story=True),)))
    return draw_runs("50 requests/s, scraped every 15 s", summaries)
