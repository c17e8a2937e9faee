"""Laws of policies: what is written can be read, and the JSON Schema says what the reader says."""

from __future__ import annotations

import copy
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from analysis import policy as core
from analysis import questions as kinds
from analysis.types import Direction, May, Mode, NoData, Weight
from tests.webhook.policy_documents import EVERYTHING, TIED, VALIDATOR, refusals
from webhook.policies import presets
from webhook.schema import policy as wire

names = st.from_regex("[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
ratios = st.floats(1, 1e6)
seconds = st.one_of(st.integers(1, 10**6).map(float), st.floats(0.001, 1e6).map(lambda x: round(x, 6)))
selectors = st.text(max_size=12).map(lambda text: f"{text}{{$side}}")
labels = st.lists(st.from_regex("[a-z_]{1,6}", fullmatch=True), max_size=3).map(tuple)
tolerances = st.builds(kinds.Tolerance, ratio=ratios, absolute=st.floats(0, 1))
selects = st.builds(
    core.Select,
    baseline=st.none() | st.text(min_size=1, max_size=9),
    canary=st.none() | st.text(min_size=1, max_size=9),
    replica=st.none() | labels,
    exclude=st.text(max_size=9),
)
common = {
    "weight": st.sampled_from(Weight), "muted": st.booleans(), "required": st.none() | st.booleans(),
    "may": st.sampled_from(May), "no_data": st.sampled_from(NoData),
    "direction": st.sampled_from([Direction.INCREASE, Direction.DECREASE]),
    "select": st.none() | selects, "exclude": st.text(max_size=9), "label": labels,
    "proof": st.sampled_from([None, "sequential", "variation"]), "variation_may": st.sampled_from(["abort", "hold"]),
    "pod_limited": st.sampled_from(["variation", "hold"]),
}  # fmt: skip
limits = st.builds(
    kinds.Limit, question=st.just("q0"), max=st.floats(0, 1e9), percentile=st.sampled_from([None, "p50", "p99.9"])
)
groups = st.recursive(
    limits,
    lambda inner: st.builds(
        kinds.Group, any_of=st.booleans(), members=st.lists(inner, min_size=1, max_size=3).map(tuple)
    ),
    max_leaves=6,
).map(lambda found: found if isinstance(found, kinds.Group) else kinds.Group(any_of=True, members=(found,)))
counted = {"bad": st.lists(selectors, min_size=1, max_size=2).map(tuple), "total": selectors}
edges = st.lists(st.floats(0.001, 99), unique=True, max_size=3).map(sorted).map(tuple)
texts = st.text(min_size=1, max_size=5)
looks = st.builds(
    core.Looks, scrape=st.none() | seconds, length=st.none() | seconds, lag=st.none() | st.just(0.0) | seconds
)
questions = st.one_of(
    st.builds(kinds.Proportion, name=names, tolerance=tolerances, **counted, **common),
    st.builds(
        kinds.Rate, name=names, tolerance=tolerances, events=selectors, exposure=st.just("time") | selectors, **common
    ),
    st.builds(
        kinds.Gauge, name=names, tolerance=tolerances, query=st.none() | selectors,
        **common | {"direction": st.sampled_from(Direction)},
    ),
    st.builds(kinds.Latency, name=names, unit=st.sampled_from(["s", "ms"]), slo_edges=edges, **common),
    st.builds(
        kinds.Limits, name=names, group=groups, min_requests=st.floats(0, 1e6), consecutive=st.integers(1, 99), **common
    ),
    st.builds(
        kinds.Objective, name=names, target=st.floats(0.5, 0.9999), period=seconds,
        budget_warn=st.none() | st.floats(0, 1), **counted, **common,
    ),
)  # fmt: skip


@st.composite
def policies(draw):
    first = draw(st.builds(kinds.Proportion, name=st.just("q0"), **counted, **common))
    rest = draw(st.lists(questions.filter(lambda q: q.name != "q0"), max_size=4, unique_by=lambda q: q.name))
    then = draw(st.sampled_from(["hold", "abort", "promote_if"]))
    policy = core.Policy(
        name=draw(names),
        questions=(first, *rest),
        match=tuple(draw(st.lists(st.tuples(texts, texts), max_size=2))),
        mode=draw(st.none() | st.sampled_from(Mode)),
        controller=draw(st.sampled_from(["argo", "flagger", "none"])),
        select=draw(selects),
        looks=draw(looks),
        history=draw(seconds),
        alpha=draw(st.builds(core.Alphas, abort=st.floats(1e-9, 0.5), step=st.floats(1e-9, 0.5))),
        harm_budget=draw(st.floats(0.001, 1e6)),
        steps=tuple(sorted(draw(st.sets(st.floats(0.001, 1), max_size=4)))),
        deadline=core.Deadline(after=draw(seconds), then=then, limit=draw(ratios) if then == "promote_if" else None),
    )  # fmt: skip
    return replace(policy, digest=wire.digest(policy))


@given(policies())
def test_reading_what_was_written_gives_the_same_policy(policy):
    """parse(render(x)) == x, and the schema takes what is written."""
    written = wire.dump(policy)
    assert wire.read(written, presets()) == policy
    assert wire.restore(wire.store(policy)) == policy
    assert VALIDATOR.is_valid(written)


JUNK = st.sampled_from([None, True, 0, -1, 1, 0.5, 2.5, "", "x", "30s", "auto", "high", [], {}, ["x"], [1], {"x": 1}])


def places(value, path=()):
    """Return the paths of all values inside a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, part in inner for found in [(*path, key), *places(part, (*path, key))]]


@given(st.data())
def test_reader_and_schema_agree_on_damaged_policies(data):
    """Whatever is put in place of one value or left out, both say the same, but for rules that tie two places."""
    content = copy.deepcopy(EVERYTHING)
    path = data.draw(st.sampled_from(places(content)))
    parent = content
    for key in path[:-1]:
        parent = parent[key]
    change = data.draw(st.sampled_from(["replace", "remove", "add"]))
    if change == "remove":
        del parent[path[-1]]
    elif change == "replace":
        parent[path[-1]] = data.draw(JUNK)
    elif isinstance(parent, dict):
        parent[data.draw(st.sampled_from(["surprise", "query", "total", "then", "any_of", "max"]))] = data.draw(JUNK)
    found = refusals(content)
    refused = [line for line in found if not TIED.search(line)]
    assert VALIDATOR.is_valid(content) == (not refused), (path, found)
