"""A release's rules on the past: the operator's own measuring and deciding, by a server that is wound back."""
