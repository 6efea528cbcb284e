"""One operator at a time, a shop for each scenario, and the promises checked on every write to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import pytest

from e2e.release_files import Signer, declared
from testbed.flagdesk import FLAG, FlagDesk, flag_config
from testbed.invariants import Watcher
from testbed.managed import ManagedShop
from testbed.shop import Shop
from testbed.sole_operator import SoleOperator

if TYPE_CHECKING:
    from testbed.audit import AuditEvent
    from testbed.cluster import Cluster, Operator

MakeShop = Callable[..., Shop]


@pytest.fixture(scope="session")
def operators(cluster: Cluster) -> Iterator[SoleOperator]:
    """For scenarios that need an operator of their own: two of them at once would both write."""
    kept = SoleOperator(cluster)
    yield kept
    kept.stop()


@pytest.fixture
def operator(operators: SoleOperator) -> Operator:
    """The operator most scenarios share, with a tick of a second."""
    return operators.run()


@pytest.fixture
def shops(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[MakeShop]:
    """Makes shops in fresh namespaces. After the test, every write to them must have kept the promises."""
    made: list[Shop] = []
    since = cluster.audit_cursor()

    def make(name: str = "shop", *, owned: bool = False, kind: type[Shop] = Shop) -> Shop:
        shop = kind(cluster, cluster.namespace("e2e"), name, owned=owned)
        made.append(shop)
        return shop

    yield make
    events = list(cluster.audit_events(since))
    broken = [sentence for shop in made for sentence in promises_broken(shop, events)]
    for shop in made:
        shop.close()
    assert not broken, "\n".join(broken)


@pytest.fixture
def shop(shops: MakeShop) -> Shop:
    """One shop whose route is in Git."""
    return shops()


@pytest.fixture
def managed_shop(shops: MakeShop) -> ManagedShop:
    """A shop whose workload and route the operator keeps."""
    shop = shops(owned=True, kind=ManagedShop)
    assert isinstance(shop, ManagedShop)
    return shop


@pytest.fixture
def signer(cluster: Cluster, operators: SoleOperator) -> Signer:
    """The key of a pipeline, and an operator that knows it and no other."""
    made = Signer()
    operators.run(**declared(cluster, made))
    return made


@pytest.fixture
def flag_operator(operators: SoleOperator, cluster: Cluster) -> Operator:
    """An operator that knows by which label the application tells its sides apart."""
    return operators.run(**{key: value for key, value in flag_config(cluster).items() if key == "servers"})


@pytest.fixture
def desk(cluster: Cluster) -> Iterator[FlagDesk]:
    """A desk with its flag off; in the end every write of it must have kept the promises."""
    since = cluster.audit_cursor()
    made = FlagDesk(cluster, cluster.namespace("flag"), "desk")
    yield made
    broken = promises_broken(made, list(cluster.audit_events(since)), flag=FLAG)
    made.close()
    assert not broken, "\n".join(broken)


def operator_user() -> str:
    """The operator's own account, as the API server names it."""
    return "system:serviceaccount:sparkrelease-system:sparkrelease-operator"


def promises_broken(by: Shop, events: Iterable[AuditEvent], *, flag: str = "", beside: Iterable[str] = ()) -> list[str]:
    """Which promises the writes to a release's namespace have broken; what the log leaves open is looked up there.

    `beside`: names of the releases that share the namespace, whose writes are looked at in their own turn.
    """
    others = frozenset(beside) - {by.name}
    watcher = Watcher(by.namespace, f"{by.name}-canary", operator_user(), flag=flag, beside=others)
    return watcher.read(events, by.cluster.list("v1", "ConfigMap", by.namespace)).broken
