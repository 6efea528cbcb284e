"""When things happen: the store, the scheduler and the round that every release goes through."""
