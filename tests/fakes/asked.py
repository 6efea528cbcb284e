"""What a request to the API server may say beside method and path, for stand-ins that pass it on or look at a part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from sparkrelease.ports.api_server import ContentType


class Asked(TypedDict, total=False):
    """The keyword arguments of `ApiServer.request`."""

    query: Mapping[str, str | int] | None
    body: Mapping[str, object] | Sequence[object] | None
    content: ContentType
    accept: str
    within: float | None
