"""The metrics servers a person names on the command line: a URL, or the operator's own configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import ValidationError

from sparkrelease.api.config import MetricsServer, OperatorConfig, RoleLabels
from sparkrelease.api.objects import describe_faults
from sparkrelease.cli.exits import CliError, ExitCode


def read_config(file: Path) -> OperatorConfig:
    """The operator's configuration, or the ConfigMap it is kept in."""
    try:
        body = yaml.safe_load(file.read_text(encoding="utf-8"))
        if isinstance(body, Mapping) and body.get("kind") == "ConfigMap":
            data = body.get("data")
            texts = list(data.values()) if isinstance(data, Mapping) else []
            body = yaml.safe_load(texts[0]) if len(texts) == 1 else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as fault:
        line = " ".join(str(fault).split())
        raise CliError(ExitCode.USAGE, f"{file} cannot be read: {line}") from fault
    try:
        return OperatorConfig.model_validate(body)
    except ValidationError as fault:
        raise CliError(ExitCode.USAGE, f"{file}: {describe_faults(fault, 'config')}") from fault


def config_of(
    server: str, *, config: Path | None, url: str | None, namespace_label: str | None, service_label: str | None
) -> OperatorConfig:
    """The configuration to ask by. `server` is the one the release names; `url` puts another address in its place.

    Raises CliError when the configuration does not declare the server and no URL is given.
    """
    declared = read_config(config) if config is not None else OperatorConfig()
    known = declared.servers.get(server)
    if known is None and config is not None and url is None:
        there = ", ".join(sorted(declared.servers)) or "none"
        raise CliError(ExitCode.USAGE, f"{config}: server {server} is not declared (there are: {there})")
    known = known or MetricsServer(url=UNASKED)
    labels = RoleLabels(
        namespace=_label(namespace_label, "--namespace-label") or known.labels.namespace,
        service=_label(service_label, "--service-label") or known.labels.service,
    )
    try:
        chosen = MetricsServer.model_validate(
            {**known.model_dump(by_alias=True), "url": url or known.url, "labels": labels}
        )
    except ValidationError as fault:
        raise CliError(ExitCode.USAGE, describe_faults(fault, "--prometheus")) from fault
    return declared.model_copy(update={"servers": {**declared.servers, server: chosen}})


def _label(name: str | None, option: str) -> str | None:
    """The name of a label as a person gave it; CliError for one that no series can have."""
    if name:
        try:
            RoleLabels(service=name)
        except ValidationError as fault:
            text = f"{option}: {name!r} is no name of a label: letters, digits and _, with a letter or _ in front"
            raise CliError(ExitCode.USAGE, text) from fault
    return name


UNASKED = "http://unasked.invalid"
"""Address of a server that is only written for, and never asked."""
