"""What every local cluster has installed before a test begins: namespaces, RBAC, CRDs, one Gateway."""

from __future__ import annotations

from pathlib import Path

import yaml

from testbed.binaries import manifests
from testbed.kubeapi import ApiError, KubeApi, KubeObject
from testbed.waiting import wait_for

GATEWAY_NAMESPACE = "projectcontour"
GATEWAY_NAME = "public"
GATEWAY_CLASS = "contour"
LISTENER = "http"
READY_HOST = "ready.testbed"
"""Host name the gateway answers 302 to as soon as it serves."""
GATEWAY_ACCOUNT = "contour"
MONITORING_NAMESPACE = "monitoring"
MONITORING_ACCOUNT = "prometheus"

_RBAC = "rbac.authorization.k8s.io/v1"
_GATEWAY_API = "gateway.networking.k8s.io/v1"
_CRD = "apiextensions.k8s.io/v1"


def load_objects(*paths: Path) -> list[KubeObject]:
    """Every object in YAML files, in order."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster on CRDs, where it is there
    return [obj for path in paths for obj in yaml.load_all(path.read_text(), loader) if obj]


def definition_files() -> list[Path]:
    """CRDs (and admission policies) of the Gateway API's standard channel, and Contour's."""
    return [*sorted(manifests("gateway-api").glob("*.yaml")), manifests("contour") / "01-crds.yaml"]


def rbac_files() -> list[Path]:
    return [manifests("contour") / "02-role-contour.yaml"]


def own_objects() -> list[KubeObject]:
    """Ours, in the order in which they can be created once the definitions are there."""
    return [
        *_account(GATEWAY_NAMESPACE, GATEWAY_ACCOUNT, role="contour"),
        *_account(MONITORING_NAMESPACE, MONITORING_ACCOUNT, role="prometheus"),
        {
            "apiVersion": _RBAC,
            "kind": "ClusterRole",
            "metadata": {"name": "prometheus"},
            "rules": [
                {"apiGroups": [""], "resources": ["services", "pods"], "verbs": ["get", "list", "watch"]},
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["get", "list", "watch"]},
            ],
        },
        {
            "apiVersion": _GATEWAY_API,
            "kind": "GatewayClass",
            "metadata": {"name": GATEWAY_CLASS},
            "spec": {"controllerName": "projectcontour.io/gateway-controller"},
        },
        {
            "apiVersion": _GATEWAY_API,
            "kind": "Gateway",
            "metadata": {"name": GATEWAY_NAME, "namespace": GATEWAY_NAMESPACE},
            "spec": {
                "gatewayClassName": GATEWAY_CLASS,
                "listeners": [
                    {
                        "name": LISTENER,
                        "protocol": "HTTP",
                        "port": 80,
                        "allowedRoutes": {"namespaces": {"from": "All"}},
                    }
                ],
            },
        },
        {
            # A gateway without any route does not listen at all; this one answers 302 and needs no backend.
            "apiVersion": _GATEWAY_API,
            "kind": "HTTPRoute",
            "metadata": {"name": "ready", "namespace": GATEWAY_NAMESPACE},
            "spec": {
                "parentRefs": [{"name": GATEWAY_NAME, "sectionName": LISTENER}],
                "hostnames": [READY_HOST],
                "rules": [
                    {
                        "filters": [
                            {
                                "type": "RequestRedirect",
                                "requestRedirect": {"hostname": "localhost", "statusCode": 302},
                            }
                        ]
                    }
                ],
            },
        },
    ]


def install(api: KubeApi) -> None:
    """Installs everything above into an empty cluster; returns when the definitions are served."""
    apply_definitions(api, load_objects(*definition_files()))
    for obj in [*own_objects(), *load_objects(*rbac_files())]:
        api.apply(obj)


def apply_definitions(api: KubeApi, definitions: list[KubeObject]) -> None:
    """Applies objects and waits until the API server serves every CustomResourceDefinition among them."""
    for obj in definitions:
        api.apply(obj)
    names = [obj["metadata"]["name"] for obj in definitions if obj["kind"] == "CustomResourceDefinition"]
    wait_for("CRDs established", lambda: all(_established(api, name) for name in names), every=0.05)


def _established(api: KubeApi, name: str) -> bool:
    try:
        conditions = api.get(_CRD, "CustomResourceDefinition", name).get("status", {}).get("conditions") or []
    except ApiError:
        return False
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)


def _account(namespace: str, name: str, role: str) -> list[KubeObject]:
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}},
        {
            "apiVersion": _RBAC,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        },
    ]
