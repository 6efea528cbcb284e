"""The kubectl plugin: reads what the operator wrote and asks it for things; decides nothing itself."""
