"""Documents of a run, made from its evidence alone: pure, so the same evidence gives the same bytes."""
