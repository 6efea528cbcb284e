"""What is to be signed, and signatures themselves, written wrongly: the field at fault and the smallest correction."""

from __future__ import annotations

from typing import Any

from unit.api.wrong import ABSENT, Wrong

# fmt: off - a table is read by its rows
CHECKLIST = [{"name": "backups"}, {"name": "decimals", "required": 2, "groups": ["devops"]}]

APPROVALS = [
    Wrong("item without a name", "checklist", [{}], CHECKLIST, "spec.checklist[0].name", "equired"),
    Wrong("item in capitals", "checklist", [{"name": "Backups"}], CHECKLIST, "spec.checklist[0].name"),
    Wrong("two items of one name", "checklist", CHECKLIST[:1] * 2, CHECKLIST, "spec.checklist"),
    Wrong(
        "65 items",
        "checklist",
        [{"name": f"i{n}"} for n in range(65)],
        [{"name": f"i{n}"} for n in range(64)],
        "spec.checklist",
        "at most 64 items",
    ),
    Wrong(
        "nobody has to sign an item",
        "checklist",
        [{"name": "a", "required": 0}],
        [{"name": "a", "required": 1}],
        "spec.checklist[0].required",
    ),
    Wrong(
        "eleven have to sign an item",
        "checklist",
        [{"name": "a", "required": 11}],
        [{"name": "a", "required": 10}],
        "spec.checklist[0].required",
    ),
    Wrong(
        "an item for a group without a name",
        "checklist",
        [{"name": "a", "groups": [""]}],
        CHECKLIST,
        "spec.checklist[0].groups[0]",
    ),
    Wrong(
        "nine groups",
        "checklist",
        [{"name": "a", "groups": [f"g{n}" for n in range(9)]}],
        CHECKLIST,
        "spec.checklist[0].groups",
        "at most 8 items",
    ),
    Wrong(
        "unknown field of an item", "checklist", [{"name": "a", "owner": "jane"}], CHECKLIST, "spec.checklist[0].owner"
    ),
    Wrong(
        "title too long",
        "checklist",
        [{"name": "a", "title": "x" * 129}],
        [{"name": "a", "title": "x" * 128}],
        "spec.checklist[0].title",
    ),
    Wrong(
        "title as a list", "checklist", [{"name": "a", "title": ["x"]}], CHECKLIST, "spec.checklist[0].title", "string"
    ),
    Wrong(
        "eleven have to sign for a stage",
        "stages.1.approval",
        {"required": 11},
        {"required": 10},
        "spec.stages[1].approval.required",
    ),
    Wrong(
        "nine groups for a stage",
        "stages.1.approval",
        {"groups": [f"g{n}" for n in range(9)]},
        {"groups": [f"g{n}" for n in range(8)]},
        "spec.stages[1].approval.groups",
        "at most 8 items",
    ),
    Wrong(
        "a stage for a group without a name",
        "stages.1.approval",
        {"groups": [""]},
        {"groups": ["cto"]},
        "spec.stages[1].approval.groups[0]",
    ),
    Wrong(
        "a stage for a group of a long name",
        "stages.1.approval",
        {"groups": ["g" * 129]},
        {"groups": ["g" * 128]},
        "spec.stages[1].approval.groups[0]",
    ),
    Wrong(
        "nobody has to sign for a stage",
        "stages.1.approval",
        {"required": 0},
        {"required": 1},
        "spec.stages[1].approval.required",
    ),
    Wrong(
        "unknown field of a stage's signatures", "stages.1.approval", {"by": "jane"}, {}, "spec.stages[1].approval.by"
    ),
    Wrong("signatures that count for no time", "approvalExpires", "0s", "1s", "spec.approvalExpires"),
    Wrong("signatures that count for days", "approvalExpires", "2d", "48h", "spec.approvalExpires"),
    Wrong("signatures that count for a word", "approvalExpires", "long", "8h", "spec.approvalExpires"),
]

SIGNED: dict[str, Any] = {
    "release": {"name": "shop", "uid": "8d3b7c1e-0000-4000-8000-000000000000"},
    "run": "v2-6c1f0a",
    "decision": "GO",
    "approvedBy": "jane@example.org",
}
"""A good signature."""

WRONG_SIGNATURES = [
    Wrong("no release", "release", ABSENT, SIGNED["release"], "spec.release", "equired"),
    Wrong("no name", "release", {"uid": SIGNED["release"]["uid"]}, SIGNED["release"], "spec.release.name", "equired"),
    Wrong("empty name", "release.name", "", "shop", "spec.release.name"),
    Wrong("a name in capitals", "release.name", "Shop", "shop", "spec.release.name"),
    Wrong("a name of 254 characters", "release.name", "s" * 254, "s" * 253, "spec.release.name"),
    Wrong("a number for a name", "release.name", 7, "shop", "spec.release.name", "string"),
    Wrong("no uid", "release", {"name": "shop"}, SIGNED["release"], "spec.release.uid", "equired"),
    Wrong("empty uid", "release", {"name": "shop", "uid": ""}, SIGNED["release"], "spec.release.uid"),
    Wrong("no run", "run", ABSENT, "v2-6c1f0a", "spec.run", "equired"),
    Wrong("empty run", "run", "", "v2-6c1f0a", "spec.run"),
    Wrong("no decision", "decision", ABSENT, "GO", "spec.decision", "equired"),
    Wrong("maybe", "decision", "MAYBE", "GO", "spec.decision"),
    Wrong("in small letters", "decision", "go", "GO", "spec.decision"),
    Wrong("nobody", "approvedBy", ABSENT, "jane@example.org", "spec.approvedBy", "equired"),
    Wrong("an empty name", "approvedBy", "", "jane@example.org", "spec.approvedBy"),
    Wrong("a NO-GO without a reason", "decision", "NO-GO", "GO", "spec.comment", "says why"),
    Wrong("an item twice", "items", ["a", "a"], ["a", "b"], "spec.items", only_the_server=True),
    Wrong("a group twice", "groups", ["a", "a"], ["a", "b"], "spec.groups", only_the_server=True),
    Wrong("unknown override", "overrides", ["rules"], ["freeze"], "spec.overrides[0]"),
    Wrong("a stage in capitals", "stage", "Half", "half", "spec.stage"),
    Wrong("a comment too long", "comment", "x" * 513, "x" * 512, "spec.comment"),
    Wrong("unknown field", "approved", True, ABSENT, "spec.approved"),
]

WRONG_PAIRS = [
    ({"stage": "half", "items": ["a"]}, {"stage": "half"}, "spec.items", "items belong to the go/no-go"),
    (
        {"decision": "NO-GO", "comment": "no", "overrides": ["freeze"]},
        {"decision": "NO-GO", "comment": "no"},
        "spec.overrides",
        "overrides nothing",
    ),
    (
        {"decision": "NO-GO", "comment": ""},
        {"decision": "NO-GO", "comment": "orders are lost"},
        "spec.comment",
        "says why",
    ),
]
"""Changes of SIGNED that only together are wrong, the correction, the field and words."""
# fmt: on
