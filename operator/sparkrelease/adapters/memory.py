"""What the C library does with memory that nobody uses any more."""

from __future__ import annotations

import ctypes

LARGE = 128 * 1024
"""Bytes from which a block is given back to the system as soon as it is free; glibc's own value to begin with."""

_ARENAS = 2
"""Heaps that threads share. glibc makes up to eight per processor, each with what is free of its own."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Names of the parameters in glibc's malloc.h."""


def give_back_what_is_free() -> bool:
    """Has large blocks given back at once; call it before threads are started. False where the C library is not glibc.

    Lists of objects and answers of metrics servers are blocks of megabytes that live for a moment. By default glibc
    takes the first of them as a sign to keep room for such blocks in its heap, and every small block that comes to lie
    behind one keeps all of it: with a thousand releases that is a fifth of the process.
    """
    try:
        set_parameter = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    wanted = ((_MMAP_THRESHOLD, LARGE), (_TRIM_THRESHOLD, LARGE), (_ARENA_MAX, _ARENAS))
    return all(set_parameter(parameter, value) == 1 for parameter, value in wanted)
