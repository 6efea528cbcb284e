"""The templates, and how a value gets into them: whatever evidence holds is text, never markup.

Pages are escaped by the library. In text files a value never breaks its line. In Markdown everything that would be
read as markup, HTML among it, is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cache

import jinja2
from markupsafe import Markup

from sparkrelease.decide.evidence import Entry
from sparkrelease.documents import words
from sparkrelease.documents.visits import is_rollback

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~&$!])")
_LINKS = re.compile(r"://|\bwww\.", re.IGNORECASE)
_LIST = re.compile(r"^([-+]|\d+[.)])(?=\s)")

_GONE_WELL = frozenset({"GatePassed", "Promoted", "Settled"})
_GONE_WRONG = frozenset({"RolledBack", "GateFailed", "SettleBreached", "CanaryChanged"})

_WORDS: dict[str, Callable[..., object]] = {
    "when": words.when,
    "exact": words.exact,
    "clock": words.clock,
    "span": words.span,
    "seconds": words.seconds,
    "percent": words.percent,
    "given": words.given,
    "value": words.value,
    "kind_of": words.kind_of,
    "count": words.count,
    "help_of": words.help_of,
    "shortened": words.shortened,
    "plain": words.plain,
    "times": words.times,
}


class Ready(str):
    """Text that was made for the document, line breaks and all, and is put in as it is."""

    __slots__ = ()


def px(number: float) -> str:
    """A place in a picture."""
    return f"{number:.1f}".removesuffix(".0")


def tone_of(entry: Entry) -> str:
    """How an entry is coloured."""
    if entry.kind in _GONE_WRONG or is_rollback(entry):
        return "bad"
    return "good" if entry.kind in _GONE_WELL else "quiet" if entry.kind == "Checkpoint" else ""


def columns(rows: Sequence[Sequence[object]]) -> Ready:
    """A table for a text file."""
    return Ready(words.columns([[str(cell) for cell in row] for row in rows]))


def code(text: str) -> Ready:
    """Something to type, in Markdown."""
    return Ready(f"`{words.clean(text).replace('`', '')}`")


def markdown(text: str) -> str:
    """The text on one line, with everything escaped that Markdown or HTML inside it would read as markup."""
    inert = _SPECIAL.sub(r"\\\1", words.clean(text))
    inert = _LINKS.sub(lambda found: found[0][:-1] + "\\" + found[0][-1], inert)
    return _LIST.sub(lambda found: found[1][:-1] + "\\" + found[1][-1], inert)


def render(name: str, **values: object) -> str:
    """A document from the template of that name; its ending says what kind of text it is.

    Names are those of the files in `templates/`, without `.j2`.
    """
    environment = {"html": _pages, "md": _notes}.get(name.rpartition(".")[2], _texts)()
    return environment.get_template(f"{name}.j2").render(values)


@cache
def _pages() -> jinja2.Environment:
    return _environment(_clean, autoescape=True)


@cache
def _texts() -> jinja2.Environment:
    return _environment(_clean, autoescape=False)


@cache
def _notes() -> jinja2.Environment:
    return _environment(_escaped, autoescape=False)


def _environment(finalize: Callable[[object], object], *, autoescape: bool) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sparkrelease.documents"),
        autoescape=autoescape,  # noqa: S701 - text and Markdown have no HTML of their own, and escape what they are given
        finalize=finalize,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(_WORDS, columns=columns, code=code, px=px, tone_of=tone_of, unknown=words.UNKNOWN)
    return environment


def _clean(value: object) -> object:
    """One clean line of whatever is not made for the document."""
    if isinstance(value, Ready | Markup):
        return value
    return words.clean(_text(value))


def _escaped(value: object) -> object:
    return value if isinstance(value, Ready) else markdown(_text(value))


def _text(value: object) -> str:
    """The value as text; what has a form of its own in documents must be given in it."""
    if isinstance(value, float | datetime | timedelta) or value is None:
        raise TypeError(f"{value!r} goes into a document by a word for it")
    return str(value)
