"""A small trading API that exports every metric the ready-made policies read, and can be told to misbehave."""
