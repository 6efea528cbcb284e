"""Every example on the page about approvals is one the operator takes, and what it promises is named as in the code."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from sparkrelease.api.objects import ParsedApproval, read_approval
from sparkrelease.api.reasons import Reason
from sparkrelease.api.spec import ReleasePolicySpec
from sparkrelease.decide.approvals import Scope, approval_of, count, wanted_before
from sparkrelease.decide.resolve import ResolvedSpec, resolve
from unit.decide.world import START, spec

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "approvals.md").read_text(encoding="utf-8")
ASKED, SIGNED = (yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))


def test_what_the_page_asks_for_and_what_it_signs_fit_together() -> None:
    asked = resolve(spec(**ASKED["spec"]), ReleasePolicySpec())
    assert isinstance(asked, ResolvedSpec)
    signed = read_approval({**SIGNED, "metadata": {"name": "a", "creationTimestamp": START.isoformat()}})
    assert isinstance(signed, ParsedApproval)
    scope = Scope(signed.spec.release.uid, signed.spec.run, START, asked.approval_expires)
    tally = count(asked, [approval_of(signed)], scope).of(wanted_before(asked, 0))
    missing = "decimals (2 more), budget (of cto or product), go-live (3 more, one each of devops, cto and product)"
    assert tally.standing == f"1 of 4 signed; missing {missing}"


def test_the_words_the_page_uses_are_those_of_the_api() -> None:
    for reason in (Reason.AWAITING_APPROVAL, Reason.NO_GO, Reason.APPROVED):
        assert f"`{reason.value}`" in PAGE
    manifests = "".join(path.read_text() for path in (ROOT / "manifests" / "base").glob("*.yaml"))
    for name in ("sparkrelease-approve", "sparkrelease-approval", "sparkrelease-approval-run"):
        assert f"`{name}`" in PAGE
        assert f"name: {name}\n" in manifests
