"""Plans fit the time, take the first groups first, and give all stages the same share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural.grid.plan import Cost, Job, plan, plan_call

COSTS = {"slow": Cost(1.0, 0.5), "quick": Cost(0.5, 0.01), "measure": Cost(0.0, 20.0)}


def jobs(groups=4):
    out = [Job("trunk", "0", "slow", 1000)]
    for k in range(groups):
        out.append(Job(f"{k} codec", str(k), "slow", 200))
        out.append(Job(f"{k} decoder", str(k), "quick", 5000))
        out.append(Job(f"{k} measured", str(k), "measure", fixed=True))
    return out


def test_with_enough_time_all_steps_are_made():
    found = plan(jobs(), COSTS, 1e4)
    assert found.share == 1.0
    assert found.left == ()
    assert found.steps["trunk"] == 1000
    assert found.steps["3 measured"] == 1


def test_with_less_time_all_stages_get_the_same_share():
    found = plan(jobs(), COSTS, 600)
    assert found.seconds <= 600
    assert found.seconds == pytest.approx(600, rel=0.01)
    asked = {job.name: job.steps for job in jobs() if not job.fixed}
    for name, steps in asked.items():
        assert found.steps[name] == pytest.approx(found.share * steps, abs=1)


def test_with_too_little_time_the_last_groups_are_left_out():
    found = plan(jobs(), COSTS, 600, least=0.6)
    assert found.left == ("2", "3")
    assert found.share >= 0.6
    assert {name.split()[0] for name in found.steps} == {"trunk", "0", "1"}
    assert plan(jobs(), COSTS, 5).steps == {}
    assert plan(jobs(), COSTS, 5).left == ("0", "1", "2", "3")


@given(st.floats(1, 5000), st.integers(1, 4), st.floats(0.01, 1))
def test_a_plan_never_takes_longer_than_the_time(seconds, calls, least):
    found = plan_call(jobs(), COSTS, seconds, calls, least)
    steps = sum(found.steps.values())
    assert found.seconds <= seconds + steps * 1e-9 + sum(c.step for c in COSTS.values())
    groups = list(dict.fromkeys(job.group for job in jobs()))
    kept = {job.group for job in jobs() if job.name in found.steps}
    assert sorted(kept | set(found.left)) == groups
    assert not kept & set(found.left)


def test_calls_share_the_groups_and_each_is_filled():
    first = plan_call(jobs(), COSTS, 500, calls=2)
    assert first.steps.keys() < {job.name for job in jobs()}
    assert first.seconds == pytest.approx(500, rel=0.02)
    rest = [job for job in jobs() if job.name not in first.steps]
    second = plan_call(rest, COSTS, 500, calls=1)
    assert second.left == ()
    assert second.share == pytest.approx(first.share, rel=0.5)


def test_what_was_begun_keeps_its_steps():
    begun = [Job("a", "0", "slow", 90, fixed=True), Job("b", "0", "quick", 5000)]
    found = plan(begun, COSTS, 60)
    assert found.steps["a"] == 90
    assert found.steps["b"] == pytest.approx(1250, abs=100)
