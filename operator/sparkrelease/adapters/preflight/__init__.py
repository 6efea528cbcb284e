"""Items of spec.preflight, carried out: requests, Jobs and files. Nothing heavy is imported before it is needed."""
