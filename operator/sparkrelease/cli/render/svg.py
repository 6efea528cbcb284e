"""Small charts as SVG: a frame with axes, lines, bands and marks. The same input gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree import ElementTree as ET

from sparkrelease.documents.drawing import Axis

INK, FAINT, PAPER = "#1f2933", "#9aa5b1", "#ffffff"
GRID = "#e4e7eb"
BANDS = ("#f5f7fa", "#e9eef3")
GREEN, BLUE, AMBER, RED, VIOLET = "#2f855a", "#2b6cb0", "#b7791f", "#c53030", "#6b46c1"

_FONT = 'ui-sans-serif, system-ui, "DejaVu Sans", Helvetica, Arial, sans-serif'
_TICKS = 5
_GAP = 14
"""Pixels between an axis and what is written beside it."""
_LETTER = 6.4
"""Pixels of a letter in small print, about."""


class Drawing:
    """A picture of a fixed size, in pixels."""

    def __init__(self, width: int, height: int, title: str) -> None:
        size = {"width": str(width), "height": str(height), "viewBox": f"0 0 {width} {height}"}
        self._root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size, "font-family": _FONT})
        ET.SubElement(self._root, "title").text = _clean(title)
        self.shape("rect", x=0, y=0, width=width, height=height, fill=PAPER)

    def shape(self, tag: str, **attributes: float | str) -> ET.Element:
        """Any element; numbers are written with two decimals, `_` in names as `-`."""
        return ET.SubElement(self._root, tag, {_name(name): _number(value) for name, value in attributes.items()})

    def write(self, x: float, y: float, text: str, **attributes: float | str) -> None:
        """Text whose baseline begins there."""
        style: dict[str, float | str] = {"fill": INK, "font_size": 12}
        self.shape("text", x=x, y=y, **(style | attributes)).text = _clean(text)

    def text(self) -> str:
        """The picture as a document."""
        ET.indent(self._root, "")
        return ET.tostring(self._root, encoding="unicode") + "\n"


class Panel:
    """A frame in a drawing, with values along two axes."""

    def __init__(self, drawing: Drawing, x: Axis, y: Axis) -> None:
        self.drawing, self.x, self.y = drawing, x, y

    def frame(self, *, x_unit: str = "", y_unit: str = "", x_ticks: Sequence[float] | None = None) -> None:
        """Axes, grid lines and their values."""
        d = self.drawing
        for value in self.y.ticks(_TICKS):
            y = self.y.at(value)
            d.shape("line", x1=self.x.begin, x2=self.x.end, y1=y, y2=y, stroke=GRID)
            d.write(self.x.begin - 6, y + 4, f"{value:g}{y_unit}", text_anchor="end", fill=FAINT, font_size=11)
        for value in self.x.ticks(_TICKS) if x_ticks is None else x_ticks:
            x, text = self.x.at(value), f"{value:g}{x_unit}"
            # Beyond the frame there is little room: what would reach out of the picture ends with it.
            anchor = "end" if x + _LETTER * len(text) / 2 > self.x.end + _GAP else "middle"
            d.write(x, self.y.begin + _GAP, text, text_anchor=anchor, fill=FAINT, font_size=11)
        d.shape("line", x1=self.x.begin, x2=self.x.end, y1=self.y.begin, y2=self.y.begin, stroke=FAINT)

    def band(self, low: float, high: float, colour: str, label: str = "", *, opacity: float = 1.0) -> None:
        """A stretch of the x axis, over the whole height; the label stands at its top if it has room."""
        begin, end = self.x.at(low), self.x.at(high)
        top, height = self.y.end, self.y.begin - self.y.end
        self.drawing.shape("rect", x=begin, y=top, width=end - begin, height=height, fill=colour, fill_opacity=opacity)
        if label and end - begin > 6 * len(label):
            middle = (begin + end) / 2
            self.drawing.write(middle, top + 12, label, text_anchor="middle", fill=FAINT, font_size=11)

    def line(self, points: Iterable[tuple[float, float]], colour: str, *, stairs: bool = False, dash: str = "") -> None:
        """A line through points; with `stairs` each value holds until the next point."""
        path: list[str] = []
        last = 0.0
        for x, y in points:
            px, py = self.x.at(x), self.y.at(y)
            if stairs and path:
                path.append(f"L{px:.1f} {last:.1f}")
            path.append(f"{'L' if path else 'M'}{px:.1f} {py:.1f}")
            last = py
        if path:
            more = {"stroke_dasharray": dash} if dash else {}
            self.drawing.shape("path", d="".join(path), fill="none", stroke=colour, stroke_width=1.8, **more)

    def mark(self, x: float, colour: str, label: str = "") -> None:
        """A moment: a line from bottom to top."""
        at = self.x.at(x)
        self.drawing.shape(
            "line",
            x1=at,
            x2=at,
            y1=self.y.begin,
            y2=self.y.end,
            stroke=colour,
            stroke_width=1.5,
            stroke_dasharray="4 3",
        )
        if label:
            right = at < (self.x.begin + self.x.end) / 2
            anchor = "start" if right else "end"
            height = 0.35 * self.y.end + 0.65 * self.y.begin
            self.drawing.write(at + (5 if right else -5), height, label, fill=colour, text_anchor=anchor)

    def dots(self, points: Iterable[tuple[float, float]], colour: str) -> None:
        """A dot at each point."""
        for x, y in points:
            self.drawing.shape("circle", cx=self.x.at(x), cy=self.y.at(y), r=2.6, fill=colour)


def legend(drawing: Drawing, x: float, y: float, entries: Sequence[tuple[str, str]]) -> None:
    """Names of lines with their colours, side by side."""
    for label, colour in entries:
        drawing.shape("line", x1=x, x2=x + 18, y1=y - 4, y2=y - 4, stroke=colour, stroke_width=2.5)
        drawing.write(x + 23, y, label, font_size=11)
        x += 40 + _LETTER * len(label)


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


def _name(name: str) -> str:
    return name if name == "viewBox" else name.replace("_", "-")


def _clean(text: str) -> str:
    """Without characters that XML does not know."""
    return "".join(c if c.isprintable() else " " for c in text)
