"""A command bears the name of who gave it: the API server sees to it, whoever writes the annotation and however."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sparkrelease.api.command import COMMAND_ANNOTATION, Command, Verb, format_command
from testbed.cluster import User
from testbed.kubeapi import ApiError
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster
    from testbed.kubeapi import KubeApi, KubeObject

RELEASE = ("sparkrelease.dev/v1alpha1", "SparkRelease", "shop")


def command(user: str, verb: Verb = Verb.ROLLBACK) -> str:
    return format_command(Command(user=user, verb=verb, nonce="0123456789abcdef", reason='looks "bad"'))


def annotated(text: str | None) -> KubeObject:
    return {"metadata": {"annotations": {COMMAND_ANNOTATION: text}}}


@pytest.fixture
def stored(cluster: Cluster, release: KubeObject, jane: KubeApi) -> KubeObject:
    """The release, and an API server that enforces the policy already."""
    stored = cluster.create(release)

    def enforced() -> bool:
        try:
            cluster.patch(*RELEASE, release["metadata"]["namespace"], annotated("anything"))
        except ApiError as error:
            return error.code == 403
        return False

    wait_for("the command policy is enforced", enforced, every=0.2)
    return stored


def test_a_developer_gives_a_command_in_her_own_name(stored: KubeObject, ns: str, jane: KubeApi) -> None:
    after = jane.patch(*RELEASE, ns, annotated(command("jane@example.org")))
    assert json.loads(after["metadata"]["annotations"][COMMAND_ANNOTATION])["user"] == "jane@example.org"


@pytest.mark.parametrize(
    "text",
    [
        command("bob@example.org"),
        command("jane@example.or"),
        command("jane@example.org.evil"),
        json.dumps({"verb": "rollback", "user": "jane@example.org", "nonce": "0123456789abcdef"}),
        ' {"user":"jane@example.org","verb":"rollback","nonce":"0123456789abcdef"}',
        '{"user": "jane@example.org","verb":"rollback","nonce":"0123456789abcdef"}',
        "rollback",
    ],
)
def test_a_command_that_does_not_begin_with_her_name_is_refused(
    stored: KubeObject, ns: str, jane: KubeApi, text: str
) -> None:
    with pytest.raises(ApiError, match=r'must start with \{"user":"jane@example.org",') as refused:
        jane.patch(*RELEASE, ns, annotated(text))
    assert refused.value.code == 403


def test_an_administrator_cannot_speak_for_another_either(stored: KubeObject, ns: str, cluster: Cluster) -> None:
    with pytest.raises(ApiError, match="must start with"):
        cluster.patch(*RELEASE, ns, annotated(command("jane@example.org")))


def test_a_release_cannot_be_created_with_anothers_command(
    stored: KubeObject, ns: str, jane: KubeApi, release: KubeObject
) -> None:
    forged = {**release, "metadata": {"name": "other", "namespace": ns, **annotated(command("bob"))["metadata"]}}
    with pytest.raises(ApiError, match="must start with"):
        jane.create(forged)
    forged["metadata"]["annotations"] = annotated(command("jane@example.org"))["metadata"]["annotations"]
    assert jane.create(forged)["metadata"]["name"] == "other"


@pytest.mark.parametrize("name", ['ja"ne', "ja\\ne"])
def test_a_name_that_json_would_have_to_escape_gives_no_commands(
    stored: KubeObject, ns: str, cluster: Cluster, name: str
) -> None:
    client = cluster.client(User(name, ("system:masters",)))
    with pytest.raises(ApiError, match="cannot give commands"):
        client.patch(*RELEASE, ns, annotated('{"user":"' + name + '","verb":"rollback","nonce":"0123456789abcdef"}'))


def test_others_change_the_release_and_leave_or_take_away_a_command(
    stored: KubeObject, ns: str, jane: KubeApi, cluster: Cluster
) -> None:
    jane.patch(*RELEASE, ns, annotated(command("jane@example.org")))
    kept = cluster.patch(*RELEASE, ns, {"spec": {"paused": True}})
    assert kept["metadata"]["annotations"][COMMAND_ANNOTATION] == command("jane@example.org")
    assert COMMAND_ANNOTATION not in cluster.patch(*RELEASE, ns, annotated(None))["metadata"].get("annotations", {})


def test_a_status_write_brings_no_command_in(stored: KubeObject, ns: str, operator_api: KubeApi) -> None:
    patch = {**annotated(command("jane@example.org")), "status": {"phase": "Pending"}}
    after = operator_api.patch(*RELEASE, ns, patch, subresource="status")
    assert COMMAND_ANNOTATION not in after["metadata"].get("annotations", {})
