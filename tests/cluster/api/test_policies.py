"""The ready-made policies are taken by a real API server, to the last field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from testbed.paths import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.cluster import Cluster

FILES = sorted((PROJECT / "manifests" / "policies").glob("spark-*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_policy_is_taken_with_no_field_unknown_and_kept_as_written(cluster: Cluster, path: Path) -> None:
    body = yaml.safe_load(path.read_text())
    query = {"dryRun": "All", "fieldValidation": "Strict"}
    taken = cluster.api.request("POST", "/apis/sparkrelease.dev/v1alpha1/releasepolicies", body, query=query)
    for part in ("stages", "metrics", "thresholds", "triggers"):
        assert [item["name"] for item in taken["spec"][part]] == [item["name"] for item in body["spec"][part]]


def test_the_folder_is_applied_as_the_page_says(cluster: Cluster) -> None:
    done = cluster.kubectl("apply", "--dry-run=server", "-k", str(PROJECT / "manifests" / "policies"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("dry run") == len(FILES)
