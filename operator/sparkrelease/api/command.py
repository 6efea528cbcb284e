"""The command annotation: one channel for what people ask of a release under way."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import Field, ValidationError

from sparkrelease.api.base import Documented, SpecModel

COMMAND_ANNOTATION = "sparkrelease.dev/command"


class Verb(Documented):
    """What can be asked."""

    ROLLBACK = "rollback", "All traffic goes back to stable, and the version gets none again without a retry."
    PAUSE = "pause", "Weights stay where they are; only a rollback moves them."
    RESUME = "resume", "Ends a pause by command."
    RETRY = "retry", "A version that was rolled back may be tried again."
    SETTLE = "settle", "Traffic walks back to stable after a promotion, whatever stable runs."
    PROMOTE = "promote", "Skips the gate of the stage under way, or all that remain; never a rollback trigger."


class Command(SpecModel):
    """What the annotation holds.

    `user` comes first in the text: the admission policy compares the text's start with the real user.
    """

    user: str = Field(max_length=256)
    verb: Verb
    run: str = Field(
        default="", max_length=160, description="Run it is meant for; a command for another run is not taken."
    )
    nonce: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{8,64}$")]
    reason: str = Field(default="", max_length=512)
    full: bool = Field(default=False, description="For promote: skip all remaining gates instead of one.")
    stage: str = Field(
        default="", max_length=80, description="For rollback: the stage the person saw; recorded, never waited for."
    )
    restore_point: str = Field(
        default="", max_length=256, description="For rollback: the database restore point that goes with it."
    )


def parse_command(text: str) -> Command | str:
    """Reads the annotation strictly (no duplicate keys, no unknown ones); a str is the error to show."""

    def refuse_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a key is given twice")
        return dict(pairs)

    try:
        return Command.model_validate(json.loads(text, object_pairs_hook=refuse_duplicates))
    except ValidationError as problem:
        first = problem.errors()[0]
        return f"{'.'.join(str(p) for p in first['loc'])}: {first['msg']}"
    except (ValueError, RecursionError) as problem:
        return str(problem)


def format_command(command: Command) -> str:
    """Writes the annotation in the one form the admission policy accepts: compact JSON, user first."""
    body = {
        "user": command.user,
        **command.model_dump(mode="json", by_alias=True, exclude={"user"}, exclude_defaults=True),
    }
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)
