"""The page of the metrics contract, the policies and the example application name the same series and rules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Metric as Family

from sparkrelease.api.config import RoleLabels
from sparkrelease.api.metrics import Metric
from sparkrelease.api.spec import ReleasePolicySpec
from sparkrelease.decide.selectors import Selector, read_expression
from sparkrelease.decide.templates import EVERYTHING, Template, edges_of, filled, template_of
from trading.faults import Fault
from trading.instruments import Instruments

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "metrics-contract.md").read_text(encoding="utf-8")
NAMES = ("spark-standard", "spark-feature-flag")
MADE_BY_PROMETHEUS = "up"
SET_BY_PROMETHEUS = {"namespace", "service", "pod"}


def policy(name: str) -> ReleasePolicySpec:
    body: dict[str, Any] = yaml.safe_load((ROOT / "manifests" / "policies" / f"{name}.yaml").read_text())
    return ReleasePolicySpec.model_validate(body["spec"])


def selectors(metric: Metric, of: ReleasePolicySpec) -> Iterator[Selector]:
    """Every selector of the queries of a metric."""
    legs = [leg for trigger in of.triggers for leg in trigger.all]
    template = template_of(metric, RoleLabels(), edges_of(metric, of.thresholds, legs), None)
    assert isinstance(template, Template), template
    yield from (one for one in (template.bad, template.total, template.buckets) if one is not None)
    if template.value is not None:
        found = read_expression(filled(template, EVERYTHING))
        assert not isinstance(found, str), found
        yield from found


def series(of: ReleasePolicySpec) -> dict[str, set[str]]:
    """By metric, the names of the series it reads."""
    return {metric.name: {one.name for one in selectors(metric, of)} for metric in of.metrics}


def checked(of: ReleasePolicySpec) -> dict[str, set[str]]:
    """By check that is a query, the names of the series it reads."""
    queries = {item.name: item.promql for item in of.preflight if item.promql is not None}
    return {
        name: {one.name for one in selectors(Metric(name=name, value=query), of)} for name, query in queries.items()
    }


def table(heading: str) -> list[list[str]]:
    """The cells of the table below a heading."""
    section = PAGE[PAGE.index(f"## {heading}\n") :].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


CONTRACT = {quoted(row[0])[0]: row for row in table("Series")}


def test_the_page_has_every_series_the_policies_read_and_no_other() -> None:
    read = {name for policy_name in NAMES for names in series(policy(policy_name)).values() for name in names}
    read |= {name for policy_name in NAMES for names in checked(policy(policy_name)).values() for name in names}
    assert set(CONTRACT) == read - {MADE_BY_PROMETHEUS}


def test_the_page_has_every_check_that_is_a_query_with_its_series() -> None:
    shown = {quoted(row[0])[0]: set(quoted(row[1])) for row in table("Checks of spark-standard")}
    assert shown == checked(policy("spark-standard"))


def test_labels_the_queries_ask_for_are_on_the_page() -> None:
    for name in NAMES:
        of = policy(name)
        for metric in of.metrics:
            for selector in selectors(metric, of):
                asked = {label for label, _, _ in selector.matchers} - SET_BY_PROMETHEUS
                assert asked <= set(quoted(CONTRACT[selector.name][2])), selector


@pytest.mark.parametrize("name", NAMES)
def test_the_page_has_every_rule_with_its_metrics_and_their_series(name: str) -> None:
    of = policy(name)
    reads = series(of)
    rules = [(f"threshold `{one.name}`", [one.metric]) for one in of.thresholds]
    rules += [(f"trigger `{one.name}`", list(dict.fromkeys(leg.metric for leg in one.all))) for one in of.triggers]
    shown = table(f"Rules of {name}")
    assert [(row[0], quoted(row[1])) for row in shown] == rules
    for row, (_, metrics) in zip(shown, rules, strict=True):
        wanted = set().union(*(reads[metric] for metric in metrics))
        assert set(quoted(row[2])) == wanted, row


def test_the_page_has_every_setting_a_policy_changes_and_by_which_rule() -> None:
    triggers = policy("spark-feature-flag").triggers
    moves = {one.name: one.mitigation.wanted for one in triggers if one.mitigation is not None}
    changed = {key: (name, value) for name, wanted in moves.items() for key, value in wanted.items()}
    rows = [[quoted(cell)[0] for cell in row[:3]] for row in table("Settings of spark-feature-flag")]
    shown = {key: (rule, value) for key, rule, value in rows}
    assert shown == changed
    assert [one.name for one in policy("spark-standard").triggers if one.mitigation is not None] == []


def test_every_limit_on_a_histogram_is_an_edge_on_the_page() -> None:
    limits: set[float] = set()
    for name in NAMES:
        of = policy(name)
        (latency,) = (metric for metric in of.metrics if metric.buckets is not None)
        limits |= edges_of(latency, of.thresholds, [leg for trigger in of.triggers for leg in trigger.all])
    told = re.findall(r"\d+(?:\.\d+)?", CONTRACT["http_request_duration_seconds_bucket"][2])
    assert {float(text) for text in told} == limits


def exported() -> dict[str, Family]:
    return {
        name: family
        for family in Instruments().registry.collect()
        for name in {sample.name for sample in family.samples}
    }


def test_the_example_exports_every_series_of_the_contract_with_its_type_and_labels() -> None:
    found = exported()
    assert set(CONTRACT) - set(found) == set()
    for name, row in CONTRACT.items():
        family = found[name]
        assert family.type == row[1].split(",")[0], name
        labels = {label for sample in family.samples if sample.name == name for label in sample.labels}
        assert labels == set(quoted(row[2])), name


def test_the_example_s_histogram_has_the_edges_that_limits_are_set_at() -> None:
    samples = exported()["http_request_duration_seconds_bucket"].samples
    edges = {float(sample.labels["le"]) for sample in samples if "le" in sample.labels}
    assert {0.2, 0.4, 1.0, 1.5} <= edges


def test_every_fault_of_the_example_is_on_the_page_with_the_rule_it_is_there_for() -> None:
    rows = table("The example")
    assert {quoted(row[0])[0] for row in rows} == {fault.value for fault in Fault}
    gates = [row for row in rows if "threshold `" in row[1]]
    triggers = {trigger.name for name in NAMES for trigger in policy(name).triggers}
    assert {rule for row in rows if row not in gates for rule in quoted(row[1])} == triggers
    alone = {"risk-blocks", "csp-violations", "breaches", "dead-letters", "bucket-balance", "errors"}
    assert {rule for row in gates for rule in quoted(row[1])} == alone
    assert alone <= {threshold.name for name in NAMES for threshold in policy(name).thresholds}


def test_what_the_page_says_of_the_traffic_it_takes_is_the_first_stage_s_arithmetic() -> None:
    first = policy("spark-standard").stages[0]
    needed = 3 / 0.01 / (first.duration.total_seconds() * first.weight / 100)
    assert f"{int(needed) + 1} requests a second" in PAGE
