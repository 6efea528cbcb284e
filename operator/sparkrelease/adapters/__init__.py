"""How the outside world is reached: one module or folder per system, none knowing another."""
