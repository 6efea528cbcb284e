"""Prometheus, asked through prometheus-api-client in threads of its own."""

from sparkrelease.adapters.prometheus.source import PrometheusSource

__all__ = ["PrometheusSource"]
