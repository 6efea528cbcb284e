"""Reports about an image: what is known to be wrong with it (grype, trivy, SARIF), and where it comes from (SLSA)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from sparkrelease.adapters.preflight.documents import Document, FileError, mapping, objects

_COUNTED = frozenset({"critical", "high", "medium", "low", "unknown"})
_IGNORED = frozenset({"negligible"})
_LEVELS = {"error": "high", "warning": "medium", "note": "low"}
_SCORES = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"), (0.1, "low"))
"""Least CVSS scores of the severities, as CVSS 3.1 and code scanners draw the lines."""


def read_vulnerabilities(document: Document) -> Mapping[str, object]:
    """Findings by severity; FileError for a report that is none of the three."""
    body = document.parts
    result = mapping(body, "scanner", "result")  # cosign's vulnerability predicate
    body = result or body
    if isinstance(body.get("matches"), list):
        form, found = "grype", [_word(mapping(one, "vulnerability")) for one in objects(body, "matches")]
    elif "SchemaVersion" in body and ("Results" in body or "ArtifactName" in body):
        form, found = "trivy", list(_of_trivy(body))
    elif isinstance(body.get("runs"), list):
        form, found = "SARIF", [severity for run in objects(body, "runs") for severity in _of_sarif(run)]
    else:
        raise FileError("it is no report of grype or trivy and no SARIF")
    counts = Counter(word if word in _COUNTED else "unknown" for word in found if word not in _IGNORED)
    return {"form": form, "counts": {name: counts.get(name, 0) for name in sorted(_COUNTED)}}


def _word(body: Mapping[str, object], field: str = "severity") -> str:
    return str(body.get(field, "unknown")).lower()


def _of_trivy(body: Mapping[str, object]) -> Iterator[str]:
    for result in objects(body, "Results"):
        for one in objects(result, "Vulnerabilities"):
            yield _word(one, "Severity")


def _of_sarif(run: Mapping[str, object]) -> Iterator[str]:
    rules = objects(mapping(run, "tool", "driver"), "rules")
    by_id = {str(rule.get("id")): rule for rule in rules}
    for result in objects(run, "results"):
        place = result.get("ruleIndex")
        rule = by_id.get(str(result.get("ruleId")), {})
        if not rule and isinstance(place, int) and 0 <= place < len(rules):
            rule = rules[place]
        yield _severity(result, rule)


def _severity(result: Mapping[str, object], rule: Mapping[str, object]) -> str:
    """By the score where there is one, else by the level; a result without a level is a warning, says the standard."""
    score = mapping(rule, "properties").get("security-severity")
    try:
        number = float(str(score)) if score is not None else None
    except ValueError:
        number = None
    if number is not None:
        return next((name for least, name in _SCORES if number >= least), "unknown")
    default = mapping(rule, "defaultConfiguration").get("level", "warning")
    return _LEVELS.get(str(result.get("level", default)), "unknown")


def read_provenance(document: Document) -> Mapping[str, object]:
    """What an in-toto statement names, who built it, and the type of its predicate."""
    statement = document.statement
    if statement is None:
        raise FileError("it is no in-toto statement")
    digests = (mapping(subject, "digest").get("sha256") for subject in objects(statement, "subject"))
    subjects = tuple(str(digest) for digest in digests if digest)
    if not subjects:
        raise FileError("the statement names no subject by its sha256")
    predicate = mapping(statement, "predicate")
    builder = mapping(predicate, "runDetails", "builder").get("id") or mapping(predicate, "builder").get("id") or ""
    kind = str(statement.get("predicateType", ""))
    return {"form": "in-toto", "subjects": subjects, "builder": str(builder), "predicate": kind}
