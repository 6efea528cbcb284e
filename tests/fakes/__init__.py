"""In-memory stand-ins for the ports: an API server with its gateway, a clock, measurements."""
