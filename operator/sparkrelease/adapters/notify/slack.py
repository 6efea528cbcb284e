"""A message in Slack's Block Kit, within Slack's limits, with nothing in it that Slack would act upon.

Limits and escaping: docs.slack.dev, reference of blocks and of text objects.
"""

from __future__ import annotations

from sparkrelease.adapters.notify.words import facts, headline, shorten
from sparkrelease.decide.notices import Notice

HEADER, SECTION, FIELD, FIELDS = 150, 3000, 2000, 10
"""Most characters of a header, of a section's text and of a field; most fields of a section."""

SENTENCE = 2000
"""Most characters of the message itself."""

_LONGEST_FACT = 350
"""Characters of a fact before it is escaped, which makes at most five of one."""


def escape(text: str) -> str:
    """The text as Slack shows it: no mention, no link, no channel comes of it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def body(notice: Notice, cluster: str) -> dict[str, object]:
    """The JSON that an incoming webhook takes."""
    title = headline(notice, cluster)
    fields = [_mrkdwn(f"*{escape(name)}*\n`{_code(shorten(text, _LONGEST_FACT))}`") for name, text in facts(notice)]
    blocks: list[dict[str, object]] = [
        {"type": "header", "text": {"type": "plain_text", "text": _bounded(title, HEADER), "emoji": False}},
        {"type": "section", "text": _mrkdwn(f"```{_bounded(_unquoted(notice.message), SENTENCE)}```")},
    ]
    blocks += [{"type": "section", "fields": fields[start : start + FIELDS]} for start in range(0, len(fields), FIELDS)]
    blocks.append({"type": "context", "elements": [_mrkdwn(f"`{_code(notice.command)}`")]})
    return {"text": _bounded(f"{title}: {notice.message}", SENTENCE), "blocks": blocks}


def _bounded(text: str, most: int) -> str:
    """The text escaped, and as much of it as fits."""
    short = shorten(text, most)
    while len(escape(short)) > most:
        short = shorten(short, len(short) * 3 // 4)
    return escape(short)


def _code(text: str) -> str:
    """Text to stand within back quotes, where nothing is formatted."""
    return escape(_unquoted(text))


def _unquoted(text: str) -> str:
    """A back quote would end what stands within them."""
    return text.replace("`", "'")


def _mrkdwn(text: str) -> dict[str, object]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}
