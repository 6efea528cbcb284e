"""What each kind of target is sent: the figures, within its limits, and nothing a cluster's text could smuggle in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.adapters.notify import cloudevents, slack, teams
from sparkrelease.api.notifications import Topic
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import EvidenceStatus
from unit.notify.sample import RULE, notice

if TYPE_CHECKING:
    from collections.abc import Callable

    from sparkrelease.decide.notices import Notice

ANY_TEXT = st.text(max_size=9000)
NASTY = "<!channel> <https://evil.example|log in> `x` *y* [click](https://evil.example) \x1b[31m & done"


def test_slack_gets_the_figures_in_block_kit() -> None:
    assert slack.body(notice(), "prod-1") == {
        "text": "shop/web v3 rolled back (cluster prod-1): burst: http 52.3% (34/65) &gt; 0.05; "
        "traffic back on stable after 0.21 s",
        "blocks": [
            {
                "type": "header",
                "text": {"type": "plain_text", "text": "shop/web v3 rolled back (cluster prod-1)", "emoji": False},
            },
            section("```burst: http 52.3% (34/65) &gt; 0.05; traffic back on stable after 0.21 s```"),
            {
                "type": "section",
                "fields": [
                    text("*Rule*\n`burst Fail: 52.3% (34/65); limit &gt; 5%`"),
                    text("*Canary weight*\n`25 % → 0 %`"),
                    text("*Back on stable after*\n`0.21 s`"),
                    text("*Stage*\n`quarter`"),
                    text("*Run*\n`v3-6c1f0a`"),
                    text("*Reason*\n`RolledBack`"),
                    text("*At*\n`2026-11-26 12:00:00 UTC`"),
                    text("*Evidence*\n`sha256:8f3a (9 entries)`"),
                ],
            },
            {"type": "context", "elements": [text("`kubectl sparkrelease status web -n shop`")]},
        ],
    }


def text(words: str) -> dict[str, object]:
    return {"type": "mrkdwn", "text": words, "verbatim": True}


def section(words: str) -> dict[str, object]:
    return {"type": "section", "text": text(words)}


def test_slack_acts_upon_nothing_that_stands_in_a_message() -> None:
    sent = json.dumps(slack.body(notice(message=NASTY, rules=(RULE, RULE)), NASTY), ensure_ascii=False)
    assert "<" not in sent and "\x1b" not in sent
    quoted = sent.split("```")[1]
    assert "`" not in quoted and "*y*" in quoted, "within back quotes nothing is formatted, and nothing ends them"


@given(message=ANY_TEXT, value=ANY_TEXT, cluster=st.text(max_size=63), rules=st.integers(0, 10))
def test_slack_takes_every_message(message: str, value: str, cluster: str, rules: int) -> None:
    many = tuple(type(RULE)(RULE.rule, RULE.verdict, value, value, message) for _ in range(rules))
    blocks: list[Any] = slack.body(notice(message=message, rules=many), cluster)["blocks"]  # type: ignore[assignment]
    assert len(blocks) <= 50
    for block in blocks:
        fields = block.get("fields", [])
        assert len(fields) <= slack.FIELDS and all(len(field["text"]) <= slack.FIELD for field in fields)
        if block["type"] == "header":
            assert 0 < len(block["text"]["text"]) <= slack.HEADER
        if block["type"] == "section" and not fields:
            assert len(block["text"]["text"]) <= slack.SECTION


def test_teams_gets_an_adaptive_card_whose_text_reads_no_markdown() -> None:
    sent: Any = teams.body(notice(message=NASTY), "")
    (attachment,) = sent["attachments"]
    assert (sent["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert {block["type"] for block in card["body"]} == {"RichTextBlock"}, "a TextBlock would read Markdown"
    lines = ["".join(run["text"] for run in block["inlines"]) for block in card["body"]]
    assert lines[0] == "shop/web v3 rolled back"
    assert "[click](https://evil.example)" in lines[1] and "\x1b" not in lines[1]
    assert lines[2:] == [
        "Rule: burst Fail: 52.3% (34/65); limit > 5%",
        "Canary weight: 25 % → 0 %",
        "Back on stable after: 0.21 s",
        "Stage: quarter",
        "Run: v3-6c1f0a",
        "Reason: RolledBack",
        "At: 2026-11-26 12:00:00 UTC",
        "Evidence: sha256:8f3a (9 entries)",
        "kubectl sparkrelease status web -n shop",
    ]


def test_teams_takes_the_largest_message_there_is() -> None:
    rule = type(RULE)("r" * 80, RULE.verdict, "ü" * 64, "ü" * 500, "ü" * 512)
    sent = teams.body(notice(message="ü" * 9000, rules=(rule,) * 10), "c" * 63)
    assert len(json.dumps(sent, ensure_ascii=False).encode()) < 28_000


def test_a_webhook_gets_a_cdevent_for_what_cdevents_knows() -> None:
    sent: Any = cloudevents.body(notice(), "prod-1")
    assert {key: sent[key] for key in sent if key != "data"} == {
        "specversion": "1.0",
        "id": "5f2b0c9a7d3e41f8a6b1c2d3e4f50617",
        "source": "//prod-1/apis/sparkrelease.dev/v1alpha1/namespaces/shop/sparkreleases/web",
        "type": "dev.cdevents.service.rolledback.0.2.0",
        "subject": "web",
        "time": "2026-11-26T12:00:00.000Z",
        "datacontenttype": "application/json",
    }
    data = sent["data"]
    context = {"version": "0.4.1", "id": sent["id"], "source": sent["source"], "type": sent["type"]}
    assert data["context"] == context | {"timestamp": sent["time"]}
    assert data["subject"] == {
        "id": "web",
        "source": sent["source"],
        "type": "service",
        "content": {"environment": {"id": "prod-1/shop"}, "artifactId": "pkg:generic/web@v3"},
    }
    assert data["customData"] == DATA | {"cluster": "prod-1"}
    assert set(data) == {"context", "subject", "customData", "customDataContentType"}, "the schema allows no other"


DATA = {
    "topic": "rollback",
    "reason": "RolledBack",
    "warning": True,
    "message": "burst: http 52.3% (34/65) > 0.05; traffic back on stable after 0.21 s",
    "namespace": "shop",
    "release": "web",
    "uid": "uid-1",
    "version": "v3",
    "run": "v3-6c1f0a",
    "phase": "RolledBack",
    "stage": "quarter",
    "rules": [
        {
            "rule": "burst",
            "verdict": "Fail",
            "value": "52.3% (34/65)",
            "limit": "> 5%",
            "message": "burst: http 52.3% (34/65) > 0.05",
        }
    ],
    "canaryWeightBefore": 25.0,
    "canaryWeight": 0.0,
    "rollbackSeconds": 0.21,
    "evidence": {"head": "sha256:8f3a", "entries": 9},
    "command": "kubectl sparkrelease status web -n shop",
    "again": False,
}


def test_a_webhook_gets_a_plain_cloudevent_for_the_rest() -> None:
    sent: Any = cloudevents.body(notice(topic=Topic.GATE, reason=Reason.GATE_PASSED), "")
    assert (sent["type"], sent["subject"]) == ("dev.sparkrelease.gate.v1", "v3-6c1f0a")
    assert sent["source"] == "/apis/sparkrelease.dev/v1alpha1/namespaces/shop/sparkreleases/web"
    assert sent["data"] == DATA | {"topic": "gate", "reason": "GatePassed"}


@pytest.mark.parametrize("form", [slack.body, teams.body, cloudevents.body])
def test_what_is_not_known_is_left_out(form: Callable[[Notice, str], object]) -> None:
    bare = notice(version="", run="", stage="", rules=(), weight_before=None, seconds=None, evidence=EvidenceStatus())
    said = json.dumps(form(bare, ""))
    assert "None" not in said and "Back on stable" not in said
