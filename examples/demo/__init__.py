"""The whole main job on this machine: one good release, one bad one, a summary of what happened."""
