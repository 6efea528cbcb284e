"""`python -m testbed.inside ARGUMENTS`: Python with these arguments, in a network namespace from its first moment.

For a process that has threads before any code of ours runs in it, as a worker of pytest-xdist does. It ends when the
process that started it ends, however that ends.
"""

from __future__ import annotations

import os
import sys

from testbed import namespace
from testbed.processes import DieWith

if __name__ == "__main__":
    parent = os.getppid()
    namespace.enter_for_successor()
    DieWith(parent)()
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
