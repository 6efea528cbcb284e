"""Traffic providers: one module per routing API, all behind the same port."""
