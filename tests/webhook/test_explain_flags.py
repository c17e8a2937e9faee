"""Flags of a report: each has a meaning, and each meaning is of a flag that somebody raises."""

from __future__ import annotations

import ast
from pathlib import Path

from analysis.routing import SPREAD_BY_PODS
from analysis.split import SplitFlag
from webhook.explain.flags import FLAGS, flag
from webhook.placebo.standing import DROPPED

ROOT = Path(__file__).parents[2]


def flags_of(tree):
    """Yield every text that a module uses as a flag: of ``flags=``, ``flags =``, and of functions of that name."""
    for node in ast.walk(tree):
        match node:
            case ast.keyword(arg="flags", value=value) | ast.Assign(targets=[ast.Name(id="flags")], value=value):
                yield from texts_in(value)
            case ast.AugAssign(target=ast.Name(id="flags"), value=value):
                yield from texts_in(value)
            case ast.FunctionDef(name="flags" | "_flags", body=body):
                yield from (text for line in body for text in texts_in(line))
            case ast.Call(func=ast.Name(id="_described"), args=[*_, doubt]):
                yield from texts_in(doubt)


def texts_in(node):
    """Yield the texts of an expression, without those that something is only compared with or looked up by."""
    match node:
        case ast.Constant(value=str() as text):
            yield text
        case (
            ast.Call(func=ast.Attribute(attr="get")) | ast.Compare() | ast.JoinedStr() | ast.Expr(value=ast.Constant())
        ):
            return
        case ast.IfExp(body=body, orelse=orelse):
            yield from (*texts_in(body), *texts_in(orelse))
        case ast.If(body=body, orelse=orelse):
            yield from (text for line in (*body, *orelse) for text in texts_in(line))
        case ast.Dict(keys=keys):
            yield from (text for key in keys for text in texts_in(key))
        case _:
            yield from (text for below in ast.iter_child_nodes(node) for text in texts_in(below))


def test_every_flag_has_a_meaning():
    """Every flag of a question, of the traffic and of the service is told with its meaning, and no other is."""
    used = {DROPPED, SPREAD_BY_PODS, *SplitFlag} - {SplitFlag.OK}
    for folder in ("analysis", "webhook"):
        for file in (ROOT / folder).rglob("*.py"):
            used |= set(flags_of(ast.parse(file.read_text()))) - {""}
    assert used >= {"noise: prior", "pod-limited", "weaker_proof", "no guard", "was always zero", "miswired"}
    assert used == set(FLAGS)


def test_a_flag_is_told_with_its_meaning():
    """A flag reads as words; one of another version, unknown here, is told as it is."""
    assert flag("no_baseline") == "no baseline (stable has no traffic any more)"
    assert flag("from_the_future") == "from the future"
