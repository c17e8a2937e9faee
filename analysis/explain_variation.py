"""What a person reads of a series without counts: how it changed, what would have held or aborted, why it is weaker."""

from __future__ import annotations

from typing import Final

from analysis import words
from analysis.compare.lines import ABORT, LineEvidence
from analysis.compare.variation import HOLD_ONE
from analysis.policy import Question
from analysis.report import Evidence, about
from analysis.types import Json, State
from analysis.variations import VARIATION, Varied

HEURISTIC: Final = "a rule measured on labelled cases, outside the promised rate of false aborts"
WEAKER: Final = "the weaker proof"


def evidence_of(question: Question, found: Varied | None) -> Evidence:
    """
    Return the evidence of a question that is judged by its variation.

    Parameters
    ----------
    question : Question
    found : Varied or None
        What the series of the release say together, this one among them; None where there is nothing to see.

    Returns
    -------
    Evidence
        Without odds: the rule has no e-value.
    """
    if found is None or question.name not in found.lines:
        label = question.name.replace("-", " ")
        return about(question, State.UNDECIDED, f"{label}: too few samples on a side", proof=VARIATION)
    line = found.lines[question.name]
    state = found.state_of(question)
    return about(
        question,
        state,
        _reason(question, state, line, found),
        proof=VARIATION,
        counts={side: {"level": mean} for side, mean in found.means[question.name].items()},
        flags=tuple(dict.fromkeys((*line.flags, *_flags(found, line)))),
        details={
            "variation": {
                "strength": line.strength,
                "ratio": line.ratio,
                "sd": line.sd,
                "judged_as": line.proof,
                "blind": line.blind,
                "would_hold": line.change_for(HOLD_ONE[line.sign == 0]),
                "would_abort": line.change_for(ABORT),
                "standing": found.whole.standing,
            }
        },
    )


def _flags(found: Varied, line: LineEvidence) -> list[str]:
    told = ["weaker_proof"]
    if found.whole.state is State.WORSE and line.name in found.whole.guilty:
        told.append("heuristic")
    return told


def _reason(question: Question, state: State, line: LineEvidence, found: Varied) -> str:
    label = question.name.replace("-", " ")
    if line.strength is None:
        return f"{label}: too few samples on a side to say anything"
    if line.proof == "zero" or line.ratio is None:
        moved = "was always zero and is not any more" if line.strength > 0 else "always zero on both sides"
    else:
        moved = f"{words.ratio(line.ratio)} of stable"
    bar: Json = line.change_for(ABORT)
    beyond = "" if bar is None else f", beyond natural variation from {words.ratio(bar)} on"
    if state is State.WORSE:
        return f"{label} {moved}{beyond}, and has been for a quarter of its time: {HEURISTIC}"
    if state is State.DEGRADED:
        shared = "; stable moved too: an incident of everybody" if "stable moved too" in line.flags else ""
        short = "" if found.whole.standing or found.whole.state is not State.WORSE else ", not for long enough yet"
        return f"{label} {moved}: more than it varies by itself{short}{shared}{beyond}"
    if state is State.UNDECIDED:
        return f"{label} {moved}: varies so much that a tripling would not show"
    return f"{label} {moved}: within natural variation, {WEAKER}{beyond}"
