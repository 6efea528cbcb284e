"""A chain of evidence says when somebody touched it, and where."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkrelease.api.reasons import Reason
from sparkrelease.decide.evidence import Break, BreakKind, Link, canonical_json, link, parse_entry, relink, verify
from sparkrelease.decide.plan import EntryDraft

AT = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
K = BreakKind


def named(found: Break | None) -> tuple[int, BreakKind]:
    """What was found; its sentence begins with the entry it names."""
    assert found is not None
    assert found.message.startswith(f"entry {found.number} ")
    return found.number, found.kind


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=12)
json_data = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
drafts = st.builds(
    EntryDraft,
    kind=st.sampled_from(sorted(Reason)),
    message=st.text(max_size=30),
    data=st.dictionaries(st.text(max_size=6), json_data, max_size=3),
)


def chain_of(some_drafts: list[EntryDraft], run: str = "v1-abc") -> list[Link]:
    links: list[Link] = []
    for number, draft in enumerate(some_drafts, start=1):
        head = links[-1].digest if links else ""
        at = AT + timedelta(seconds=number)
        links.append(link(head, number, at=at, release="shop/web", run=run, draft=draft))
    return links


def plain_chain(length: int) -> list[Link]:
    return chain_of([EntryDraft(Reason.STAGE_ENTERED, f"stage {n}", {"weight": float(n)}) for n in range(length)])


def lines_of(links: list[Link]) -> list[str]:
    return [one.line for one in links]


chains = st.lists(drafts, min_size=1, max_size=4).map(chain_of)
few = settings(max_examples=40)


def rewritten(line: str, head: str, number: int) -> Link:
    """The entry with another message and a digest that fits it: what somebody with the source code would write."""
    body = json.loads(line)
    draft = EntryDraft(Reason.named(body["kind"]), body["message"] + " (not true)", body["data"])
    return link(head, number, at=AT, release=body["release"], run=body["run"], draft=draft)


@few
@given(chains)
def test_an_untouched_chain_has_no_break(chain: list[Link]) -> None:
    assert verify(lines_of(chain), head=chain[-1].digest, entries=len(chain)) is None
    assert verify(lines_of(chain), head=None, entries=None) is None


def test_a_run_without_evidence_has_no_break() -> None:
    assert verify([], head="", entries=0) is None
    assert verify([], head=None, entries=None) is None


@few
@given(chains)
def test_a_line_is_one_line_and_its_own_canonical_form(chain: list[Link]) -> None:
    for one in chain:
        assert "\n" not in one.line
        assert canonical_json(json.loads(one.line)) == one.line
        assert one.line.encode()


@few
@given(chains)
def test_a_line_reads_back_as_what_it_is(chain: list[Link]) -> None:
    for number, one in enumerate(chain, start=1):
        entry = parse_entry(one.line)
        assert entry is not None
        assert (entry.number, entry.digest, entry.release, entry.run) == (number, one.digest, "shop/web", "v1-abc")


@few
@given(chains, st.data())
def test_any_changed_character_is_found_at_its_entry(chain: list[Link], data: st.DataObject) -> None:
    lines = lines_of(chain)
    at = data.draw(st.integers(0, len(lines) - 1))
    place = data.draw(st.integers(0, len(lines[at]) - 1))
    character = data.draw(st.characters(codec="utf-8").filter(lambda c: c != lines[at][place]))
    lines[at] = lines[at][:place] + character + lines[at][place + 1 :]
    found = verify(lines, head=chain[-1].digest, entries=len(lines))
    number, kind = named(found)
    assert number == at + 1
    assert kind in {K.CHANGED, K.NOT_JSON}


@few
@given(chains, st.data())
def test_any_inserted_or_removed_character_is_found_at_its_entry(chain: list[Link], data: st.DataObject) -> None:
    lines = lines_of(chain)
    at = data.draw(st.integers(0, len(lines) - 1))
    place = data.draw(st.integers(0, len(lines[at]) - 1))
    inserted = data.draw(st.sampled_from(["", " ", "\t", "0", '"', "}"]))
    rest = lines[at][place:] if inserted else lines[at][place + 1 :]
    lines[at] = lines[at][:place] + inserted + rest
    found = verify(lines, head=None, entries=None)
    number, kind = named(found)
    assert number == at + 1
    assert kind in {K.CHANGED, K.NOT_JSON}


FIELDS = ["n", "at", "release", "run", "kind", "message", "data", "prev", "digest"]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_every_field_is_covered_by_the_digest(field: str, at: int) -> None:
    chain = plain_chain(3)
    lines = lines_of(chain)
    body = json.loads(lines[at])
    body[field] = {"n": 7, "data": {"weight": 99.0}}.get(field, "other")
    lines[at] = canonical_json(body)
    found = verify(lines, head=chain[-1].digest, entries=3)
    assert named(found) == (at + 1, K.CHANGED)


@pytest.mark.parametrize("field", FIELDS)
def test_an_entry_without_one_of_its_fields_is_found(field: str) -> None:
    lines = lines_of(plain_chain(3))
    body = json.loads(lines[1])
    del body[field]
    lines[1] = canonical_json(body)
    found = verify(lines, head=None, entries=None)
    assert named(found) == (2, K.NOT_JSON)


def test_a_key_given_twice_is_found() -> None:
    lines = lines_of(plain_chain(2))
    lines[1] = '{"message":"first",' + lines[1][1:]
    found = verify(lines, head=None, entries=None)
    assert named(found) == (2, K.CHANGED)


@given(st.integers(1, 6), st.data())
def test_a_dropped_entry_is_found_wherever_it_was(length: int, data: st.DataObject) -> None:
    chain = plain_chain(length)
    at = data.draw(st.integers(0, length - 1))
    found = verify(lines_of(chain[:at] + chain[at + 1 :]), head=chain[-1].digest, entries=length)
    assert named(found) == (at + 1, K.DROPPED)


@given(st.integers(2, 6), st.data())
def test_two_swapped_entries_are_found_at_the_first_of_them(length: int, data: st.DataObject) -> None:
    chain = plain_chain(length)
    first, second = sorted(data.draw(st.sets(st.integers(0, length - 1), min_size=2, max_size=2)))
    lines = lines_of(chain)
    lines[first], lines[second] = lines[second], lines[first]
    found = verify(lines, head=chain[-1].digest, entries=length)
    assert named(found) == (first + 1, K.SWAPPED)


@given(st.integers(1, 6), st.data())
def test_a_repeated_entry_is_named_wherever_it_comes_again(length: int, data: st.DataObject) -> None:
    chain = plain_chain(length)
    repeated = data.draw(st.integers(0, length - 1))
    place = data.draw(st.integers(0, length))
    lines = lines_of(chain)
    lines.insert(place, lines[repeated])
    found = verify(lines, head=chain[-1].digest, entries=length)
    assert named(found) == (repeated + 1, K.REPEATED)


@given(st.integers(2, 6), st.data())
def test_an_entry_rewritten_under_a_fitting_digest_is_named(length: int, data: st.DataObject) -> None:
    chain = plain_chain(length)
    at = data.draw(st.integers(0, length - 1))
    head = chain[at - 1].digest if at else ""
    lines = lines_of(chain)
    lines[at] = rewritten(lines[at], head, at + 1).line
    found = verify(lines, head=chain[-1].digest, entries=length)
    assert named(found) == (at + 1, K.REHASHED)


@given(st.integers(1, 6), st.data())
def test_a_chain_hashed_again_to_its_end_is_given_away_by_the_head_in_the_status(
    length: int, data: st.DataObject
) -> None:
    chain = plain_chain(length)
    at = data.draw(st.integers(0, length - 1))
    forged = chain[:at]
    for number in range(at + 1, length + 1):
        forged.append(rewritten(chain[number - 1].line, forged[-1].digest if forged else "", number))
    assert verify(lines_of(forged), head=None, entries=None) is None
    found = verify(lines_of(forged), head=chain[-1].digest, entries=length)
    assert found is not None
    assert found.kind is K.REHASHED


@given(st.integers(1, 5), st.data())
def test_an_entry_of_another_chain_is_named(length: int, data: st.DataObject) -> None:
    chain = plain_chain(length)
    other = chain_of([EntryDraft(Reason.PROMOTED, "elsewhere")] * length, run="v2-def")
    at = data.draw(st.integers(0, length - 1))
    lines = lines_of(chain)
    lines[at] = other[at].line
    found = verify(lines, head=chain[-1].digest, entries=length)
    assert found is not None
    assert found.number == at + 1


def test_entries_behind_the_head_are_not_accepted() -> None:
    chain = plain_chain(4)
    found = verify(lines_of(chain), head=chain[2].digest, entries=3)
    assert named(found) == (4, K.HEAD_MISMATCH)


def test_an_end_that_is_missing_is_found_by_the_head_alone() -> None:
    chain = plain_chain(4)
    found = verify(lines_of(chain[:3]), head=chain[3].digest, entries=None)
    assert named(found) == (3, K.HEAD_MISMATCH)


def test_evidence_that_is_gone_as_a_whole_is_found() -> None:
    chain = plain_chain(2)
    for entries in (2, None):
        found = verify([], head=chain[1].digest, entries=entries)
        assert named(found) == (1, K.DROPPED)


@pytest.mark.parametrize("line", ["", "null", "[]", "{}", "not json", "[" * 100_000, '{"n":1e999}'])
def test_a_line_that_is_no_entry_is_named(line: str) -> None:
    chain = plain_chain(3)
    found = verify([chain[0].line, line, chain[2].line], head=chain[2].digest, entries=3)
    assert named(found) == (2, K.NOT_JSON)


@few
@given(st.lists(drafts, min_size=2, max_size=5), st.integers(1, 4))
def test_pending_entries_can_be_chained_behind_what_another_process_stored(
    some_drafts: list[EntryDraft], stored: int
) -> None:
    theirs = plain_chain(stored)
    mine = relink(lines_of(chain_of(some_drafts)), head=theirs[-1].digest, number=stored)
    whole = [*theirs, *mine]
    assert verify(lines_of(whole), head=whole[-1].digest, entries=len(whole)) is None
    read = [parse_entry(one.line) for one in mine]
    assert [entry.message for entry in read if entry] == [draft.message for draft in some_drafts]


def test_relinking_refuses_what_is_no_entry() -> None:
    with pytest.raises(ValueError, match="not an evidence entry"):
        relink(["{}"], head="", number=0)


def test_numbers_that_json_lacks_are_written_as_text() -> None:
    one = link(
        "",
        1,
        at=AT,
        release="shop/web",
        run="r",
        draft=EntryDraft(Reason.NO_DATA, "", {"a": float("nan"), "b": float("inf"), "c": -float("inf"), "d": 0.1}),
    )
    assert '"data":{"a":"NaN","b":"+Inf","c":"-Inf","d":0.1}' in one.line


def test_the_form_of_a_line_and_of_its_digest_is_the_documented_one() -> None:
    draft = EntryDraft(Reason.STAGE_ENTERED, "5 % é", {"weight": 5.0})
    one = link("sha256:00", 2, at=AT, release="shop/web", run="v1-abc", draft=draft)
    start = '{"at":"2026-11-21T10:00:00.000Z","data":{"weight":5.0},'
    rest = '"kind":"StageEntered","message":"5 % é","n":2,"prev":"sha256:00","release":"shop/web","run":"v1-abc"}'
    assert one.digest == "sha256:" + hashlib.sha256(f"sha256:00{start}{rest}".encode()).hexdigest()
    assert one.line == f'{start}"digest":"{one.digest}",{rest}'
