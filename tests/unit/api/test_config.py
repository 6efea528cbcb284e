"""What an administrator may say, and what would let two operators write."""

from __future__ import annotations

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
