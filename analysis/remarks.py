"""What was noticed while a record was read, and what of it was not used: lines for people."""

from __future__ import annotations

from analysis.record import Record
from analysis.types import Json


def remarks(record: Record) -> list[str]:
    """Return what was noticed while the record was read, one line each."""
    said = {
        "late": "{} events came after their look had closed and are in none",
        "duplicates": "{} replicas came more than once, from several scrapes: one copy of each was kept",
        "disagreeing": "copies of a replica disagree: {}",
        "unreadable": "{} looks of single replicas were unreadable (NaN) and are left out",
    }
    lines: list[str] = []
    for name, question in record.questions.items():
        for key, text in said.items():
            value = question.notes.get(key)
            if value:
                shown = ", ".join(value[:3]) if isinstance(value, list) else value
                lines.append(f"{name}: {text.format(shown)}")
    return lines


def left_out(record: Record) -> list[dict[str, Json]]:
    """Return what was not used and why, one entry per question and cause, with how many looks and the last of them."""
    found: dict[tuple[str, str], dict[str, Json]] = {}
    for name, question in record.questions.items():
        for look, reason in enumerate(() if question.complete else question.left_out):
            if reason is None:
                continue
            entry = found.setdefault(
                (name, reason.code),
                {"question": name, "code": reason.code, "text": reason.text, "looks": 0, "last": 0.0},
            )
            entry["looks"] += 1
            entry["text"], entry["last"] = reason.text, float(record.ends[look])
    return list(found.values())
