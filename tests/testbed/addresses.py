"""Fixed addresses inside the namespace of a local cluster; pods get theirs above them."""

NODE = "10.244.0.1"
GATEWAY = "10.244.0.2"
PROMETHEUS = "10.244.0.3"
EXPORTER = "10.244.0.4"
PROMETHEUS_PROXY = "10.244.0.5"
ALERTMANAGER = "10.244.0.6"
OPERATORS = "10.244.0.10"
"""Prefix of the addresses of operator processes: .101, .102, ..."""
FIRST_POD = "10.244.1.1"

API_SERVER_URL = "https://127.0.0.1:6443"
ETCD_PORT = 2379
GATEWAY_PORT = 8080
GATEWAY_STATS_PORT = 8002
PROMETHEUS_PORT = 9090
ALERTMANAGER_PORT = 9093
EXPORTER_PORT = 8080
