"""What a source answered, sorted by question for the pure core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analysis.policy import Policy, Question
from analysis.series import Reading, Series
from webhook import queries
from webhook.expressions import FIELDS, HELD, KEPT
from webhook.natives import bounds_of, counted
from webhook.ports import Answer, Points

ABOUT_RELEASE = frozenset({"presence", "overlap", "label", "layout", "scrape", "start", "identity"})
"""Fields that are no numbers of a question."""


def series(points: Sequence[Points]) -> tuple[Series, ...]:
    """Return points as the core takes them."""
    return tuple(Series(labels=one.labels, times=one.times, values=one.values) for one in points)


def readings(
    policy: Policy,
    names: Mapping[str, str],
    answer: Answer,
    *,
    edges: Mapping[str, tuple[float, ...]] | None = None,
    missing: Mapping[str, str] | None = None,
) -> dict[str, Reading]:
    """
    Return one reading per question of a policy that was asked.

    Parameters
    ----------
    policy : Policy
    names : mapping
        As given to `queries.plan`.
    answer : Answer
        To the queries of `queries.plan`, with or without others.
    edges : mapping by question, optional
        Bucket bounds that were pinned.
    missing : mapping by question, optional
        What `queries.absent_label` said, where it said something.
    """
    fields: dict[str, dict[str, Sequence[Series]]] = {}
    about: dict[tuple[str, str], Sequence[Series]] = {}
    natives: dict[str, dict[str, list[Points]]] = {}
    for query, points in answer.points.items():
        if query.field in (HELD, KEPT):
            natives.setdefault(query.question, {HELD: [], KEPT: []})[query.field].extend(points)
        elif query.field in ABOUT_RELEASE:
            about[query.question, query.field] = series(points)
        else:
            fields.setdefault(query.question, {})[query.field] = series(points)
    for name, both in natives.items():
        pinned = (edges or {}).get(name, ()) or bounds_of(both[HELD])
        fields[name] = {"counts": counted(both[HELD], both[KEPT], pinned)}
    result: dict[str, Reading] = {}
    for name, read in fields.items():
        question = policy.question(name)
        whole = FIELDS[question.kind][1] if FIELDS.get(question.kind, ("", ""))[1] in read else ""
        result[name] = Reading(
            fields=read,
            whole=whole,
            replica=queries.replica_labels(policy, name),
            presence=about.get((name, "presence"), about.get(("", "presence"), ())),
            overlap=about.get((name, "overlap"), ()),
            metric=queries.metric(policy, name),
            edges=(edges or {}).get(name, ()),
            unseparated="baseline and canary select the same series by the same words"
            if queries.unseparated(policy, names, name)
            else "",
            partial=f"the source says that its answer is partial: {answer.warnings[0][:100]}"
            if answer.warnings
            else "",
            missing=(missing or {}).get(name, "") or _unread(question, read, whole),
        )
    return result


def _unread(question: Question, read: Mapping[str, object], whole: str) -> str:
    """Return why a part that was never asked for must not read as zero."""
    part = FIELDS[question.kind][0] if whole else ""
    if not whole or part in read:
        return ""
    return f"no label of {', '.join(question.label or queries.LABELS)} found on the total: {part} events unknown"
