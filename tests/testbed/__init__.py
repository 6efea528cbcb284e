"""Real clusters for tests, benchmarks and the demo: see `testbed.cluster` for what every lane offers."""
