"""Tables of a page in Markdown, as cells."""

from __future__ import annotations

import re


def table(text: str, heading: str) -> list[list[str]]:
    """The cells of the one table below a heading of the second level, its head first; empty where there is none.

    What is escaped there is given as it is read.
    """
    part = re.split(r"^## ", text.partition(f"\n## {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    rows = [line for line in part.splitlines() if line.startswith("|") and not line.startswith("|---")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]
    return [[re.sub(r"\\([^\w\s])", r"\1", cell) for cell in row] for row in cells]
