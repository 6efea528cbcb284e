"""How the files of tests are shared out among clusters: whole, and crowded ones never two at a time."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from xdist.scheduler import LoadFileScheduling

CROWDED = "crowded"
"""The mark of files whose tests keep many releases and their applications busy at once."""


class CrowdsApart(LoadFileScheduling):
    """Gives each worker whole files, and one of them all that are crowded, one after the other.

    Two of them side by side want the processors twenty times over, and what serves or decides misses its deadlines.
    """

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return CROWDED if file in self.crowded else file

    @cached_property
    def crowded(self) -> frozenset[str]:
        """The files that say so themselves: who shares out has collected nothing, and knows no mark."""
        root = Path(self.config.rootpath)
        said = f"pytest.mark.{CROWDED}"
        return frozenset(
            file.relative_to(root).as_posix() for file in root.glob("tests/**/test_*.py") if said in file.read_text()
        )
