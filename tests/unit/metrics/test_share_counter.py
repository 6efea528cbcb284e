"""The counter of the measured share is checked when the operator starts, not when the first weight is doubted."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from sparkrelease.__main__ import Exit, read_config

CONFIG = "servers: {{default: {{url: 'http://prometheus:9090', share: {{counter: '{}', judged: true}}}}}}"


def test_a_selector_is_a_share_counter(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG.format("envoy_cluster_upstream_rq_total"))
    declared = read_config(file).servers["default"].share
    assert declared is not None
    assert declared.judged


@pytest.mark.parametrize("counter", ["rate(requests_total[1m])", "requests_total[1m]", "requests_total{"])
def test_what_is_no_selector_ends_the_start_with_the_field(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], counter: str
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG.format(counter))
    with pytest.raises(typer.Exit) as ended:
        read_config(file)
    assert ended.value.exit_code == Exit.CONFIG
    assert "servers.default.share.counter" in capsys.readouterr().err
