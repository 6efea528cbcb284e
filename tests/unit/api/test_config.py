"""What an administrator may say, and what would let two operators write."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from sparkrelease.api.config import OperatorConfig


def test_an_empty_file_is_a_configuration() -> None:
    config = OperatorConfig.model_validate({})
    assert config.tick.total_seconds() == 5
    assert config.lease.renew < config.lease.deadline < config.lease.duration


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"tick": "100ms"}, "tick"),
        ({"tick": "often"}, "tick"),
        ({"lease": {"renew": "10s"}}, "lease"),
        ({"lease": {"deadline": "15s"}}, "lease"),
        ({"lease": {"duration": "0s"}}, "duration"),
        ({"servers": {"default": {"url": "ftp://prometheus"}}}, "url"),
        ({"servers": {"Default": {"url": "http://prometheus"}}}, "servers"),
        ({"servers": {"default": {"url": "http://prometheus", "timeout": "0s"}}}, "timeout"),
        ({"namespaces": ["Trading"]}, "namespaces"),
        ({"httpPort": 65536}, "httpPort"),
        ({"notifications": {"ops": {"kind": "mail", "url": "https://mail.example"}}}, "kind"),
        ({"notifications": {"ops": {"kind": "webhook"}}}, "ops"),
        ({"notifications": {"ops": {"kind": "webhook", "url": "https://a.example", "urlFile": "/url"}}}, "ops"),
        ({"notifications": {"ops": {"kind": "webhook", "url": "mailto:ops@a.example"}}}, "url"),
        ({"notifications": {"ops": {"kind": "slack", "url": "https://hooks.example/secret"}}}, "ops"),
        ({"notifications": {"ops": {"kind": "slack", "urlFile": "/url", "secretFile": "/key"}}}, "ops"),
        ({"notifications": {"ops": {"kind": "webhook", "url": "https://a.example", "secret": "k"}}}, "secret"),
        ({"notifications": {"ops": {"kind": "webhook", "url": "https://a.example", "queue": 0}}}, "queue"),
        ({"notifications": {"Ops": {"kind": "webhook", "url": "https://a.example"}}}, "notifications"),
        ({"concurrentWrites": 0}, "concurrentWrites"),
        ({"slackUrl": "https://hooks.example"}, "slackUrl"),
    ],
)
def test_a_wrong_configuration_is_refused_at_its_field(wrong: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        OperatorConfig.model_validate(wrong)
    assert field in str([error["loc"] for error in refused.value.errors()])


SERVER: dict[str, Any] = {"url": "http://prometheus"}
TARGET: dict[str, Any] = {"kind": "webhook", "url": "https://a.example"}

# fmt: off - a table is read by its rows
ROWS: list[tuple[str, object, object]] = [
    ("clusterName", "", "c"),
    ("clusterName", "c" * 64, "c" * 63),
    ("preflight.hosts", ["https://a.example"], ["a.example"]),
    ("preflight.hosts", ["a.example/health"], ["a.example"]),
    ("preflight.hosts", [""], ["a"]),
    ("preflight.hosts", ["*"], ["*.a.example"]),
    ("preflight.hosts", ["*."], ["*.a"]),
    ("preflight.hosts", ["a.*.example"], ["*.example"]),
    ("preflight.hosts", ["a.example:99999"], ["a.example:65535"]),
    ("preflight.hosts", ["*.example:0"], ["*.example:1"]),
    ("preflight.hosts", ["a.example:"], ["a.example:80"]),
    ("preflight.hosts", ["a.example:http"], ["a.example"]),
    ("preflight.hosts", ["fe80:::1"], ["fe80::1"]),
    ("preflight.hosts", ["[fe80::1]:65536"], ["[fe80::1]:65535"]),
    ("preflight.hosts", ["[a.example]:80"], ["[::1]"]),
    ("preflight.hosts", "a.example", ["a.example"]),
    ("preflight.hosts", ["a"] * 257, ["a"] * 256),
    ("preflight.caFile", "", "/ca.crt"),
    ("preflight.caFile", ["/ca.crt"], "/ca.crt"),
    ("preflight.maxBytes", 999, 1000),
    ("preflight.maxBytes", 16_000_001, 16_000_000),
    ("preflight.signers", {"ci": ""}, {"ci": "/ci.pem"}),
    ("preflight.signers", {"CI": "/ci.pem"}, {"ci": "/ci.pem"}),
    ("preflight.signers", {"ci": None}, {"ci": "/ci.pem"}),
    ("preflight.redirects", True, ...),
    ("servers.default.alerts", [""], ["ErrorBudgetBurn1h"]),
    ("servers.default.alerts", ["a" * 257], ["a" * 256]),
    ("servers.default.alerts", "ErrorBudgetBurn1h", ["ErrorBudgetBurn1h"]),
    ("servers.default.alertmanager", "alertmanager:9093", "http://alertmanager:9093"),
    ("servers.default.alertmanager", "http://a b", "http://a"),
    ("servers.default.targets", "sometimes", False),
    ("servers.default.connections", {}, {"gauge": "open"}),
    ("servers.default.connections", {"gauge": ""}, {"gauge": "open"}),
    ("servers.default.connections", {"gauge": "open", "labels": {"service": "a-b"}}, {"gauge": "open"}),
    ("servers.default.caFile", "", "/ca.crt"),
    ("servers.default.tokenFile", "", "/token"),
    ("notifications.ops.timeout", "0s", "1s"),
    ("notifications.ops.timeout", "soon", "10s"),
    ("notifications.ops.giveUpAfter", "0s", "1s"),
    ("notifications.ops.giveUpAfter", "25h", "24h"),
    ("notifications.ops.queue", 10_001, 10_000),
    ("notifications.ops.namespaces", ["Trading"], ["trading"]),
    ("notifications.ops.namespaces", "trading", ["trading"]),
    ("notifications.ops.secretFile", "", "/key"),
    ("notifications.ops.caFile", "", "/ca.crt"),
]
"""A field, a wrong value of it, and the smallest correction (`...`: without the field)."""
# fmt: on


def with_field(path: str, value: object) -> dict[str, Any]:
    """A configuration with one server and one target, and the field at `path` set."""
    made: dict[str, Any] = {"servers": {"default": SERVER.copy()}, "notifications": {"ops": TARGET.copy()}}
    *way, last = path.split(".")
    place = made
    for part in way:
        place = place.setdefault(part, {})
    if value is not ...:
        place[last] = value
    return made


@pytest.mark.parametrize(("path", "wrong", "mended"), ROWS, ids=lambda part: str(part)[:40])
def test_a_wrong_value_is_refused_at_its_field_and_its_correction_is_taken(
    path: str, wrong: object, mended: object
) -> None:
    with pytest.raises(ValidationError) as refused:
        OperatorConfig.model_validate(with_field(path, wrong))
    (at,) = {".".join(str(part) for part in error["loc"]) for error in refused.value.errors()}
    assert at.startswith(path)
    OperatorConfig.model_validate(with_field(path, mended))
