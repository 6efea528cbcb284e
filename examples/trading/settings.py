"""Settings of the feature that a release changes in a breach: keys of a mounted ConfigMap, read at every use."""

from __future__ import annotations

from pathlib import Path

OFTEN = 30.0
"""Seconds between two polls where nothing is said."""


class Settings:
    """The keys of docs/metrics-contract.md. What is not there, or cannot be read, is as if nobody had ever set it.

    Args:
        folder: the ConfigMap, a file a key; None for a process that has none.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    @property
    def confidence_floor(self) -> float:
        """Scores of less confidence are not given."""
        return self._number("CONFIDENCE_FLOOR", 0.0)

    @property
    def poll_seconds(self) -> float:
        """Seconds between two polls of the model's sources."""
        return self._number("POLL_SECONDS", OFTEN)

    @property
    def equal_weights(self) -> bool:
        """Whether all signals count the same."""
        return self._text("SIGNAL_WEIGHTS") == "equal"

    @property
    def probes_executor(self) -> bool:
        """Whether the executor is asked how it is, at every poll."""
        return self._text("PROBE_EXECUTOR") == "true"

    def _number(self, key: str, usual: float) -> float:
        try:
            return float(self._text(key))
        except ValueError:
            return usual

    def _text(self, key: str) -> str:
        if self._folder is None:
            return ""
        try:
            return (self._folder / key).read_text(encoding="utf-8").strip()
        except OSError:
            return ""
