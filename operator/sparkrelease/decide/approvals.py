"""Which signatures count: what a release asks for against what people signed, for one run at one moment.

A signature counts for the run it names and for no other. Of one item each person counts once, whatever they sign and
in whatever order. Where as many people are asked for as there are groups, each group has to be among them (`roles.py`).
A NO-GO needs no group and never grows old: whoever may sign at all may stop the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sparkrelease.api.approval import Decision, Signatures
from sparkrelease.api.objects import ParsedApproval
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Approval, Problem
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.decide.roles import standing_for, wanting

_MOST_NAMED = 12
"""Items, or signatures, that one sentence names; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The run that is signed for, the moment, and how long signatures count (None: to the end of the run)."""

    release_uid: str
    run: str
    now: datetime
    expires: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Something that has to be signed: an item of the checklist, or the begin of `stage`."""

    name: str
    required: int
    groups: tuple[str, ...] = ()
    stage: str = ""
    title: str = ""

    @property
    def roles(self) -> tuple[str, ...]:
        """Groups that must each be among those who sign; none where there are more of them than people asked for."""
        groups = tuple(dict.fromkeys(self.groups))
        return groups if 1 < len(groups) <= self.required else ()


@dataclass(frozen=True, slots=True)
class Item:
    """What is wanted, with the signatures that count for it: one of each person, the earliest first."""

    wanted: Wanted
    signed: tuple[Approval, ...] = ()

    @property
    def roles(self) -> Mapping[str, str]:
        """By group who stands for it, where every group has to be represented. A person counts for one."""
        standing = standing_for(self.wanted.roles, [one.groups for one in self.signed])
        return {group: self.signed[place].by for group, place in standing.items()}

    @property
    def missing(self) -> int:
        """How many people have yet to sign, if each is of a group that is wanting."""
        absent = len(self.wanted.roles) - len(self.roles)
        return max(self.wanted.required - len(self.signed), absent, 0)

    @property
    def needs(self) -> str:
        """What is missing, for a person: `backups (2 more of devops or sre)`, `budget (2 more, one of cto)`."""
        many = f"{self.missing} more" if self.wanted.required > 1 else ""
        detail = f"{many}{self.whom}".strip()
        return f"{self.wanted.name} ({detail})" if detail else self.wanted.name

    @property
    def whom(self) -> str:
        """Of which groups the missing ones have to be, as it follows their number; empty when it may be anybody."""
        groups = " or ".join(dict.fromkeys(self.wanted.groups))
        absent = len(self.wanted.roles) - len(self.roles)
        if absent == 0:
            return f" of {groups}" if groups else ""
        open_to = wanting(self.wanted.roles, [one.groups for one in self.signed])
        if absent == 1:
            one = "" if self.missing == 1 else ", one"
            return f"{one} of {' or '.join(open_to)}"
        listed = f"{', '.join(open_to[:-1])} and {open_to[-1]}"
        return f", one each of {listed}" if len(open_to) == absent else f", each of another of {listed}"


@dataclass(frozen=True, slots=True)
class Refused:
    """A signature that counts for nothing, and why."""

    approval: Approval
    problem: Problem


@dataclass(frozen=True, slots=True)
class Tally:
    """How it stands with what is wanted at one point of a run."""

    items: tuple[Item, ...]
    refused: tuple[Refused, ...] = ()
    expires: timedelta | None = None

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return all(item.missing == 0 for item in self.items)

    @property
    def counted(self) -> tuple[Approval, ...]:
        """Every signature that counts here, each once, the earliest first."""
        return _in_order({approval.name: approval for item in self.items for approval in item.signed}.values())

    @property
    def signers(self) -> tuple[str, ...]:
        """Who signed, each once."""
        return tuple(dict.fromkeys(approval.by for approval in self.counted))

    @property
    def text(self) -> str:
        """`6/10`: items that are signed, or people who signed when there is one item."""
        if len(self.items) == 1:
            (item,) = self.items
            return f"{item.wanted.required - item.missing}/{item.wanted.required}"
        return f"{sum(item.missing == 0 for item in self.items)}/{len(self.items)}"

    @property
    def standing(self) -> str:
        """The sentence for a person: how much is signed, what is missing and of whom, what does not count and why."""
        done, _, count = self.text.partition("/")
        told = f"{done} of {count} signed"
        if not self.complete:
            told += f"; missing {_listed([item.needs for item in self.items if item.missing])}"
        if self.refused:
            told += f"; not counted: {_listed([f'{r.approval.by}: {r.problem.message}' for r in self.refused], '; ')}"
        return told

    @property
    def expires_at(self) -> datetime | None:
        """When the first of the counted signatures grows too old; None when none ever does."""
        if self.expires is None or not self.counted:
            return None
        return self.counted[0].at + self.expires


@dataclass(frozen=True, slots=True)
class Ballot:
    """All that was signed for a run, against all that the release asks for."""

    items: tuple[Item, ...]
    refused: tuple[Refused, ...]
    no_go: Approval | None
    """The earliest NO-GO of the run; it ends it, whatever else is signed."""
    expires: timedelta | None

    def of(self, wanted: Sequence[Wanted]) -> Tally:
        """The part that concerns these."""
        return Tally(tuple(item for item in self.items if item.wanted in wanted), self.refused, self.expires)


# ---------------------------------------------------------------- what is asked for


