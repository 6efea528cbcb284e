"""What the operator costs and how fast it goes back, measured against a real API server and a real Prometheus."""
