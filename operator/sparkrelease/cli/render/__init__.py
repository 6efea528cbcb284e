"""What a person sees: models in, rich renderables out. Nothing here asks a cluster, reads a clock or prints."""
