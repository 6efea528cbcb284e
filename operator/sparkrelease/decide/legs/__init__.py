"""The seven kinds of legs: each says of one metric and one role whether its condition holds."""
