"""Who of those who signed stands for which group, where every group has to be among them: each person for one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence


def standing_for(groups: Sequence[str], people: Sequence[Collection[str]]) -> Mapping[str, int]:
    """By group the place in `people` of who stands for it, for as many groups as can be.

    Args:
        groups: those that have to be represented, each once.
        people: what groups each of them is in.

    A person in several groups stands for the one that lets most groups have somebody (a matching by augmenting paths).
    The same groups and people have the same answer.
    """
    standing: dict[int, str] = {}
    for group in groups:
        _seat(group, people, standing, set())
    return {group: place for place, group in sorted(standing.items(), key=lambda one: groups.index(one[1]))}


def _seat(group: str, people: Sequence[Collection[str]], standing: dict[int, str], asked: set[int]) -> bool:
    """Finds somebody for the group, whoever has to stand for another one instead."""
    for place, own in enumerate(people):
        if group not in own or place in asked:
            continue
        asked.add(place)
        if place not in standing or _seat(standing[place], people, standing, asked):
            standing[place] = group
            return True
    return False


def wanting(groups: Sequence[str], people: Sequence[Collection[str]]) -> tuple[str, ...]:
    """The groups of which one more person would help.

    More of them than groups without anybody, where it is open which group somebody stands for.
    """
    standing = standing_for(groups, people)
    found = [group for group in groups if group not in standing]
    for group in found:
        held = (other for other, place in standing.items() if group in people[place])
        found.extend(other for other in held if other not in found)
    return tuple(group for group in groups if group in found)
