"""What was worked out of a frozen value, remembered as long as somebody holds that value."""

from __future__ import annotations

import weakref

_memories: dict[int, tuple[weakref.ref[object], dict[object, object]]] = {}
"""By identity of the value."""


def memory_of(value: object) -> dict[object, object]:
    """What was worked out of this very value so far, by whatever its callers call it; gone when the value is.

    To hash a spec or a history costs more than what is looked up by it, so it is known by identity. What is remembered
    must not hold on to the value, or both would stay for ever.
    """
    place = id(value)
    known = _memories.get(place)
    if known is None or known[0]() is not value:
        known = _memories[place] = (weakref.ref(value, lambda _: _memories.pop(place, None)), {})
    return known[1]
