"""Configuration of Prometheus and Envoy in the cluster: the local lane's, with addresses of Services."""

from __future__ import annotations

import json
from typing import Any

import yaml

from testbed import gateway, objects, prometheus
from testbed.kindlane import switchable
from testbed.kubeapi import KubeObject
from testbed.paths import HERE

FOLDER = HERE / "kindlane" / "manifests"
GATEWAY_PORT = 30080
PROMETHEUS_PORT = 30090
"""NodePorts."""


def third_parties() -> list[KubeObject]:
    """Contour, Envoy and Prometheus; the images of their containers are names of parts."""
    found = objects.load_objects(FOLDER / "gateway.yaml", FOLDER / "prometheus.yaml")
    configs = {
        (objects.GATEWAY_NAMESPACE, "contour", "contour.yaml"): _contour(),
        (objects.GATEWAY_NAMESPACE, "envoy", "envoy.json"): _envoy(),
        (objects.MONITORING_NAMESPACE, "prometheus", "prometheus.yml"): _prometheus(),
        (objects.MONITORING_NAMESPACE, "prometheus-rules", "rules.yml"): prometheus.burn_alerts(),
    }
    maps = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": namespace},
            "data": {file: json.dumps(config)},
        }
        for (namespace, name, file), config in configs.items()
    ]
    return [*maps, *found]


def _contour() -> dict[str, Any]:
    return {"gateway": {"gatewayRef": {"namespace": objects.GATEWAY_NAMESPACE, "name": objects.GATEWAY_NAME}}}


def _envoy() -> dict[str, Any]:
    bootstrap: dict[str, Any] = yaml.safe_load((FOLDER.parent / "envoy-bootstrap.yaml").read_text())
    buckets = {"match": {"prefix": "cluster."}, "buckets": list(gateway.LATENCY_EDGES_MS)}
    bootstrap["stats_config"] = {"histogram_bucket_settings": [buckets]}
    return bootstrap


def _prometheus() -> dict[str, Any]:
    found = "__meta_kubernetes_"
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "900ms", "evaluation_interval": "1s"},
        "rule_files": ["/rules/rules.yml"],
        "scrape_configs": [
            {
                "job_name": "pods",
                "scrape_native_histograms": True,
                "kubernetes_sd_configs": [{"role": "endpointslice"}],
                "relabel_configs": [
                    {"source_labels": [f"{found}endpointslice_port_name"], "regex": "http", "action": "keep"},
                    {"source_labels": [f"{found}namespace"], "target_label": "namespace"},
                    {"source_labels": [f"{found}service_name"], "target_label": "service"},
                    {"source_labels": [f"{found}endpointslice_address_target_name"], "target_label": "pod"},
                ],
            },
            {
                "job_name": "gateway",
                "metrics_path": "/stats/prometheus",
                "static_configs": [{"targets": [f"envoy.{objects.GATEWAY_NAMESPACE}.svc:8002"]}],
                "metric_relabel_configs": prometheus.gateway_relabelling(),
            },
            {
                "job_name": "added",
                "honor_labels": True,
                "kubernetes_sd_configs": [{"role": "pod", "namespaces": {"names": [objects.MONITORING_NAMESPACE]}}],
                "relabel_configs": [
                    {
                        "source_labels": [f"{found}pod_label_testbed"],
                        "regex": switchable.EXPORTER_LABEL["testbed"],
                        "action": "keep",
                    },
                ],
            },
        ],
    }
