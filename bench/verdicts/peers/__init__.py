"""How other tools decide, written from their sources; one module each, each with a table test."""
