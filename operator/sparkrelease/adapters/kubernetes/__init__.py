"""The Kubernetes API: releases and their status, evidence, workloads and Events, each behind its port."""
