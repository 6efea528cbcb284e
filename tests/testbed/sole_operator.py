"""One operator at a time: two with Leases of their own would both write."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from testbed.cluster import Cluster, Operator
from testbed.kubeapi import ApiError
from testbed.shop import operator_config


class SoleOperator:
    """Stays for as long as tests want the same, and makes way for another."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._wanted: object = None
        self._running: Operator | None = None

    def run(self, replicas: int = 1, *, files: Mapping[str, str] | None = None, **changes: object) -> Operator:
        """The running operator if it is whole and has this configuration and these files, else a new one."""
        config = operator_config(self._cluster, **changes)
        wanted = (replicas, config, files)
        if self._running is None or self._wanted != wanted or not self._running.running:
            self.stop()
            self._running = self._cluster.start_operator(config, replicas=replicas, files=files)
            self._wanted = wanted
        return self._running

    def crash(self) -> None:
        """Kills it without warning and starts it again.

        Its Lease is freed at once, as if its time had run out: how long that takes is another scenario.

        Raises:
            RuntimeError: none was started.
        """
        if self._running is None:
            raise RuntimeError("no operator was started")
        self._running.kill()
        self._free()
        self._running.restart()

    def stop(self) -> None:
        """Ends it. The next one need not wait for its Lease, even if it had no time to give it back."""
        if self._running is not None:
            self._running.stop()
            self._free()
        self._running = None

    def _free(self) -> None:
        nobody = {"spec": {"holderIdentity": ""}}
        try:
            self._cluster.patch(
                "coordination.k8s.io/v1", "Lease", "sparkrelease-operator", "sparkrelease-system", nobody
            )
        except ApiError as error:
            if error.code != HTTPStatus.NOT_FOUND:
                raise
