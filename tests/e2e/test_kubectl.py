"""Plain kubectl is enough to follow a release: tables, words, conditions to wait for, Events."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop

LOOSER = [{"name": "errors", "metric": "http", "max": 0.02, "minRequests": 1}]
"""An edit that leaves the version as it is."""

LONG = [{"name": "quarter", "weight": 25, "duration": "10m"}, {"name": "full", "weight": 100, "duration": "10m"}]


def kubectl(shop: Shop, *args: str) -> str:
    """What kubectl printed in the shop's namespace, when it did what it was asked."""
    done = shop.cluster.kubectl(*args, "-n", shop.namespace, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def row(table: str) -> dict[str, str]:
    """The only row of a table, by column; columns begin where their headings do."""
    head, line = table.rstrip("\n").splitlines()
    starts = [found.start() for found in re.finditer(r"(?<!\S)\S", head)]
    return {head[a:b].strip(): line[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)}


def conditions(status: Mapping[str, Any]) -> dict[str, str]:
    """By type, what the conditions of a status say."""
    return {one["type"]: one["status"] for one in status["conditions"]}


def ready_by(status: Mapping[str, Any]) -> str:
    """The reason why a status says Ready; nothing where it does not."""
    return next(
        (one["reason"] for one in status["conditions"] if (one["type"], one["status"]) == ("Ready", "True")), ""
    )


def test_a_bad_release_is_followed_with_kubectl_from_trial_to_rollback(
    operator: Operator, cluster: Cluster, shop: Shop
) -> None:
    shop.open()
    shop.start_load()
    since = cluster.audit_cursor()
    shop.ship("v2", stages=LONG)
    status = shop.until(
        "a judged and measured stage, every pod of it scraped",
        lambda s: (
            s.get("verdict") == "Pass"
            and s["weight"]["verified"]
            and s["weight"].get("measuredShare", 0) > 0
            and next(c["reason"] for c in s["conditions"] if c["type"] == "Ready") == "Progressing"
        ),
    )

    written = [status for _, status in shop.statuses_written(since) if status.get("conditions")]
    begun = next(number for number, status in enumerate(written) if status.get("run"))
    # the release may be seen before the pods it is about: canary then runs what stable runs, and all is well
    assert {ready_by(status) for status in written[:begun]} <= {"", "NothingToRelease"}
    first = conditions(written[begun])
    assert (first["Reconciling"], first["Ready"], first.get("Stalled")) == ("True", "False", None)

    seen = row(kubectl(shop, "get", "sr", shop.name))
    assert re.fullmatch(r"\d+[sm]\S*", seen.pop("AGE"))
    assert seen == {
        "NAME": shop.name,
        "VERSION": "v2",
        "PHASE": "Progressing",
        "STAGE": "1/2",
        "WEIGHT": "25",
        "VERDICT": "Pass",
        "GATE": "1/1",
        "READY": "False",
    }
    wide = row(kubectl(shop, "get", "sparkrelease", shop.name, "-o", "wide"))
    assert list(wide) == [*seen, "AGE", "REASON", "NEXT", "RUN"]
    assert (wide["REASON"], wide["NEXT"], wide["RUN"]) == ("Progressing", "gate quarter", status["run"]["id"])

    told = kubectl(shop, "describe", "sr", shop.name)
    for words in ("Phase:", "Observed Generation:", "stage quarter (1/2), canary weight 25"):
        assert words in told
    events_told(shop, "RunStarted", "StageEntered")

    screen = kubectl(shop, "sparkrelease", "status", shop.name)
    assert re.search(r"desired +observed +measured", screen)
    for side, weight in (("canary", 25), ("stable", 75)):
        assert re.search(rf"{side} +{weight} % +{weight} % +\d+(\.\d+)? %", screen), screen

    cluster.set_app(shop.namespace, f"app={shop.name}-canary", error=0.5)
    kubectl(shop, "wait", f"sr/{shop.name}", "--for=condition=RolledBack", "--timeout=90s")
    seen = row(kubectl(shop, "get", "sr", shop.name, "-o", "wide"))
    assert (seen["PHASE"], seen["WEIGHT"], seen["READY"], seen["REASON"]) == ("RolledBack", "0", "False", "RolledBack")
    assert seen["VERDICT"] == "Fail"
    kubectl(shop, "wait", f"sr/{shop.name}", "--for=condition=Stalled", "--timeout=10s")
    last = conditions(shop.status)
    assert (last["Ready"], last["Stalled"], last.get("Reconciling")) == ("False", "True", None)
    events_told(shop, "RollingBack", "RolledBack")
    shop.release("v2", stages=LONG, thresholds=LOOSER)
    kubectl(shop, "wait", f"sr/{shop.name}", "--for=condition=RolledBack", "--timeout=30s")


def test_a_good_release_is_waited_for_with_kubectl(operator: Operator, shop: Shop) -> None:
    shop.open()
    shop.start_load()
    shop.ship("v2")
    kubectl(shop, "wait", f"sparkrelease/{shop.name}", "--for=condition=Promoted", "--timeout=90s")
    seen = row(kubectl(shop, "get", "sr", shop.name))
    del seen["AGE"]
    assert seen == {
        "NAME": shop.name,
        "VERSION": "v2",
        "PHASE": "Succeeded",
        "STAGE": "3/3",
        "WEIGHT": "100",
        "VERDICT": "Pass",
        "GATE": "",
        "READY": "True",
    }
    events_told(shop, "RunStarted", "GatePassed", "Promoted")
    waited = shop.cluster.kubectl(
        "wait", f"sr/{shop.name}", "--for=condition=RolledBack", "--timeout=1s", "-n", shop.namespace
    )
    assert waited.returncode == 1, "what did not happen is not to be waited for in vain without being told"


def test_who_waits_for_a_promotion_waits_for_that_of_the_version_just_applied(operator: Operator, shop: Shop) -> None:
    shop.open()
    shop.start_load()
    shop.ship("v2")
    kubectl(shop, "wait", f"sr/{shop.name}", "--for=condition=Promoted", "--timeout=90s")
    shop.release("v3")
    waited = shop.cluster.kubectl(
        "wait", f"sr/{shop.name}", "--for=condition=Promoted", "--timeout=4s", "-n", shop.namespace
    )
    assert waited.returncode == 1, "v3 waits, and v2 is what was promoted"
    shop.until_condition("Ready", "False", "NotSettled")
    shop.release("v2")
    kubectl(shop, "wait", f"sr/{shop.name}", "--for=condition=Promoted", "--timeout=30s")
    shop.deploy("stable", "v2")
    shop.until_settled("v2")
    shop.release("v2", thresholds=LOOSER)
    kubectl(shop, "wait", f"sr/{shop.name}", "--for=condition=Promoted", "--timeout=30s")


def test_explain_says_what_a_stage_is(cluster: Cluster) -> None:
    text = wait_for(
        "stages are explained",
        lambda: cluster.kubectl("explain", "sparkrelease.spec.stages").stdout,
        timeout=20,
    )
    for words in ("KIND:       SparkRelease", "VERSION:    v1alpha1", "FIELD: stages", "weight\t<number> -required-"):
        assert words in text
    assert "<no description>" not in text


def events_told(shop: Shop, *reasons: str) -> None:
    """Waits until `kubectl describe` shows Events of these reasons, which come after the status."""

    def told() -> bool:
        events = kubectl(shop, "describe", "sr", shop.name).partition("Events:")[2]
        return all(re.search(rf"(Normal|Warning) +{reason} ", events) for reason in reasons)

    wait_for(f"Events {', '.join(reasons)} in describe", told, timeout=20, every=0.5)
