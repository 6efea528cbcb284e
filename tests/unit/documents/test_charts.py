"""What stands in the pictures of report.html beside the lines: stages behind them, and limits across them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from sparkrelease.api.status import Phase
from sparkrelease.decide.facts import Counts
from sparkrelease.documents.files import report
from unit.decide.world import World
from unit.documents import runs

A_PIXEL = 0.25
"""Places are written with one decimal."""


@dataclass(frozen=True)
class Across:
    """A line from the left end of a picture to the right one."""

    title: str
    begin: float
    height: float
    end: float


@dataclass(frozen=True)
class Picture:
    """One SVG of the page."""

    root: ET.Element

    def bands(self) -> list[tuple[str, float, float]]:
        """Title, begin and end of the stages behind the lines; each as high as the picture's frame."""
        rects = [one for group in self.root.iter("g") if "band" in group.get("class", "").split() for one in group]
        assert {(one.get("y"), one.get("height")) for one in rects} <= {("8", str(self._frame_height()))}
        places = [(float(one.get("x", "nan")), float(one.get("width", "nan"))) for one in rects]
        return [
            (one.findtext("title", ""), begin, begin + width) for one, (begin, width) in zip(rects, places, strict=True)
        ]

    def across(self, look: str) -> list[Across]:
        """The lines of that class."""
        found = []
        for path in self.root.iter("path"):
            if path.get("class") == look:
                for begin, height, end in re.findall(r"M([\d.]+) ([\d.]+)H([\d.]+)", path.get("d", "")):
                    found.append(Across(path.findtext("title", ""), float(begin), float(height), float(end)))
        return found

    def texts(self) -> list[str]:
        return [text for one in self.root.iter("text") if (text := one.text)]

    def height_of(self, percent: float) -> float:
        """Where a share stands, by what is written beside the grid lines."""
        labels = [one for one in self.root.iter("text") if one.get("class") == "end" and str(one.text).endswith("%")]
        (low, lower), *_, (high, higher) = (
            (float(str(one.text).rstrip(" %")), float(one.get("y", "nan")) - 4) for one in labels
        )
        return lower + (higher - lower) * (percent - low) / (high - low)

    def _frame_height(self) -> int:
        return int(self.root.get("viewBox", "").split()[3]) - 28


@pytest.fixture(scope="module")
def pictures() -> dict[str, Picture]:
    """Those of a run that turned bad amid its second stage, by their class: `wide`, `narrow`, and `small` for http."""
    world = World()
    world.reach(25)
    world.run_for(30)
    world.reading = Counts(500, 1000)
    world.run_for(60, until=Phase.ROLLED_BACK)
    entries = world.stored()
    page = report(entries, runs.chain_of(entries))[0]
    found = [Picture(ET.fromstring(text)) for text in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]
    assert len(found) == 3
    return {str(one.root.get("class")).removeprefix("chart "): one for one in found}


@pytest.mark.parametrize("which", ["wide", "narrow", "small"])
def test_every_stage_of_the_run_stands_behind_every_picture(pictures: dict[str, Picture], which: str) -> None:
    bands = pictures[which].bands()
    assert [title for title, _, _ in bands] == ["one: canary 1 %", "quarter: canary 25 %"]
    left, right = pictures[which].across("grid")[0].begin, pictures[which].across("grid")[0].end
    assert bands[0][1] == pytest.approx(left, abs=A_PIXEL)
    assert bands[-1][2] == pytest.approx(right, abs=A_PIXEL), "the run ended with its last stage"
    assert all(before[2] == pytest.approx(after[1], abs=A_PIXEL) for before, after in pairwise(bands))
    assert all(end - begin > 1 for _, begin, end in bands)


@pytest.mark.parametrize("which", ["wide", "narrow"])
def test_a_stage_that_has_room_is_named_in_the_picture_of_the_weight(pictures: dict[str, Picture], which: str) -> None:
    assert "one" in pictures[which].texts()


@pytest.mark.parametrize(
    ("kind", "title", "percent"), [("threshold", "errors: ≤ 1 %", 1), ("trigger", "burst (rollback): > 5 %", 5)]
)
def test_a_limit_is_a_line_across_the_picture_of_its_metric_at_its_value(
    pictures: dict[str, Picture], kind: str, title: str, percent: float
) -> None:
    picture = pictures["small"]
    (limit,) = picture.across(f"limit {kind}")
    grid = picture.across("grid")[0]
    assert limit.title == title
    assert (limit.begin, limit.end) == (grid.begin, grid.end)
    assert limit.height == pytest.approx(picture.height_of(percent), abs=A_PIXEL)


def test_the_limit_that_decided_is_named_at_its_line(pictures: dict[str, Picture]) -> None:
    assert "errors: ≤ 1 %" in pictures["small"].texts()
