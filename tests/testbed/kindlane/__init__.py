"""The parts of the kind lane: Docker and kind, the node, images, and what runs in pods there."""
