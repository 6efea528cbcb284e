"""What people sign: a ReleaseApproval, and the signatures a release asks for."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic.config import JsonDict

from sparkrelease.api import rules
from sparkrelease.api.base import Documented, Duration, SpecModel
from sparkrelease.api.rules import LIST_TYPE, Rule
from sparkrelease.api.scalars import Name, ObjectName


class Decision(Documented):
    """What a person says of a run."""

    GO = "GO", "The run may go on."
    NO_GO = "NO-GO", "The run ends: before its first weight as Blocked, after it by a rollback."


class Override(Documented):
    """What else a signature lifts."""

    FREEZE = "freeze", "The freeze of releases whose error budget is spent."


EXPIRY_PATTERN = r"^([1-9][0-9]{0,4}(h|m|s|ms)){1,4}$"
"""A duration of which no part is nothing, so that bounds need no rule of their own."""

UNCHANGED = Rule("self == oldSelf", "a signature never changes; sign anew, or delete it")
ITEMS_OR_STAGE = Rule(
    "!has(self.stage) || !has(self.items)", "items belong to the go/no-go; give items or stage", ".items"
)
REASON_FOR_NO_GO = Rule(
    "self.decision != 'NO-GO' || (has(self.comment) && self.comment != '')", "a NO-GO says why", ".comment"
)
NO_GO_LIFTS_NOTHING = Rule(
    "self.decision != 'NO-GO' || !has(self.overrides)", "a NO-GO overrides nothing", ".overrides"
)

_SET: JsonDict = {LIST_TYPE: "set"}

Group = Annotated[str, Field(min_length=1, max_length=128)]
Expiry = Annotated[
    Duration,
    AfterValidator(rules.ABOVE_NOTHING.check),
    WithJsonSchema({"type": "string", "pattern": EXPIRY_PATTERN, "maxLength": 32}),
]
"""How long a signature counts: longer than no time."""


# ---------------------------------------------------------------- what a release asks for


class Signatures(SpecModel):
    """How many people have to sign, and who may."""

    required: int = Field(default=1, ge=1, le=10, description="Approvers.")
    groups: tuple[Group, ...] = Field(
        default=(), max_length=8, description="Who may sign; all if absent. One of each if required allows."
    )


class ChecklistItem(Signatures):
    """A go/no-go item."""

    name: Name = Field(description="Name of the item.")
    title: str = Field(default="", max_length=128, description="What is signed.")


# ---------------------------------------------------------------- the object


class ApprovedRelease(SpecModel):
    """The release object a signature is for."""

    name: ObjectName = Field(description="Name of a SparkRelease in this namespace.")
    uid: str = Field(
        min_length=1, max_length=64, description="Its metadata.uid: one made anew under the same name is another."
    )


class ReleaseApprovalSpec(SpecModel):
    """One person's signature under one run. It is created and never changed."""

    model_config = ConfigDict(
        json_schema_extra=rules.ruled(UNCHANGED, ITEMS_OR_STAGE, REASON_FOR_NO_GO, NO_GO_LIFTS_NOTHING)
    )

    release: ApprovedRelease = Field(description="The release it is for.")
    run: str = Field(
        min_length=1, max_length=160, description="The run it is for (status.run.id); it counts for no other."
    )
    decision: Decision = Field(description="What is said.")
    approved_by: str = Field(
        min_length=1,
        max_length=256,
        description="Who signs. The admission policy sparkrelease-approval compares it with the real user.",
    )
    groups: tuple[Group, ...] = Field(
        default=(),
        max_length=64,
        description="Groups of that person it is signed for; the admission policy refuses one they are not in.",
        json_schema_extra=_SET,
    )
    stage: Name | None = Field(default=None, description="The stage whose begin it approves; the go/no-go if absent.")
    items: tuple[Name, ...] = Field(
        default=(),
        max_length=64,
        description="Items of the checklist it signs; all that the person may sign if absent.",
        json_schema_extra=_SET,
    )
    comment: str = Field(default="", max_length=512, description="Why, in the person's words; required with a NO-GO.")
    overrides: tuple[Override, ...] = Field(
        default=(), max_length=4, description="What else it lifts.", json_schema_extra=_SET
    )

    @model_validator(mode="after")
    def _follows_rules(self) -> Self:
        no_go = self.decision is Decision.NO_GO
        ITEMS_OR_STAGE.require(self.stage is None or not self.items)
        REASON_FOR_NO_GO.require(not no_go or self.comment != "")
        NO_GO_LIFTS_NOTHING.require(not no_go or not self.overrides)
        return self
