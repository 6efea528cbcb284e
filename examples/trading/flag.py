"""A feature flag as an application reads it: a file that is looked at again and again, and who is served by it."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

PREVIEW = "preview"
PREVIEW_SHARE = 0.01
"""What preview counts as: the team's own users, about one in a hundred."""

_BYTES = 6
_PLACES = float(1 << (8 * _BYTES))


def place_of(user: str) -> float:
    """Where a user stands between 0 and 1: served by every share that is above it."""
    digest = blake2b(user.encode(), digest_size=_BYTES).digest()
    return int.from_bytes(digest, "big") / _PLACES


class Flag:
    """The value of a flag in a mounted ConfigMap. What cannot be read is off.

    Args:
        file: the key of the ConfigMap, as a file.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stamp: tuple[int, int] | None = None
        self._text = "0"

    @property
    def share(self) -> float:
        """The share of users it is on for now; what the process says of itself in its gauge."""
        text = self._read()
        if text == PREVIEW:
            return PREVIEW_SHARE
        try:
            share = float(text)
        except ValueError:
            return 0.0
        return share if 0 <= share <= 1 else 0.0

    def serves(self, user: str) -> bool:
        """Whether a user gets the feature: always the same ones, and more of them with every step up."""
        return place_of(user) < self.share

    def _read(self) -> str:
        """The text of the file, read again when it was replaced."""
        try:
            found = self._file.stat()
            stamp = (found.st_ino, found.st_mtime_ns)
            if stamp != self._stamp:
                self._text = self._file.read_text(encoding="utf-8").strip()
                self._stamp = stamp
        except OSError:
            self._text, self._stamp = "0", None
        return self._text
