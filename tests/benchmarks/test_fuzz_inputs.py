"""A slice of `make fuzz`, and whether the tool notices what must not happen."""

import subprocess
import sys
import time
from random import Random
from types import SimpleNamespace

import pytest

from benchmarks import fuzz_inputs
from benchmarks.fuzz_families import Family, Wrong
from benchmarks.fuzz_inputs import FAMILIES, Clock, Tally, attack, outcome_of, supervise
from benchmarks.fuzz_mutations import BYTES, changed_bytes, changed_value

COUNTS = {"streams": 300, "neural streams": 300, "toml": 150, "clips": 150, "commands": 25}
OF_TORCH = ("idx", "neural streams", "training checkpoints", "codecs", "json", "toml")


@pytest.mark.parametrize("name", FAMILIES)
def test_nothing_that_must_not_happen_happens(tmp_path, name):
    if name in OF_TORCH:
        pytest.importorskip("torch")
    if name == "server":
        pytest.importorskip("flask")
        pytest.importorskip("plotly")
    count = COUNTS.get(name, 50)
    tally = attack(name, seed=0, first=0, count=count, folder=tmp_path)
    assert tally.ok, tally.failures
    assert tally.inputs == count
    assert tally.refused > 0


class Toy(Family):
    """Accepts 0, refuses 1, and does the rest of what it should not."""

    def originals(self):
        return [0]

    def changed(self, rng):
        return rng.randrange(5)

    def read(self, given):
        if given == 1:
            raise ValueError("one line")
        if given == 2:
            raise ValueError("two\nlines")
        if given == 3:
            raise KeyError("x")
        if given == 4:
            raise Wrong("another value")


def test_outcomes_are_told_apart(tmp_path, monkeypatch):
    toy = Toy(tmp_path)
    assert [outcome_of(toy, given)[0] for given in range(5)] == [
        "accepted",
        "refused",
        "wrong",
        "traceback",
        "wrong",
    ]
    assert outcome_of(toy, 3)[1].startswith("KeyError: \"'x'\" at test_fuzz_inputs.py:")
    monkeypatch.setitem(FAMILIES, "toy", Toy)
    tally = attack("toy", seed=1, first=0, count=50, folder=tmp_path)
    given = [Toy(tmp_path).changed(Random(f"toy 1 {number}")) for number in range(50)]
    assert (tally.accepted, tally.refused, tally.traceback, tally.wrong) == (
        given.count(0),
        given.count(1),
        given.count(3),
        given.count(2) + given.count(4),
    )
    assert not tally.ok


def test_slow_and_large_inputs_are_counted():
    tally = Tally()
    tally.add(0, "accepted", "", fuzz_inputs.SLOW, 3.0)
    assert tally.ok
    tally.add(1, "accepted", "", fuzz_inputs.SLOW + 1, 1.0)
    assert (tally.slow, tally.most_mib, tally.ok) == (1, 3.0, False)
    tally = Tally()
    tally.over(4, 900.0)
    assert (tally.memory, tally.ok) == (1, False)


def test_a_family_is_attacked_in_a_process_of_its_own():
    tally = supervise("streams", seed=0, first=0, seconds=0.3)
    assert tally.ok, tally.failures
    assert tally.inputs > 10


@pytest.mark.parametrize("code", ["import time; time.sleep(60)", "while True: pass"])
def test_a_process_that_sleeps_or_computes_for_long_has_hung(monkeypatch, code):
    monkeypatch.setattr(fuzz_inputs, "HUNG", 0.5)
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        clock, began = Clock(process.pid), time.monotonic()
        at_once = clock.hung()
        while not clock.hung() and time.monotonic() < began + 20:
            time.sleep(0.02)
        found = clock.hung()
        process.kill()
    assert not at_once
    assert found
    assert time.monotonic() >= began + 0.5


def test_a_process_that_waits_for_a_processor_has_not_hung(monkeypatch):
    readings = iter([(1.0, 2.0), (20.0, 500.0), (62.0, 500.0)])
    monkeypatch.setattr(Clock, "_busy", lambda self: next(readings))
    clock = Clock(0)
    clock.began -= 500.0  # half a minute asleep or computing, the rest in the queue
    assert not clock.hung()
    assert clock.hung()


def test_the_seconds_cover_the_start_of_a_process(monkeypatch):
    tally = supervise("streams", seed=0, first=0, seconds=-1000.0)
    assert tally.inputs  # a family that starts late has a moment all the same
    given, now = [], [1000.0]

    def recorded(name, seed, first, seconds):
        given.append(seconds)
        now[0] += 0.2
        return tally

    monkeypatch.setattr(fuzz_inputs, "time", SimpleNamespace(time=lambda: now[0]))
    monkeypatch.setattr(fuzz_inputs, "supervise", recorded)
    monkeypatch.setattr(fuzz_inputs, "report", lambda *arguments, **options: None)
    families = ["--family", "streams", "--family", "idx", "--family", "clips"]
    assert fuzz_inputs.main(["--seconds", "0.5", *families]) == 0
    assert given == pytest.approx([0.5 / 3, 0.3 / 2, 0.1], abs=1e-9)


def test_inputs_follow_from_the_seed():
    content = bytes(range(256)) * 4
    assert changed_bytes(Random(3), content) == changed_bytes(Random(3), content)
    kinds = {changed_bytes(Random(seed), content)[0] for seed in range(200)}
    assert kinds == {*BYTES, "several"}
    for seed in range(300):
        kind, changed = changed_bytes(Random(seed), content)
        assert kind != "cut" or content.startswith(changed)


def test_a_changed_value_leaves_the_original_as_it_was():
    value = {"a": [1, {"b": 2.0}], "c": "x"}
    found = [changed_value(Random(seed), value) for seed in range(200)]
    assert value == {"a": [1, {"b": 2.0}], "c": "x"}
    assert sum(one != value for one in found) > 150
