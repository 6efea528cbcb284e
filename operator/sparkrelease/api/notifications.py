"""Who is told what: the topics a release can have told, and the targets an administrator declares for them."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from sparkrelease.api.base import Documented, SpecModel
from sparkrelease.api.rules import LIST_TYPE
from sparkrelease.api.scalars import FilePath, Name, ObjectName, ShortSpan


class Topic(StrEnum):
    """What a message is about."""

    START = "start"
    STAGE = "stage"
    GATE = "gate"
    COMMAND = "command"
    BLOCKED = "blocked"
    ALERT = "alert"
    WARNING = "warning"
    ROLLBACK = "rollback"
    PROMOTED = "promoted"
    END = "end"


USUAL_TOPICS = frozenset({Topic.BLOCKED, Topic.ALERT, Topic.ROLLBACK, Topic.PROMOTED, Topic.END})
"""What is told where a release does not say."""


def _each_once(topics: tuple[Topic, ...]) -> tuple[Topic, ...]:
    if len(set(topics)) != len(topics):
        raise ValueError("a topic is given twice")
    return topics


class Notification(SpecModel):
    """A target and its topics."""

    target: Name = Field(description="Target declared to the operator.")
    on: Annotated[tuple[Topic, ...], AfterValidator(_each_once)] = Field(
        default=(),
        max_length=len(Topic),
        description="What it is told; if empty: blocked, alert, rollback, promoted, end.",
        json_schema_extra={LIST_TYPE: "set"},
    )

    @property
    def name(self) -> str:
        """What a release's list is merged over its policy's by."""
        return self.target

    @property
    def topics(self) -> frozenset[Topic]:
        """What the target is told."""
        return frozenset(self.on) or USUAL_TOPICS


# ---------------------------------------------------------------- what only an administrator says


class TargetKind(Documented):
    """What listens at a target, and so the form of what is sent."""

    SLACK = "slack", "An incoming webhook of Slack; the message is in Block Kit."
    TEAMS = "teams", "The webhook of a Microsoft Teams workflow; the message is an Adaptive Card."
    WEBHOOK = "webhook", "Any server; the message is a CloudEvent in JSON, a CDEvent where one fits."


_ADDRESS = r"^https?://[^\s]+$"


class NotificationTarget(SpecModel):
    """One place that releases may have told. Secrets come from files, read again for every message."""

    kind: TargetKind = Field(description="What listens there.")
    url: str | None = Field(
        default=None, pattern=_ADDRESS, max_length=2048, description="Address of a webhook; not for Slack and Teams."
    )
    url_file: FilePath | None = Field(
        default=None,
        description="File with the address; the only way for Slack and Teams, whose addresses are secrets.",
    )
    secret_file: FilePath | None = Field(
        default=None,
        description="File with the key a webhook's messages are signed with; a second line is a second key, for the "
        "time of a change.",
    )
    ca_file: FilePath | None = Field(default=None, description="Certificate authority of the target.")
    timeout: ShortSpan = Field(default=timedelta(seconds=10), description="Longest wait for an answer.")
    give_up_after: ShortSpan = Field(
        default=timedelta(minutes=15), description="A message older than this is not tried again."
    )
    queue: int = Field(default=100, ge=1, le=10_000, description="Messages that may wait; the oldest makes way.")
    namespaces: tuple[ObjectName, ...] = Field(
        default=(), description="Namespaces whose releases may name it; all if empty."
    )

    @model_validator(mode="after")
    def _follows_rules(self) -> Self:
        if (self.url is None) == (self.url_file is None):
            raise ValueError("give the address either in url or by urlFile")
        if self.kind is not TargetKind.WEBHOOK and self.url is not None:
            raise ValueError("the address of Slack or Teams is a secret; put it into a file and name that in urlFile")
        if self.kind is not TargetKind.WEBHOOK and self.secret_file is not None:
            raise ValueError("only a webhook's messages are signed; take secretFile away")
        return self
