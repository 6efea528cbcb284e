"""A message as an Adaptive Card, for the webhook of a Microsoft Teams workflow.

Text from a cluster stands in text runs: unlike a TextBlock, a TextRun reads no Markdown, so no link comes of it.
Source: adaptivecards.io, schema 1.4; Teams refuses cards over 28 KB.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sparkrelease.adapters.notify.words import facts, headline, shorten
from sparkrelease.decide.notices import Notice

SENTENCE, FACT = 2000, 600
"""Characters of the message and of a fact."""

_SCHEMA = "http://adaptivecards.io/schemas/adaptive-card.json"


def body(notice: Notice, cluster: str) -> dict[str, object]:
    """The JSON that the workflow's trigger takes."""
    title = {"text": shorten(headline(notice, cluster), FACT), "weight": "Bolder", "size": "Medium"}
    lines = [_line([title | _tone(notice)]), _line([{"text": shorten(notice.message, SENTENCE)}])]
    for name, text in facts(notice):
        lines.append(_line([{"text": f"{name}: ", "weight": "Bolder"}, {"text": shorten(text, FACT)}], spacing="Small"))
    lines.append(_line([{"text": notice.command, "fontType": "Monospace"}]))
    card = {
        "$schema": _SCHEMA,
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": lines,
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _line(runs: Sequence[Mapping[str, object]], **more: object) -> dict[str, object]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", **run} for run in runs], **more}


def _tone(notice: Notice) -> dict[str, str]:
    return {"color": "Attention" if notice.warning else "Good"}
