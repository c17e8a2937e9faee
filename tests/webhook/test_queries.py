"""From a policy to what is asked of a source."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analysis import series
from analysis.policy import (
    Gauge,
    Group,
    Latency,
    Limit,
    Limits,
    Objective,
    Policy,
    Proportion,
    Quantile,
    Rate,
    Ratio,
    Select,
)
from webhook import expressions, ports, queries
from webhook.expressions import duration

NAMES = {"namespace": "shop", "name": "checkout", "baseline": "6c54", "canary": "7d9b"}
ERRORS = Proportion(name="errors", bad=('r_total{$side, code=~"5.."}',), total="r_total{$side}")


def limits(*names):
    """Return limits on questions, half of them nested."""
    members = tuple(Limit(question=name, max=1.0) for name in names)
    return Limits(name="limits", group=Group(any_of=True, members=(Group(any_of=False, members=members),)))


def policy(*questions, **changes):
    """Return a policy."""
    return Policy(**{"name": "p", "controller": "argo", "questions": questions or (ERRORS,), **changes})


def plan(asked, **names):
    """Return the plan by question and field."""
    return {(q.question, q.field): q for q in queries.plan(asked, {**NAMES, **names}, step=15.0)}


EVERY_KIND = (
    ERRORS,
    Latency(name="histogram", histogram="lat{$side}"),
    Latency(name="published", query="p99{$side}"),
    Gauge(name="cpu", query="cpu{$side}"),
    Quantile(name="p99", query="p99{$side}"),
    Rate(name="jobs", events="failed_total{$side}", exposure="done_total{$side}"),
    Ratio(name="value", numerator="sum{$side}", denominator="count{$side}"),
    Proportion(name="recorded", query="error_ratio{$side}"),
)


def test_every_kind_asks_for_its_numbers():
    """Counters are differenced, levels read as they are, buckets by their bound."""
    assert {*plan(policy(*EVERY_KIND))} == {
        ("", "presence"),
        ("errors", "bad"),
        ("errors", "total"),
        ("recorded", "values"),
        ("histogram", "counts"),
        ("published", "values"),
        ("cpu", "values"),
        ("p99", "values"),
        ("jobs", "events"),
        ("jobs", "exposure"),
        ("value", "numerator"),
        ("value", "denominator"),
    }


def test_what_is_not_judged_is_not_asked():
    """A kind that is not judged costs nothing, and neither does one that has only inline data."""
    unasked = (Objective(name="slo", bad=("b{$side}",), total="t{$side}"), Gauge(name="inline"))
    assert {*plan(policy(ERRORS, *unasked))} == {("", "presence"), ("errors", "bad"), ("errors", "total")}


RESTARTS = Rate(name="restarts", events='kube_restarts_total{$side, container!="istio"}', exposure="time")


def test_events_over_time_are_counted_beside_the_seconds_of_their_replicas():
    """A replica counts while it is a target, or its events are published: a crashing pod is no target at times."""
    found = plan(policy(RESTARTS))
    assert {*found} == {("", "presence"), ("restarts", "events"), ("restarts", "exposure")}
    exposure = found["restarts", "exposure"]
    assert exposure.increments
    assert exposure.expr.count("15.0 * group by (pod) (up{") == 2
    assert exposure.expr.count('or kube_restarts_total{namespace="shop", pod=~"checkout-') == 2
    assert queries.metric(policy(RESTARTS), "restarts") == "kube_restarts_total"
    assert not queries.unseparated(policy(RESTARTS), NAMES, "restarts")


def test_seconds_of_hidden_replicas_are_those_of_all_targets():
    """Where replicas are not visible the side is one, and its exposure that of all its targets."""
    hidden = replace(RESTARTS, select=Select(replica=()))
    found = plan(policy(hidden))
    assert "15.0 * count(group by (instance, pod) (up{" in found["restarts", "exposure"].expr
    assert ("restarts", "overlap") in found


@pytest.mark.parametrize(
    ("question", "series"),
    [
        pytest.param(Gauge(name="cpu", query="sum(rate(cpu_total{$side}[1m]))"), "cpu_total", id="inside a query"),
        pytest.param(RESTARTS, "kube_restarts_total", id="events over time"),
        pytest.param(Gauge(name="cpu", query='a{x="{"} / cpu{y="}", $side}'), "cpu", id="braces in strings"),
    ],
)
def test_cadence_and_start_are_seen_on_whatever_is_asked(question, series):
    """Where no total is asked for, the first series stands for the release; ``up`` need not carry its labels."""
    asked = policy(question)
    for expr in (queries.scrape_query(asked, NAMES).expr, queries.start_query(asked, NAMES, 15.0).expr):
        assert f"count_over_time({series}{{" in expr
        assert "count_over_time(up{" in expr


def test_a_muted_question_is_still_measured():
    """Muted is measured and shown, never counted."""
    muted = Proportion(name="errors", bad=ERRORS.bad, total=ERRORS.total, muted=True)
    assert ("errors", "total") in plan(policy(muted))


def test_sides_of_the_controllers():
    """Argo tells pods apart by hash, Flagger by -primary; without a controller hashes are used as with Argo."""
    for controller in ("argo", "none"):
        expr = plan(policy(controller=controller))["errors", "total"].expr
        assert 'r_total{namespace="shop", pod=~"checkout-6c54-[a-z0-9]{5}"}' in expr
        assert 'r_total{namespace="shop", pod=~"checkout-7d9b-[a-z0-9]{5}"}' in expr
    flagger = plan(policy(controller="flagger"), target="web", baseline="", canary="")["errors", "total"].expr
    assert 'pod=~"web-primary-[4-9bcdf]{1,10}-[a-z0-9]{5}"' in flagger
    assert 'pod=~"web-[4-9bcdf]{1,10}-[a-z0-9]{5}"' in flagger


def test_names_are_escaped_twice():
    """In a regex a dot of a name is a dot, and the escape survives the string."""
    expr = plan(policy(), name="check.out", namespace='a"b')["errors", "total"].expr
    assert r'namespace="a\"b", pod=~"check\\.out-6c54-[a-z0-9]{5}"' in expr


@pytest.mark.parametrize(
    ("controller", "empty", "complains"),
    [
        pytest.param("argo", "canary", "canary", id="argo without its canary hash"),
        pytest.param("none", "baseline", "baseline", id="nobody without a stable hash"),
        pytest.param("flagger", "name", "target", id="flagger without name and target"),
        pytest.param("flagger", "canary", "", id="flagger needs no hash"),
    ],
)
def test_an_empty_value_that_is_needed_is_told(controller, empty, complains):
    """Only values that a selector uses must be there."""
    if not complains:
        assert plan(policy(controller=controller), **{empty: ""})
        return
    with pytest.raises(queries.EmptySelector) as caught:
        plan(policy(controller=controller), **{empty: ""})
    assert caught.value.name == complains


def test_a_question_s_own_selectors_win():
    """What a question leaves open comes from the policy, then from the controller; exclusions add up."""
    own = Proportion(
        name="ingress",
        bad=('i{$side, status=~"5.."}',),
        total="i{$side}",
        select=Select(canary='canary!=""', replica=(), exclude='path!="/b"'),
        exclude='path!="/c"',
    )
    asked = policy(ERRORS, own, select=Select(baseline='side="old"', exclude='path!="/a"'))
    found = plan(asked)
    assert 'i{side="old", path!="/b", path!="/a", path!="/c"}' in found["ingress", "total"].expr
    assert 'i{canary!="", path!="/b", path!="/a", path!="/c"}' in found["ingress", "total"].expr
    assert 'r_total{side="old", path!="/a"}' in found["errors", "total"].expr
    assert found["ingress", "total"].replica == ()
    assert found["errors", "total"].replica == ("pod",)
    assert 'up{canary!=""}' in found["ingress", "presence"].expr
    assert ("ingress", "overlap") in found
    assert ("errors", "overlap") not in found


@pytest.mark.parametrize(
    ("select", "total", "expected"),
    [
        pytest.param(Select(baseline='a="b"', canary='a="b"'), "x{$side}", True, id="equal words"),
        pytest.param(Select(baseline='a="$name"', canary='a="checkout"'), "x{$side}", True, id="equal once filled in"),
        pytest.param(Select(), 'x{pod=~"$name.*"}', True, id="a query without $side"),
        pytest.param(Select(), "x{$side}", False, id="apart"),
    ],
)
def test_unseparated_sides_are_seen_in_the_words(select, total, expected):
    """Selectors that are one and the same need no data to be wrong."""
    asked = policy(Proportion(name="errors", bad=("b{$side}",), total=total), select=select)
    assert queries.unseparated(asked, NAMES, "errors") is expected


@pytest.mark.parametrize(
    ("bad", "label", "expected"),
    [
        pytest.param('r_total{$side, code=~"5.."}', (), "code", id="the label that bad adds"),
        pytest.param('r_total{$side, LABEL=~"5.."}', ("a", "b"), "a, b", id="candidates of the question"),
        pytest.param('r_total{$side, LABEL=~"5.."}', (), "code, status, status_code", id="candidates by default"),
        pytest.param("errors_total{$side}", (), None, id="another metric needs no label"),
        pytest.param("r_total{$side}", (), None, id="no further label"),
    ],
)
def test_which_labels_are_looked_for(bad, label, expected):
    """A matcher on a label that the total lacks would read as zero for ever."""
    asked = policy(Proportion(name="errors", bad=(bad,), total="r_total{$side}", label=label))
    query = queries.label_query(asked, NAMES, "errors")
    assert (query is None) == (expected is None)
    if query is not None:
        assert query.expr.startswith(f"group by ({expected}")
        assert query.expr.count("r_total{") == 2


def test_an_unpinned_label_asks_for_no_bad_events():
    """Without a label the part is not asked for, and `readings` must not read that as zero."""
    asked = policy(Proportion(name="errors", bad=('r{$side, LABEL=~"5.."}',), total="r{$side}"))
    assert ("errors", "bad") not in plan(asked)
    pinned = queries.plan(asked, NAMES, step=15.0, labels={"errors": "status"})
    assert any('status=~"5.."' in query.expr for query in pinned if query.field == "bad")


@pytest.mark.parametrize(
    ("length", "scrape", "expected"),
    [(30, 15, 15), (10, 15, 10), (10, 5, 5), (50, 15, 12.5), (60, 60, 60), (10, 1, 1)],
)
def test_a_step_divides_a_look(length, scrape, expected):
    """No step is longer than a scrape, and no step crosses a boundary."""
    assert queries.fetch_step(float(length), float(scrape)) == expected


@pytest.mark.parametrize(("seconds", "expected"), [(15.0, "15s"), (2.5, "2500ms"), (0.1 + 0.2, "300ms"), (300, "300s")])
def test_durations_are_exact(seconds, expected):
    """Milliseconds are the finest that PromQL knows."""
    assert duration(seconds) == expected


def test_the_search_for_a_start_lies_on_a_fixed_grid():
    """Asked a little later it looks at the same times."""
    one, two = queries.start_span(1_760_000_407.0, 15.0), queries.start_span(1_760_000_414.9, 15.0)
    assert one == two
    assert one.end % 15 == one.start % 15 == 0
    assert one.end - one.start == 6 * 3600


def test_what_cannot_be_asked_is_told_before_it_is_asked():
    """Broken templates are found without a source."""
    broken = (
        Proportion(name="outside", bad=("b{$side}",), total="t{$side, ns=$namespace}"),
        Proportion(name="inside", bad=("b{$side}",), total='t{x="$side"}'),
        Latency(name="no-metric", histogram="rate(x[1m])"),
    )
    said = queries.check(policy(ERRORS, *broken, limits("no-metric")))
    assert [line.split(":")[0] for line in said] == ["outside", "inside", "no-metric"]
    assert queries.check(policy(ERRORS)) == []


def test_core_and_service_use_the_same_words():
    """The core must not import the service, so the label of a side and the memory of a series are written twice."""
    assert ports.SIDE_LABEL == series.SIDE_LABEL
    assert expressions.MEMORY == series.MEMORY
