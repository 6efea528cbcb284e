"""Prometheus at a fixed address: scrapes pods, the gateway and whatever a test adds, once a second."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import urllib3
import yaml

from testbed import addresses, gateway, parts
from testbed.binaries import binary
from testbed.kubeapi import KubeApi
from testbed.objects import MONITORING_ACCOUNT, MONITORING_NAMESPACE
from testbed.pki import Pki
from testbed.processes import ManagedProcess
from testbed.waiting import wait_for

FAILED = '{code=~"5.."}'
SCRAPE_INTERVAL = 1.0
"""Seconds between two scrapes of a target."""


BURN_ALERTS = {"ErrorBudgetBurn1h": ("1h", 14.4), "ErrorBudgetBurn6h": ("6h", 6.0)}
"""Alerting rules it has loaded, on errors of pods: window, and how many times faster than borne."""


class Prometheus:
    """A Prometheus with Kubernetes discovery.

    Series of pods carry `namespace`, `service`, `pod`; those of the gateway `namespace`, `service`, `port` of the
    backend; added targets keep the labels they expose.
    """

    url = f"http://{addresses.PROMETHEUS}:{addresses.PROMETHEUS_PORT}"

    def __init__(self, folder: Path, pki: Pki) -> None:
        self.folder = folder
        self.pki = pki
        self._token = folder / "prometheus.token"
        self._config = folder / "prometheus.yml"
        self._rules = folder / "rules.yml"
        self._targets = folder / "targets"
        self.process = self._process()

    def start(self, api: KubeApi) -> None:
        """Starts it; `wait_ready` says when it answers queries."""
        self._token.touch(mode=0o600)
        self._token.write_text(api.token(MONITORING_NAMESPACE, MONITORING_ACCOUNT))
        self._targets.mkdir(exist_ok=True)
        self._config.write_text(yaml.safe_dump(self._configuration()))
        self._rules.write_text(yaml.safe_dump(burn_alerts()))
        self.process.start()

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Returns when it says it is ready."""

        def ready() -> bool:
            self.process.require_running()
            return urllib3.request("GET", f"{self.url}/-/ready", timeout=2, retries=False).status == 200

        wait_for("Prometheus ready", ready, timeout=timeout, expected=(urllib3.exceptions.HTTPError,))

    def add_target(self, address: str, labels: dict[str, str] | None = None) -> None:
        """Scrapes http://<address>/metrics from now on; returns once it is a target."""
        name = address.replace(":", "-")
        unfinished = self._targets / f"{name}.tmp"
        unfinished.write_text(json.dumps([{"targets": [address], "labels": labels or {}}]))
        unfinished.rename(self._targets / f"{name}.json")
        wait_for(f"{address} scraped", lambda: query(self.url, f'up{{instance="{address}"}} == 1'), timeout=20)

    def _configuration(self) -> dict[str, Any]:
        return {
            "global": {"scrape_interval": "1s", "scrape_timeout": "900ms", "evaluation_interval": "1s"},
            "rule_files": [str(self._rules)],
            "scrape_configs": [
                self._pods(),
                {
                    "job_name": "gateway",
                    "metrics_path": "/stats/prometheus",
                    "static_configs": [{"targets": [f"{addresses.GATEWAY}:{addresses.GATEWAY_STATS_PORT}"]}],
                    "metric_relabel_configs": gateway_relabelling(),
                },
                {
                    "job_name": "added",
                    "honor_labels": True,
                    "file_sd_configs": [{"files": [f"{self._targets}/*.json"], "refresh_interval": "1s"}],
                },
            ],
        }

    def _pods(self) -> dict[str, Any]:
        found = "__meta_kubernetes_"
        return {
            "job_name": "pods",
            "scrape_native_histograms": True,
            "kubernetes_sd_configs": [
                {
                    "role": "endpointslice",
                    "api_server": addresses.API_SERVER_URL,
                    "tls_config": {"ca_file": str(self.pki.ca)},
                    "authorization": {"credentials_file": str(self._token)},
                }
            ],
            "relabel_configs": [
                {"source_labels": [f"{found}endpointslice_port_name"], "regex": "http", "action": "keep"},
                {"source_labels": [f"{found}namespace"], "target_label": "namespace"},
                {"source_labels": [f"{found}service_name"], "target_label": "service"},
                {"source_labels": [f"{found}endpointslice_address_target_name"], "target_label": "pod"},
            ],
        }

    def _process(self) -> ManagedProcess:
        command: list[str | Path] = [
            binary(parts.PROMETHEUS),
            f"--config.file={self._config}",
            f"--storage.tsdb.path={self.folder / 'tsdb'}",
            "--storage.tsdb.retention.time=6h",
            f"--web.listen-address={addresses.PROMETHEUS}:{addresses.PROMETHEUS_PORT}",
            "--scrape.discovery-reload-interval=100ms",  # hidden; a new pod is scraped at once instead of within 5 s
            "--web.enable-otlp-receiver",  # how a test makes a native histogram
            "--log.level=warn",
        ]
        return ManagedProcess("prometheus", command, self.folder)


def burn_alerts() -> dict[str, Any]:
    """The rules of `BURN_ALERTS`, evaluated rarely: they are there to be looked for."""

    def rate(selector: str, window: str) -> str:
        return f"sum by (namespace, service) (rate(http_requests_total{selector}[{window}]))"

    rules = [
        {"alert": name, "expr": f"{rate(FAILED, window)} / {rate('', window)} > {factor * 0.001:g}", "for": "2m"}
        for name, (window, factor) in BURN_ALERTS.items()
    ]
    return {"groups": [{"name": "error-budget", "interval": "15s", "rules": rules}]}


def gateway_relabelling() -> list[dict[str, Any]]:
    """Keeps the counters of requests per backend, and labels them as the backend's namespace, Service and port."""
    keep = {"source_labels": ["__name__"], "action": "keep", "regex": gateway.COUNTERS.pattern}
    labels = [
        {
            "source_labels": ["envoy_cluster_name"],
            "regex": gateway.CLUSTER_NAME.pattern,
            "target_label": label,
            "replacement": f"${place}",
        }
        for place, label in enumerate(("namespace", "service", "port"), start=1)
    ]
    return [keep, *labels]


def query(url: str, promql: str, *, at: float | None = None, timeout: float = 5.0) -> list[dict[str, Any]]:
    """The series of an instant query's answer, each with `metric` and `value`; empty when it cannot be asked.

    `at` is the instant in Unix seconds, now unless given.

    Raises:
        ValueError: Prometheus refused the query.
    """
    fields = {"query": promql} | ({"time": f"{at:.3f}"} if at is not None else {})
    try:
        answer = urllib3.request("GET", f"{url}/api/v1/query", fields=fields, timeout=timeout, retries=False).json()
    except urllib3.exceptions.HTTPError:
        return []
    if answer["status"] != "success":
        raise ValueError(f"{promql}: {answer.get('error')}")
    series: list[dict[str, Any]] = answer["data"]["result"]
    return series
