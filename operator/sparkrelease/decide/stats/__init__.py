"""Pure mathematics of the rules: numbers in, numbers out. Nothing here knows a release."""
