"""The page in a real browser: nothing runs, nothing is loaded, nothing sticks out, on a phone and on a desk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sparkrelease.documents.files import report
from testbed.browser import Browser, browser, browser_or_skip
from unit.documents import runs

pytestmark = pytest.mark.slow

WIDTHS = (360, 1440)

STICKS_OUT = """
[...document.querySelectorAll('body *')].filter(one => {
  const box = one.getBoundingClientRect();
  const heard = one.closest('.sr, thead');  // for those who hear the page, where it is not seen
  const unseen = one.closest('.scroll, svg') || (heard && getComputedStyle(heard).clipPath !== 'none');
  return !unseen && box.width > 0 && (box.right > innerWidth + 1 || box.left < -1);
}).map(one => one.outerHTML.slice(0, 120))
"""


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    program = browser_or_skip()
    with browser(program) as page:
        yield page


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A promoted run, a rolled-back one, a hostile one, and one with the longest names."""
    hostile = runs.rechained(
        runs.by_command(reason=runs.HOSTILE[:500]), release=f"shop/{runs.HOSTILE}", message=runs.HOSTILE * 3
    )
    made = {"good": runs.settled(), "bad": runs.rolled_back(), "hostile": hostile, "long": runs.largest()}
    folder = tmp_path_factory.mktemp("pages")
    files = {}
    for name, entries in made.items():
        files[name] = folder / f"{name}.html"
        files[name].write_text(report(entries, runs.chain_of(entries))[0], encoding="utf-8")
    return files


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["good", "bad", "hostile", "long"])
def test_nothing_sticks_out_and_nothing_is_refused(
    window: Browser, pages: dict[str, Path], name: str, width: int, dark: bool
) -> None:
    window.said.clear()
    window.open(pages[name], width=width, dark=dark)
    assert window.run("document.documentElement.scrollWidth") == width
    assert window.run(STICKS_OUT) == []
    assert window.said == []


def test_the_page_is_styled_although_it_allows_its_own_style_alone(window: Browser, pages: dict[str, Path]) -> None:
    window.open(pages["good"], width=1440)
    light = window.run("getComputedStyle(document.body).backgroundColor")
    window.open(pages["good"], width=1440, dark=True)
    assert (light, light != window.run("getComputedStyle(document.body).backgroundColor")) == (
        "rgb(244, 246, 248)",
        True,
    )


def test_hostile_text_runs_nothing_and_loads_nothing(window: Browser, pages: dict[str, Path]) -> None:
    window.requests.clear()
    window.open(pages["hostile"], width=1440)
    window.run("1")
    assert window.dialogs == 0
    assert set(window.requests) == {pages["hostile"].resolve().as_uri()}
    assert window.run("document.scripts.length") == 0
    assert window.run("document.title").count("<script>") == 1
    assert "<script>alert(1)</script>" in window.run("document.querySelector('.eyebrow').textContent")


def test_the_policy_refuses_what_would_have_slipped_through_an_escaper(window: Browser, tmp_path: Path) -> None:
    entries = runs.settled()
    page = report(entries, runs.chain_of(entries))[0]
    slipped = page.replace(
        "<h2>", '<img src="https://evil.example/x"><script>alert(1)</script><h2 style="color:red">', 1
    )
    file = tmp_path / "slipped.html"
    file.write_text(slipped, encoding="utf-8")
    window.said.clear()
    window.open(file, width=1440)
    window.run("1")
    assert window.dialogs == 0
    assert len([one for one in window.said if "Content Security Policy" in one]) >= 3


@pytest.mark.parametrize("name", ["good", "bad"])
def test_it_prints(window: Browser, pages: dict[str, Path], name: str) -> None:
    window.open(pages[name], width=1440)
    printed = window.printed()
    assert printed.startswith(b"%PDF") and 1 <= printed.count(b"/Type /Page\n") <= 5


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_limits_and_stages_are_drawn_so_that_they_are_seen(window: Browser, pages: dict[str, Path], dark: bool) -> None:
    window.open(pages["bad"], width=1440, dark=dark)
    look = "(what, part) => [...document.querySelectorAll(what)].map(one => getComputedStyle(one)[part])"
    card = window.run("getComputedStyle(document.querySelector('figure')).backgroundColor")
    for kind in ("threshold", "trigger"):
        (stroke,) = window.run(f"({look})('.limit.{kind}', 'stroke')")
        assert stroke not in ("none", card)
    window.open(pages["good"], width=1440, dark=dark)
    bands = window.run(f"({look})('.chart.small .band rect', 'fill')")
    assert len(bands) >= 3 and len(set(bands)) == 2, "every other stage stands out"
    assert bands[0] not in ("none", card)
