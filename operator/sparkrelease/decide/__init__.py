"""What should happen: pure functions from facts to a plan, without I/O, clock, chance or logging."""