def wanted_before(spec: ResolvedSpec, index: int) -> tuple[Wanted, ...]:
    """What has to be signed before stage `index` (from 0) begins: before the first one the checklist, too."""
    checklist = spec.checklist or ()
    items = [Wanted(i.name, i.required, i.groups, title=i.title) for i in checklist] if index == 0 else []
    stage = spec.stages[index]
    return (*items, *_of_stage(stage.name, stage.approval))


def _of_stage(name: str, approval: Signatures | None) -> Iterator[Wanted]:
    if approval is not None:
        yield Wanted(f"stage {name}", approval.required, approval.groups, stage=name)


def wanted_of(spec: ResolvedSpec) -> tuple[Wanted, ...]:
    """Everything a run of this release has to have signed, in its order."""
    return tuple(one for index in range(len(spec.stages)) for one in wanted_before(spec, index))


def unsigned(spec: ResolvedSpec) -> ResolvedSpec:
    """The spec without anything to sign, for trials that nobody waits for."""
    stages = tuple(stage.model_copy(update={"approval": None}) for stage in spec.stages)
    return spec.model_copy(update={"checklist": None, "stages": stages})


def approval_of(parsed: ParsedApproval) -> Approval:
    """A signature as it is counted."""
    spec = parsed.spec
    return Approval(
        name=parsed.name,
        release_uid=spec.release.uid,
        run=spec.run,
        decision=spec.decision,
        by=spec.approved_by,
        at=parsed.created_at,
        groups=spec.groups,
        stage=spec.stage or "",
        items=spec.items,
        comment=spec.comment,
        overrides=spec.overrides,
    )


# ---------------------------------------------------------------- what counts


def count(spec: ResolvedSpec, approvals: Iterable[Approval], scope: Scope) -> Ballot:
    """Sorts the signatures: those that count, by what they sign, and the others with the reason why not.

    The answer depends on the set of signatures alone, not on their order.
    """
    wanted = wanted_of(spec)
    signed: dict[Wanted, list[Approval]] = {one: [] for one in wanted}
    refused: list[Refused] = []
    no_go: Approval | None = None
    for approval in _in_order(approvals):
        problem = _out_of_scope(approval, scope)
        if problem is None and approval.decision is Decision.NO_GO:
            no_go = no_go or approval
            continue
        problem = problem or _expired(approval, scope) or _sign(approval, signed)
        if problem is not None:
            refused.append(Refused(approval, problem))
    items = tuple(Item(one, tuple(signed[one])) for one in wanted)
    return Ballot(items, tuple(refused), no_go, scope.expires)


def overridden(approvals: Iterable[Approval], what: str, scope: Scope) -> Approval | None:
    """The earliest GO of the run in scope that lifts `what` (such as `freeze`) and counts now; None without one.

    `scope.run` may be the run that would start next (`runs.next_run_id`): it is signed for before it begins.
    """
    for approval in _in_order(approvals):
        counts = _out_of_scope(approval, scope) is None and _expired(approval, scope) is None
        if counts and approval.decision is Decision.GO and what in approval.overrides:
            return approval
    return None


def _in_order(approvals: Iterable[Approval]) -> tuple[Approval, ...]:
    return tuple(sorted(approvals, key=lambda approval: (approval.at, approval.name)))


def _out_of_scope(approval: Approval, scope: Scope) -> Problem | None:
    if approval.release_uid != scope.release_uid:
        return Problem(Reason.APPROVAL_FOR_ANOTHER_RUN, "it is for another release object of this name")
    if approval.run != scope.run:
        return Problem(Reason.APPROVAL_FOR_ANOTHER_RUN, f"it is for run {approval.run}")
    return None


def _expired(approval: Approval, scope: Scope) -> Problem | None:
    if scope.expires is None or scope.now - approval.at < scope.expires:
        return None
    return Problem(Reason.APPROVAL_EXPIRED, f"it is older than {scope.expires.total_seconds():g} s")


def _sign(approval: Approval, signed: dict[Wanted, list[Approval]]) -> Problem | None:
    """Enters a GO wherever it counts; why not, when that is nowhere or not everywhere its items say."""
    meant = [one for one in signed if _means(approval, one)]
    known = {one.name for one in meant}
    unknown = [name for name in approval.items if name not in known]
    allowed = [one for one in meant if not one.groups or not set(one.groups).isdisjoint(approval.groups)]
    fresh = [one for one in allowed if all(other.by != approval.by for other in signed[one])]
    for one in fresh:
        signed[one].append(approval)
    if not meant and approval.overrides:
        return None
    if unknown or not meant:
        what = _listed(unknown) or (f"stage {approval.stage}" if approval.stage else "a go/no-go")
        return Problem(Reason.APPROVAL_NOT_ASKED_FOR, f"nobody has to sign {what}")
    if not allowed or (approval.items and len(allowed) < len(meant)):
        closed = next(one for one in meant if one not in allowed)
        return Problem(Reason.APPROVER_NOT_IN_GROUP, f"{closed.name} is signed by {' or '.join(closed.groups)}")
    return None if fresh else Problem(Reason.APPROVAL_REPEATED, "has signed this already")


def _means(approval: Approval, wanted: Wanted) -> bool:
    """Whether the signature speaks of it. Without items it speaks of the whole checklist."""
    if wanted.stage != approval.stage:
        return False
    return bool(wanted.stage) or not approval.items or wanted.name in approval.items


def _listed(names: Sequence[str], between: str = ", ") -> str:
    more = f"{between}and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return between.join(names[:_MOST_NAMED]) + more
