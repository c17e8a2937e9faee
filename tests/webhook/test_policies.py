"""The folder of policies: found, matched, read again, and never worse for a broken file."""

from __future__ import annotations

import itertools
import os
import threading

import pytest

from webhook.errors import UnknownPolicy
from webhook.policies import CHECK_EVERY, Policies, check_static
from webhook.schema.problems import PolicyProblems

SHORT = "apiVersion: weighbridge/v1\nname: {}\npreset: http_requests_total\n"


class Clock:
    """Seconds that pass when told."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def pass_check(self):
        self.now += CHECK_EVERY


@pytest.fixture
def clock():
    return Clock()


def write(folder, file, text):
    path = folder / file
    path.write_text(text)
    # Two versions of equal size written within one tick of the file system differ in nothing else.
    tick = next(TICKS)
    os.utime(path, ns=(tick, tick))
    return path


TICKS = itertools.count(1_700_000_000_000_000_000, 1_000_000)


def names(policies):
    return [policy.name for policy in policies.all()]


def test_files_of_a_folder_are_policies(tmp_path, clock):
    """YAML and JSON are read, hidden and other files are not."""
    write(tmp_path, "a.yaml", SHORT.format("a"))
    write(tmp_path, "b.yml", SHORT.format("b"))
    write(tmp_path, "c.json", '{"apiVersion": "weighbridge/v1", "name": "c", "preset": "http_requests_total"}')
    write(tmp_path, ".d.yaml", SHORT.format("d"))
    write(tmp_path, "e.txt", "no policy")
    policies = Policies(tmp_path, clock=clock)
    assert names(policies) == ["a", "b", "c"]
    assert policies.problems() == ()
    assert policies.find("b").name == "b"


def test_an_unknown_name_is_said_with_the_nearest(tmp_path, clock):
    """A typing error finds its word."""
    write(tmp_path, "a.yaml", SHORT.format("checkout"))
    with pytest.raises(UnknownPolicy, match="no policy is called 'chekout', did you mean 'checkout'"):
        Policies(tmp_path, clock=clock).find("chekout")


def test_a_change_is_seen_after_the_next_check(tmp_path, clock):
    """The folder is looked at every two seconds, not more often."""
    write(tmp_path, "a.yaml", SHORT.format("a"))
    policies = Policies(tmp_path, clock=clock)
    before = policies.find("a")
    write(tmp_path, "a.yaml", SHORT.format("a") + "harm_budget: 5\n")
    write(tmp_path, "b.yaml", SHORT.format("b"))
    assert policies.find("a") is before
    clock.pass_check()
    assert policies.find("a").harm_budget == 5
    assert policies.find("a").digest != before.digest
    assert names(policies) == ["a", "b"]


def test_a_file_that_did_not_change_is_the_same_policy(tmp_path, clock):
    """A look at the folder alone changes nothing."""
    write(tmp_path, "a.yaml", SHORT.format("a"))
    policies = Policies(tmp_path, clock=clock)
    before = policies.find("a")
    clock.pass_check()
    assert policies.find("a") is before


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        pytest.param("name: [", "must be YAML", id="syntax"),
        pytest.param(SHORT.format("a") + "mod: enforce\n", "/mod: unknown key 'mod', did you mean 'mode'?", id="key"),
        pytest.param("", "must be a mapping", id="empty"),
        pytest.param(SHORT.format("b"), "/name: must be unique, 0.yaml has the same, got 'b'", id="name taken"),
    ],
)
def test_a_broken_version_leaves_the_old_one_in_force(tmp_path, clock, broken, words):
    """The old version goes on deciding, and the problem names the file."""
    write(tmp_path, "0.yaml", SHORT.format("b"))
    write(tmp_path, "a.yaml", SHORT.format("a") + "harm_budget: 7\n")
    policies = Policies(tmp_path, clock=clock)
    write(tmp_path, "a.yaml", broken)
    clock.pass_check()
    assert policies.find("a").harm_budget == 7
    assert any(str(problem).startswith("a.yaml: ") and words in str(problem) for problem in policies.problems())
    write(tmp_path, "a.yaml", SHORT.format("a"))
    clock.pass_check()
    assert policies.find("a").harm_budget == 20
    assert policies.problems() == ()


def test_a_broken_version_stays_a_problem_when_others_change(tmp_path, clock):
    """What is broken is said until it is mended."""
    write(tmp_path, "a.yaml", SHORT.format("a"))
    policies = Policies(tmp_path, clock=clock)
    write(tmp_path, "a.yaml", "{")
    clock.pass_check()
    policies.all()
    write(tmp_path, "b.yaml", SHORT.format("b"))
    clock.pass_check()
    assert names(policies) == ["a", "b"]
    assert len(policies.problems()) == 1


def test_a_removed_file_ends_its_policy(tmp_path, clock):
    """Only a version that cannot be read keeps the old one, not a file that is gone."""
    path = write(tmp_path, "a.yaml", SHORT.format("a"))
    policies = Policies(tmp_path, clock=clock)
    path.unlink()
    clock.pass_check()
    assert names(policies) == []


def test_a_configmap_swaps_its_link(tmp_path, clock):
    """Kubernetes replaces the folder behind a link; the files themselves are links that never change."""
    for version, budget in (("v1", 5), ("v2", 6)):
        folder = tmp_path / f"..{version}"
        folder.mkdir()
        write(folder, "a.yaml", SHORT.format("a") + f"harm_budget: {budget}\n")
    (tmp_path / "..data").symlink_to("..v1")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    policies = Policies(tmp_path, clock=clock)
    assert policies.find("a").harm_budget == 5
    (tmp_path / "..new").symlink_to("..v2")
    (tmp_path / "..new").rename(tmp_path / "..data")
    clock.pass_check()
    assert policies.find("a").harm_budget == 6


def test_a_folder_that_goes_away_changes_nothing_but_says_so(tmp_path, clock):
    """A failed mount leaves the policies in force."""
    folder = tmp_path / "policies"
    folder.mkdir()
    write(folder, "a.yaml", SHORT.format("a"))
    policies = Policies(folder, clock=clock)
    folder.rename(tmp_path / "away")
    clock.pass_check()
    assert names(policies) == ["a"]
    assert [str(problem) for problem in policies.problems()] == ["policies: the folder of policies cannot be read"]
    (tmp_path / "away").rename(folder)
    clock.pass_check()
    assert policies.problems() == ()


def test_the_default_is_the_named_policy_else_the_preset(tmp_path, clock):
    """Without any configuration the error rate of http_requests_total is asked."""
    write(tmp_path, "a.yaml", SHORT.format("a"))
    assert Policies(tmp_path, default="a", clock=clock).default().name == "a"
    built_in = Policies(None, clock=clock).default()
    assert (built_in.name, built_in.preset) == ("default", ("http_requests_total",))
    assert built_in is Policies(tmp_path, clock=clock).default()


def test_a_default_that_does_not_exist_is_a_problem(tmp_path, clock):
    """It is said before the first release asks, and never replaced by another policy."""
    policies = Policies(tmp_path, default="gone", clock=clock)
    assert [str(problem) for problem in policies.problems()] == ["the default policy 'gone' does not exist"]
    with pytest.raises(UnknownPolicy):
        policies.default()


@pytest.mark.parametrize(
    ("namespace", "name", "expected"),
    [
        pytest.param("shop", "checkout", "exact", id="both exact"),
        pytest.param("shop", "cart", "shop", id="namespace"),
        pytest.param("blog", "checkout", "checkouts", id="name"),
        pytest.param("shop-eu", "cart", "longer", id="more letters"),
        pytest.param("shop-us", "cart", "shorter", id="fewer letters"),
        pytest.param("blog", "cart", None, id="none"),
        pytest.param("SHOP", "checkout", "checkouts", id="case counts"),
    ],
)
def test_the_most_exact_match_wins(tmp_path, clock, namespace, name, expected):
    """More exact parts first, then more letters; what fits nobody has no policy."""
    for policy, match in {
        "exact": "[{namespace: shop, name: checkout}]",
        "shop": "[{namespace: shop}]",
        "checkouts": "[{name: checkout}]",
        "longer": "[{namespace: never}, {namespace: shop-e*}]",
        "shorter": "[{namespace: shop-*}]",
        "nobody": "[]",
    }.items():
        write(tmp_path, f"{policy}.yaml", SHORT.format(policy) + f"match: {match}\n")
    found = Policies(tmp_path, clock=clock).match(namespace, name)
    assert (found and found.name) == expected


def test_equal_matches_are_settled_by_name(tmp_path, clock):
    """Two policies that fit equally well do not depend on the order of files."""
    write(tmp_path, "1.yaml", SHORT.format("zebra") + "match: [{namespace: shop}]\n")
    write(tmp_path, "2.yaml", SHORT.format("ant") + "match: [{namespace: shop}]\n")
    assert Policies(tmp_path, clock=clock).match("shop", "x").name == "ant"


def test_an_inline_policy_needs_no_name(clock):
    """A policy in a request is held to the same rules, but may stay nameless."""
    policies = Policies(None, clock=clock)
    policy = policies.inline({"preset": "http_requests_total"})
    assert policy.name == "inline"
    with pytest.raises(PolicyProblems, match="/mod: unknown key"):
        policies.inline({"preset": "http_requests_total", "mod": 1})


def test_kinds_that_nobody_judges_are_refused_by_name(clock):
    """They would hold every release; muted they may stay."""
    question = {"name": "slo", "kind": "objective"}
    policies = Policies(None, clock=clock)
    (line,) = check_static(policies.inline({"preset": "http_requests_total", "questions": [question]}))
    assert line.startswith("/questions/0/kind: slo is of kind objective, which is not judged yet")
    assert (
        check_static(policies.inline({"preset": "http_requests_total", "questions": [question | {"muted": True}]}))
        == []
    )
    assert check_static(policies.default()) == []


def test_a_policy_that_could_never_promote_is_refused(clock):
    """Nothing counted holds for ever."""
    muted = {"name": "a", "kind": "proportion", "muted": True}
    (line,) = check_static(Policies(None, clock=clock).inline({"questions": [muted]}))
    assert "nothing could ever be promoted" in line


def test_threads_see_versions_that_stood_in_the_folder(tmp_path, clock):
    """While one thread reads the folder again the others go on with what was in force, and the last version wins."""
    write(tmp_path, "a.yaml", SHORT.format("a") + "harm_budget: 1\n")
    write(tmp_path, "b.yaml", SHORT.format("b") + "harm_budget: 1\n")
    policies = Policies(tmp_path, clock=clock)
    seen: list[tuple[float, ...]] = []
    done = threading.Event()

    def look():
        while not done.is_set():
            seen.append(tuple(policy.harm_budget for policy in policies.all()))

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for budget in range(2, 12):
        (tmp_path / "a.yaml").unlink()
        (tmp_path / "b.yaml").unlink()
        write(tmp_path, "b.yaml", SHORT.format("b") + f"harm_budget: {budget}\n")
        write(tmp_path, "a.yaml", SHORT.format("a") + f"harm_budget: {budget}\n")
        clock.pass_check()
        policies.all()
    done.set()
    for thread in threads:
        thread.join(timeout=10)
    assert policies.find("a").harm_budget == 11
    assert {budget for budgets in seen for budget in budgets} <= set(range(1, 12))
    assert len(seen) > len(threads)
