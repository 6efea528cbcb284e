"""How the program ends: exit codes, and the one exception that carries one."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes; part of the interface, documented in docs/cli.md."""

    FINE = 0
    BAD = 1
    """The thing asked about is bad: broken evidence, a release rolled back, a command the operator refused."""
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    """The API server refuses: permission, admission, or an object it finds invalid."""
    UNREACHABLE = 5
    TIMED_OUT = 6
    DIFFERS = 7
    """A stored decision does not come out as it was recorded when it is made again."""
    UNKNOWN = 8
    """It cannot be said whether the release is healthy: too little was measured, or the operator is silent."""
    UNTRIED = 9
    """Nothing that was looked at is bad, but not everything that is required could be looked at."""
    PRUNED = 10
    """The evidence asked for was let go as its release says: there is nothing to check, and nothing is wrong."""


class CliError(Exception):
    """Ends the program with a sentence on standard error."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code
