"""Contour and Envoy: the gateway of a local cluster."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import urllib3

from testbed import addresses, parts
from testbed.binaries import binary, envoy
from testbed.kubeapi import KubeApi
from testbed.kubeconfig import write_kubeconfig
from testbed.objects import GATEWAY_ACCOUNT, GATEWAY_NAME, GATEWAY_NAMESPACE, READY_HOST
from testbed.pki import Pki
from testbed.processes import ManagedProcess
from testbed.waiting import wait_for

LATENCY_EDGES_MS = (5, 10, 25, 50, 100, 200, 500, 1000, 2500, 5000, 10000)
"""Envoy's own defaults have 100 and 250 ms, and nothing at the 200 ms SLOs are set at."""

COUNTERS = re.compile(r"envoy_cluster_upstream_(rq(_xx|_total|_active|_time_bucket|_time_count|_time_sum)?|cx_active)")
"""What Prometheus keeps of Envoy's statistics."""

CLUSTER_NAME = re.compile(r"([^_]+)_([^_]+)_(\d+)")
"""How Contour names a backend in Envoy's statistics: namespace, Service, port."""

_XDS_PORT = 8001


class Gateway:
    """One Gateway, served at `url`; Envoy's counters are at `addresses.GATEWAY_STATS_PORT`."""

    url = f"http://{addresses.GATEWAY}:{addresses.GATEWAY_PORT}"

    def __init__(self, folder: Path, pki: Pki) -> None:
        self.folder = folder
        self.pki = pki
        self._config = folder / "contour.json"
        self._kubeconfig = folder / "kubeconfig" / "contour"
        self._bootstrap = folder / "envoy.json"
        self.contour = self._contour()
        self.envoy = self._envoy()

    @property
    def processes(self) -> list[ManagedProcess]:
        return [self.contour, self.envoy]

    def start(self, api: KubeApi) -> None:
        """Starts both; `wait_ready` says when traffic flows."""
        token = api.token(GATEWAY_NAMESPACE, GATEWAY_ACCOUNT)
        write_kubeconfig(self._kubeconfig, server=addresses.API_SERVER_URL, ca=self.pki.ca, token=token)
        config = {
            "gateway": {"gatewayRef": {"namespace": GATEWAY_NAMESPACE, "name": GATEWAY_NAME}},
            "metrics": {"envoy": {"address": addresses.GATEWAY, "port": addresses.GATEWAY_STATS_PORT}},
        }
        self._config.write_text(json.dumps(config))
        self.contour.start()
        self._write_bootstrap()
        self.envoy.start()

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Returns when Envoy serves what Contour has read from the API server."""

        def serves() -> bool:
            self.contour.require_running()
            self.envoy.require_running()
            headers = {"Host": READY_HOST}
            answer = urllib3.request("GET", self.url, headers=headers, timeout=2, retries=False, redirect=False)
            return answer.status == 302

        wait_for("gateway", serves, timeout=timeout, expected=(urllib3.exceptions.HTTPError,))

    def serves(self, host: str) -> bool:
        """Whether a client of this host is answered with 200."""
        try:
            answer = urllib3.request("GET", self.url, headers={"Host": host}, timeout=2, retries=False, redirect=False)
        except urllib3.exceptions.HTTPError:
            return False
        return answer.status == 200

    def _write_bootstrap(self) -> None:
        command: list[str | Path] = [
            binary(parts.CONTOUR),
            "bootstrap",
            self._bootstrap,
            "--xds-address=127.0.0.1",
            f"--xds-port={_XDS_PORT}",
            f"--namespace={GATEWAY_NAMESPACE}",
            "--admin-address=envoy-admin.sock",  # relative: the folder's path may be too long for a socket
            "--xds-resource-version=v3",
        ]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder)
        bootstrap = json.loads(self._bootstrap.read_text())
        buckets = {"match": {"prefix": "cluster."}, "buckets": list(LATENCY_EDGES_MS)}
        bootstrap["stats_config"] = {"histogram_bucket_settings": [buckets]}
        bootstrap["stats_flush_on_admin"] = True  # histograms are whole at each scrape, not every 5 s
        self._bootstrap.write_text(json.dumps(bootstrap))

    def _contour(self) -> ManagedProcess:
        command: list[str | Path] = [
            binary(parts.CONTOUR),
            "serve",
            f"--config-path={self._config}",
            f"--kubeconfig={self._kubeconfig}",
            "--insecure",  # xDS without certificates, on loopback
            "--xds-address=127.0.0.1",
            f"--xds-port={_XDS_PORT}",
            "--http-address=127.0.0.1",
            "--http-port=8000",
            "--health-address=127.0.0.1",
            "--health-port=8003",
            f"--envoy-service-http-address={addresses.GATEWAY}",
            f"--envoy-service-http-port={addresses.GATEWAY_PORT}",
            f"--envoy-service-https-address={addresses.GATEWAY}",
            "--envoy-http-access-log=/dev/null",
            "--disable-leader-election",
            f"--ingress-status-address={addresses.GATEWAY}",
            "--kubernetes-client-qps=200",
            "--kubernetes-client-burst=400",
            # kinds of Gateway API 1.3 that 1.5 serves in another version
            "--disable-feature=tlsroutes",
            "--disable-feature=tcproutes",
            "--disable-feature=backendtlspolicies",
        ]
        return ManagedProcess("contour", command, self.folder)

    def _envoy(self) -> ManagedProcess:
        command: list[str | Path] = [envoy(), "-c", self._bootstrap]
        command += ["--service-cluster", GATEWAY_NAMESPACE, "--service-node", "envoy-0", "--log-level", "warn"]
        command += ["--concurrency", "1", "--disable-hot-restart", "--drain-time-s", "1"]
        return ManagedProcess("envoy", command, self.folder)
