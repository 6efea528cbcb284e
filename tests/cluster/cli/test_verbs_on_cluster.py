"""Commands reach the operator through the one annotation, and every way this can fail has its exit code."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from sparkrelease.api.command import Command, Verb, format_command, parse_command
from testbed.cluster import User
from testbed.kubeapi import ApiError

if TYPE_CHECKING:
    from cluster.cli.terminal import Person
    from testbed.cluster import Cluster
    from testbed.kubeapi import KubeObject

API = "sparkrelease.dev/v1alpha1"
RUN = "v2-6c1f0a"
WHO = "testbed-admin"
ANNOTATION = "sparkrelease.dev/command"

Answer = Callable[[Mapping[str, str]], Mapping[str, object]]
Answering = Callable[[Answer], AbstractContextManager[None]]


def annotation(cluster: Cluster, ns: str) -> str | None:
    text: str | None = cluster.get(API, "SparkRelease", "shop", ns)["metadata"].get("annotations", {}).get(ANNOTATION)
    return text


def test_a_command_is_written_in_the_one_accepted_form_for_this_user_and_run(
    cluster: Cluster, ns: str, person: Person, release: KubeObject
) -> None:
    done = person.run("pause", "shop", "--reason", 'lunch, "really"', "--no-wait")
    assert done.returncode == 0, done.stderr
    text = annotation(cluster, ns)
    assert text is not None
    command = parse_command(text)
    assert isinstance(command, Command)
    assert (command.user, command.verb, command.run, command.reason) == (WHO, "pause", RUN, 'lunch, "really"')
    assert text == format_command(command)


def test_every_command_has_a_nonce_of_its_own(cluster: Cluster, ns: str, person: Person, release: KubeObject) -> None:
    seen = set()
    for _ in range(2):
        assert person.run("rollback", "shop", "--reason", "bad", "--no-wait").returncode == 0
        seen.add(json.loads(annotation(cluster, ns) or "")["nonce"])
    assert len(seen) == 2


def test_other_annotations_stay(cluster: Cluster, ns: str, person: Person, release: KubeObject) -> None:
    cluster.patch(API, "SparkRelease", "shop", ns, {"metadata": {"annotations": {"team": "payments"}}})
    assert person.run("pause", "shop", "--no-wait").returncode == 0
    assert cluster.get(API, "SparkRelease", "shop", ns)["metadata"]["annotations"]["team"] == "payments"


def test_a_taken_command_is_told_with_exit_code_0(person: Person, release: KubeObject, answering: Answering) -> None:
    with answering(lambda _: {}):
        done = person.run("pause", "shop", "--reason", "lunch")
    assert (done.returncode, done.stderr) == (0, "")
    assert "pause taken by the operator" in done.stdout


def test_a_command_the_operator_refuses_is_told_with_exit_code_1(
    person: Person, release: KubeObject, answering: Answering
) -> None:
    def refuse(command: Mapping[str, str]) -> Mapping[str, object]:
        taken = {key: command[key] for key in ("nonce", "verb", "user")}
        return {"command": {**taken, "at": "2026-11-21T10:01:00.000Z", "result": "refused: it is not paused"}}

    with answering(refuse):
        done = person.run("resume", "shop")
    assert done.returncode == 1
    assert "refused: it is not paused" in done.stderr


def test_a_rollback_waits_until_traffic_is_back_and_says_how_long_it_took(
    person: Person, release: KubeObject, answering: Answering
) -> None:
    at = "2026-11-21T10:01:00.000Z"
    record = {"run": RUN, "trigger": "command", "reason": "RollbackRequested", "decidedAt": at, "fromWeight": 25}
    back = {"rollback": {**record, "trafficAt": "2026-11-21T10:01:00.400Z", "seconds": 0.4}}
    with answering(lambda _: back):
        done = person.run("rollback", "shop", "--reason", "orders are lost")
    assert done.returncode == 0, done.stderr
    assert "all traffic is back on stable, 0.4 s after the decision" in done.stdout


@pytest.mark.parametrize("reason", ["a < b & c > d", "größer, „schnell“ \\ 速い", "line\u2028end"])
def test_any_words_of_a_reason_arrive_as_they_are_and_hold_up_no_later_command(
    *, cluster: Cluster, ns: str, person: Person, release: KubeObject, answering: Answering, reason: str
) -> None:
    with answering(lambda _: {}):
        for verb in ("pause", "resume"):
            done = person.run(verb, "shop", "--reason", reason)
            assert done.returncode == 0, done.stderr
    command = parse_command(annotation(cluster, ns) or "")
    assert isinstance(command, Command)
    assert command.reason == " ".join(reason.split())


def test_a_command_nobody_takes_is_told_with_exit_code_6_and_stays(
    cluster: Cluster, ns: str, person: Person, release: KubeObject
) -> None:
    done = person.run("pause", "shop", "--timeout", "300ms")
    assert done.returncode == 6
    assert "did not take pause within 0.3 s" in done.stderr
    assert annotation(cluster, ns) is not None


def test_a_command_that_waits_is_not_overwritten_except_by_a_rollback(
    cluster: Cluster, ns: str, person: Person, release: KubeObject
) -> None:
    person.run("pause", "shop", "--no-wait")
    before = annotation(cluster, ns)
    done = person.run("promote", "shop", "--reason", "looks good", "--timeout", "300ms")
    assert (done.returncode, annotation(cluster, ns)) == (6, before)
    assert f"pause by {WHO}, asked before" in done.stderr
    assert person.run("rollback", "shop", "--reason", "bad", "--no-wait").returncode == 0
    assert json.loads(annotation(cluster, ns) or "")["verb"] == "rollback"


def test_status_writes_in_between_do_not_keep_a_command_from_being_written(
    cluster: Cluster, ns: str, person: Person, release: KubeObject
) -> None:
    stop = threading.Event()

    def keep_writing() -> None:
        share = 0
        while not stop.wait(0.05):
            share = (share + 1) % 100
            status = {"status": {"weight": {"measuredShare": share}}}
            cluster.patch(API, "SparkRelease", "shop", ns, status, subresource="status")

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        done = person.run("pause", "shop", "--no-wait")
    finally:
        stop.set()
        writer.join()
    assert done.returncode == 0, done.stderr


def test_a_dry_run_says_what_would_happen_and_changes_nothing(
    cluster: Cluster, ns: str, person: Person, release: KubeObject
) -> None:
    before = cluster.get(API, "SparkRelease", "shop", ns)
    done = person.run("rollback", "shop", "--reason", "just asking", "--dry-run")
    assert done.returncode == 0, done.stderr
    for told in ("25 % → 0 %", "75 % → 100 %", "HTTPRoute/shop", RUN):
        assert told in done.stdout
    assert cluster.get(API, "SparkRelease", "shop", ns) == before


def test_a_dry_run_without_a_run_under_way_says_that_nothing_would_be_done(
    cluster: Cluster, ns: str, person: Person, release: KubeObject
) -> None:
    ended = {"status": {"run": {"end": "RolledBack"}, "phase": "RolledBack"}}
    cluster.patch(API, "SparkRelease", "shop", ns, ended, subresource="status")
    done = person.run("rollback", "shop", "--reason", "just asking", "--dry-run")
    assert done.returncode == 1
    assert "no run is under way" in done.stdout


# ---------------------------------------------------------------- who may


def allow(cluster: Cluster, ns: str, name: str, *verbs: str, user: str = "") -> None:
    """Lets the user (called like the Role unless given) do this with the releases of the namespace."""
    rule = {"apiGroups": ["sparkrelease.dev"], "resources": ["sparkreleases"], "verbs": list(verbs)}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": name, "namespace": ns}}
    cluster.create({**role, "kind": "Role", "rules": [rule]})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user or name}
    cluster.create({**role, "kind": "RoleBinding", "roleRef": reference, "subjects": [subject]})


def test_somebody_without_rights_is_refused_with_exit_code_4(person: Person, release: KubeObject) -> None:
    done = person.run("status", "shop", identity=User("eve"))
    assert done.returncode == 4
    assert 'User "eve" cannot get resource "sparkreleases"' in done.stderr


@pytest.mark.parametrize("verb", [["pause"], ["rollback", "--reason", "x"], ["rollback", "--reason", "x", "--dry-run"]])
def test_who_may_only_look_cannot_command(
    cluster: Cluster, ns: str, person: Person, release: KubeObject, verb: list[str]
) -> None:
    allow(cluster, ns, "viewer", "get", "list")
    assert person.run("status", "shop", identity=User("viewer")).returncode == 0
    done = person.run(*verb, "shop", identity=User("viewer"))
    assert done.returncode == 4
    assert "cannot patch" in done.stderr
    assert annotation(cluster, ns) is None


def test_the_user_of_a_command_is_who_the_api_server_says(
    cluster: Cluster, ns: str, person: Person, release: KubeObject
) -> None:
    allow(cluster, ns, "mira", "get", "patch")
    assert person.run("pause", "shop", "--no-wait", identity=User("mira")).returncode == 0
    assert json.loads(annotation(cluster, ns) or "")["user"] == "mira"


def test_an_annotation_in_somebody_else_s_name_is_refused_by_the_api_server_itself(
    cluster: Cluster, ns: str, release: KubeObject
) -> None:
    command = Command(user="mira", verb=Verb.ROLLBACK, run=RUN, nonce="0123456789abcdef", reason="not me")
    patch = {"metadata": {"annotations": {ANNOTATION: format_command(command)}}}
    with pytest.raises(ApiError, match="bears the name of who gives it"):
        cluster.patch(API, "SparkRelease", "shop", ns, patch)


def test_what_an_admission_policy_refuses_is_exit_code_4_with_its_words(
    cluster: Cluster, ns: str, person: Person, release: KubeObject
) -> None:
    allow(cluster, ns, "quoted", "get", "patch", user='o"neil')
    done = person.run("pause", "shop", "--no-wait", identity=User('o"neil'))
    assert done.returncode == 4
    assert "cannot give commands" in done.stderr


# ---------------------------------------------------------------- the other exit codes


@pytest.mark.parametrize(
    "command", [["status"], ["pause"], ["rollback", "--reason", "x"], ["evidence", "verify"], ["evidence", "show"]]
)
def test_a_release_that_is_not_there_is_exit_code_3(person: Person, cluster: Cluster, command: list[str]) -> None:
    done = person.run(*command, "nothing")
    assert (done.returncode, done.stdout) == (3, "")
    assert "nothing" in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["rollback", "shop"],
        ["promote", "shop", "--reason", "  "],
        ["pause", "shop", "--reason", "x" * 513],
        ["pause", "shop", "--timeout", "soon"],
        ["status", "shop", "-o", "xml"],
        ["status", "shop", "--watch", "-o", "json"],
        ["status", "shop", "--context", "nowhere"],
        ["dance", "shop"],
    ],
)
def test_what_cannot_be_meant_is_exit_code_2_and_nothing_is_written(
    cluster: Cluster, ns: str, person: Person, release: KubeObject, command: list[str]
) -> None:
    done = person.run(*command)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr
    assert annotation(cluster, ns) is None


def test_an_api_server_nobody_answers_for_is_exit_code_5(person: Person, cluster: Cluster, tmp_path: Path) -> None:
    config = yaml.safe_load(cluster.kubeconfig().read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(config))
    done = person.run("status", "shop", "--kubeconfig", str(file))
    assert done.returncode == 5
    assert "cannot reach https://127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr
