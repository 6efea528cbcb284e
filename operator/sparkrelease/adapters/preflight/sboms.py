"""Software bills of materials: CycloneDX and SPDX, read by the libraries of those who keep the standards."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence

from license_expression import ExpressionError, Licensing

from sparkrelease.adapters.preflight.documents import Document, FileError

_MOST_NAMED = 10
_LICENSING = Licensing()

Package = tuple[str, tuple[str, ...]]
"""Name with version, and its licences: all of them must be allowed."""


def read_sbom(document: Document, licenses: Sequence[str]) -> Mapping[str, object]:
    """Packages, and those of them under a licence that is not on the list; every licence is well if it is empty.

    FileError for a document that is neither, or that its library refuses.
    """
    body = document.parts
    if body.get("bomFormat") == "CycloneDX":
        form, packages = _cyclonedx(body)
    elif "spdxVersion" in body:
        form, packages = _spdx(body)
    else:
        raise FileError("it is neither CycloneDX nor SPDX JSON")
    allowed = frozenset(name.lower() for name in licenses)
    refused = [f"{name} ({' and '.join(held) or 'none said'})" for name, held in packages if not _fine(held, allowed)]
    return {
        "form": form,
        "packages": len(packages),
        "refused": tuple(refused[:_MOST_NAMED]) if allowed else (),
        "refused_count": len(refused) if allowed else 0,
    }


def _fine(held: Iterable[str], allowed: frozenset[str]) -> bool:
    """Whether something is said, and all of it is allowed."""
    said = list(held)
    return bool(said) and all(is_allowed(one, allowed) for one in said)


def is_allowed(expression: str, allowed: frozenset[str]) -> bool:
    """Whether an SPDX expression can be met by allowed licences alone: of OR one is enough, of AND all are needed.

    `allowed` are names in small letters. An expression that cannot be read is allowed only if it is on the list itself.
    """
    if expression.lower() in allowed:
        return True
    try:
        parsed = _LICENSING.parse(expression)
    except ExpressionError:
        return False
    return parsed is not None and _met(parsed, allowed)


def _met(part: object, allowed: frozenset[str]) -> bool:
    if isinstance(part, _LICENSING.AND):
        return all(_met(one, allowed) for one in part.args)
    if isinstance(part, _LICENSING.OR):
        return any(_met(one, allowed) for one in part.args)
    return str(part).lower() in allowed


# ---------------------------------------------------------------- CycloneDX


def _cyclonedx(body: Mapping[str, object]) -> tuple[str, list[Package]]:
    from cyclonedx.exception import CycloneDxException  # noqa: PLC0415 - only one of the two is needed
    from cyclonedx.model.bom import Bom  # noqa: PLC0415

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            bom = Bom.from_json(data=dict(body))  # type: ignore[attr-defined]  # a decorator of the library makes it
    except (CycloneDxException, TypeError, ValueError, AttributeError, KeyError, ArithmeticError) as fault:
        raise FileError(f"it is no CycloneDX that can be read: {_line(fault)}") from fault
    return f"CycloneDX {body.get('specVersion', '')}".strip(), list(_components(bom.components))


def _components(components: Iterable[object]) -> Iterator[Package]:
    for one in components:
        version = getattr(one, "version", None)
        name = f"{getattr(one, 'name', '')} {version or ''}".strip()
        yield name, tuple(_text(held) for held in getattr(one, "licenses", ()))
        yield from _components(getattr(one, "components", ()))


def _text(held: object) -> str:
    """A licence by its identifier, its expression or its name."""
    for field in ("id", "value", "name"):
        found = getattr(held, field, None)
        if isinstance(found, str) and found:
            return found
    return str(held)


# ---------------------------------------------------------------- SPDX


def _spdx(body: Mapping[str, object]) -> tuple[str, list[Package]]:
    from spdx_tools.spdx.model.relationship import RelationshipType  # noqa: PLC0415 - only one of the two is needed
    from spdx_tools.spdx.parser.error import SPDXParsingError  # noqa: PLC0415
    from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser  # noqa: PLC0415

    try:
        found = JsonLikeDictParser().parse(dict(body))
    except SPDXParsingError as fault:
        raise FileError(f"it is no SPDX that can be read: {'; '.join(fault.get_messages()[:2])[:300]}") from fault
    except (TypeError, ValueError, AttributeError, KeyError) as fault:
        raise FileError(f"it is no SPDX that can be read: {_line(fault)}") from fault
    described = {
        str(one.related_spdx_element_id)
        for one in found.relationships
        if one.relationship_type is RelationshipType.DESCRIBES
    }
    packages: list[Package] = []
    for package in found.packages:
        if package.spdx_id in described and len(found.packages) > 1:
            continue  # what is described is the release itself, no part of it
        said = [str(one) for one in (package.license_concluded, package.license_declared) if _says(one)]
        packages.append((f"{package.name} {package.version or ''}".strip(), tuple(said[:1])))
    return str(body["spdxVersion"]), packages


def _says(held: object) -> bool:
    return held is not None and str(held) not in {"NOASSERTION", "NONE"}


def _line(fault: Exception) -> str:
    return " ".join(str(fault).split())[:300] or type(fault).__name__
