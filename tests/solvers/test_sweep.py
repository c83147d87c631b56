"""Sweeps: the same numbers as point by point, on any executor, resumed without loss."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdp import FMD, JD, SA, GaussMarkov, Problem, Status
from rdp.mmse import estimate_factor
from solvers import solve, sweep
from solvers._checkpoint import Checkpoint
from tests.strategies import problems

RATES = st.sampled_from([0.0, np.inf]) | st.floats(0.01, 8.0)
SOURCE = GaussMarkov([1.0, 2.0, 0.5], [0.9, -0.4])
GRID = np.random.default_rng(0).uniform(0, 4, (7, 5, 3))


def same(first, second):
    for name in ("rates", "levels", "distortion", "perception", "objective", "lower_bound"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    np.testing.assert_array_equal(first.status, second.status)


@given(problems(zero_perception=True, weighted=False, rates=RATES))
@settings(max_examples=30)
def test_perfect_realism_point_by_point(problem):
    rates = np.stack([problem.rates, problem.rates / 2])
    found = sweep(problem, rates)
    for point in range(2):
        alone = solve(problem.with_(rates=rates[point]))
        # what comes from the matrices of a scheme has the rounding of its largest entry
        scale = problem.source.variance.max()
        near = {"rtol": 1e-10, "atol": 1e-14 * scale}
        np.testing.assert_allclose(found.distortion[point], alone.distortion, **near)
        np.testing.assert_allclose(found.perception[point], alone.perception, atol=1e-12 * scale)
        np.testing.assert_allclose(found.lower_bound[point], alone.lower_bound, **near)
    assert not found.status.any()


@given(problems(plf=FMD, rates=RATES), st.sampled_from(["w2", "kl"]))
@settings(max_examples=30)
def test_framewise_thresholds_point_by_point(problem, metric):
    levels = problem.thresholds if metric == "w2" else np.minimum(problem.thresholds, 30.0)
    problem = problem.with_(perception=FMD(levels, metric=metric))
    found, alone = sweep(problem), solve(problem)
    scale = problem.source.variance.sum()
    np.testing.assert_allclose(found.objective, alone.objective, rtol=1e-9, atol=1e-14 * scale)
    scale = scale if metric == "w2" else 1.0
    np.testing.assert_allclose(found.perception, alone.perception, rtol=1e-6, atol=1e-9 * scale)


@pytest.mark.parametrize("plf", [JD, SA])
def test_thresholds_that_the_estimate_meets_cost_nothing(plf):
    problem = Problem(SOURCE, 1.0, plf(np.inf), [1, 2, 3])
    found = sweep(problem, GRID)
    np.testing.assert_allclose(found.distortion, sweep(Problem(SOURCE, 1.0), GRID).distortion)
    factor = estimate_factor(SOURCE, GRID[2, 3])
    cov = factor @ factor.T
    alone = solve(problem.with_(rates=GRID[2, 3]))
    np.testing.assert_allclose(alone.cov_xhat, cov)
    np.testing.assert_allclose(found.perception[2, 3], alone.perception, atol=1e-12)


@pytest.mark.parametrize("plf", [JD, SA])
@pytest.mark.parametrize("weights", [None, [1.0, 0.5, 2.0]])
def test_positive_thresholds_point_by_point(plf, weights):
    problem = Problem(SOURCE, 1.0, plf(0.0), weights)
    levels = np.array([0.0, 1e-3, 0.05, 0.3])[:, None, None]
    found = sweep(problem, GRID[0], levels, chunk=8)
    assert found.distortion.shape == (4, 5, 3)
    assert not found.status.any()
    for level, point in ((1, 0), (2, 3), (3, 4)):
        alone = solve(problem.with_(rates=GRID[0, point], perception=plf(levels[level, 0, 0])))
        assert found.objective[level, point] == pytest.approx(alone.objective, rel=1e-6)
        assert found.lower_bound[level, point] <= alone.objective * (1 + 1e-9)


def test_vector_frames_point_by_point():
    source = GaussMarkov(np.array([[2.0, 1.0, 0.5], [1.0, 1.0, 0.1]]), 0.7)
    problem = Problem(source, 1.0, FMD(0.1))
    found = sweep(problem, [[0.5, 1.0], [3.0, 0.2]])
    for point in range(2):
        alone = solve(problem.with_(rates=found.rates[point]))
        np.testing.assert_allclose(found.distortion[point], alone.distortion)
        assert found.lower_bound[point] == alone.lower_bound


def test_rates_and_levels_broadcast():
    problem = Problem(SOURCE, [0.1, 0.2, 0.3], JD(0.0))
    assert sweep(problem).distortion.shape == (3,)
    assert sweep(problem, 1.0).rates.tolist() == [1.0, 1.0, 1.0]
    found = sweep(problem, GRID[:, :1], np.zeros((4, 1)))
    assert found.levels.shape == found.rates.shape == (7, 4, 3)
    assert found.gap.shape == (7, 4)
    np.testing.assert_array_equal(found.rates[2, 3], GRID[2, 0])


def test_a_flat_list_can_be_read_in_two_ways_and_is_refused():
    problem = Problem(SOURCE, 1.0, JD(0.0))
    both = r"rates: .* shape \(3,\), .* write \[\[.*\]\] for one .* or \[\[.*\] for 3 points"
    with pytest.raises(ValueError, match=both):
        sweep(problem, [0.5, 1.0, 2.0])
    with pytest.raises(ValueError, match=r"levels: .* two ways; .*\] for 3 points"):
        sweep(problem, levels=np.zeros(3))
    # of another length than the frames it can only be points; the message says how to write them
    with pytest.raises(ValueError, match=r"shape \(4,\), .*; write \[\[1\], .*\] for 4 points"):
        sweep(problem, np.ones(4))
    one, three = sweep(problem, [[0.5, 1.0, 2.0]]), sweep(problem, [[0.5], [1.0], [2.0]])
    assert (one.rates.shape, three.rates.shape) == ((1, 3), (3, 3))
    np.testing.assert_array_equal(one.rates[0], [0.5, 1.0, 2.0])
    np.testing.assert_array_equal(three.rates[:, 0], [0.5, 1.0, 2.0])
    # a number in brackets is one point either way
    np.testing.assert_array_equal(sweep(problem, [0.5]).rates, [0.5] * 3)
    single = Problem(GaussMarkov([1.0]), 1.0, JD(0.0))
    with pytest.raises(ValueError, match=r"write \[\[0.5\], \[1\]\] for 2 points"):
        sweep(single, [0.5, 1.0])
    assert sweep(single, [[0.5], [1.0]]).distortion.shape == (2, 1)


def test_wrong_arguments_are_named():
    problem = Problem(SOURCE, 1.0, JD(0.0))
    with pytest.raises(ValueError, match=r"rates: expected shape \(\.\.\., 3\)"):
        sweep(problem, np.ones((5, 2)))
    with pytest.raises(ValueError, match="levels: expected a shape that broadcasts"):
        sweep(problem, np.ones((5, 3)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match="levels: expected values >= 0"):
        sweep(problem, levels=-1.0)
    with pytest.raises(ValueError, match="levels: expected none"):
        sweep(Problem(SOURCE, 1.0), levels=1.0)
    with pytest.raises(ValueError, match="chunk: expected an integer"):
        sweep(problem, chunk=0)
    with pytest.raises(ValueError, match="problem: expected a Problem"):
        sweep(SOURCE)


def test_failures_show_as_status_and_nan():
    """A point that no method covers has no numbers, and the others keep theirs."""
    source = GaussMarkov([[2.0, 1.0], [1.0, 0.5]], 0.7)
    found = sweep(Problem(source, 1.0, JD(0.0)), levels=[[0.0], [0.1], [np.inf], [1e-9]])
    code = Status.UNSUPPORTED.code
    np.testing.assert_array_equal(found.status, [Status.SOLVED.code, code, 0, code])
    bad = found.status != 0
    for values in (found.distortion, found.perception, found.objective, found.lower_bound):
        assert np.isnan(values[bad]).all()
        assert np.isfinite(values[~bad]).all()


def test_csv_has_all_digits(tmp_path):
    found = sweep(Problem(SOURCE, 1.0, SA(0.0)), GRID)
    found.to_csv(tmp_path / "sweep.csv")
    table = pd.read_csv(tmp_path / "sweep.csv", dtype=str)
    assert [float(text) for text in table["distortion_2"]] == found.distortion[
        ..., 1
    ].ravel().tolist()
    assert list(table) == list(found.to_dataframe())
    assert len(table) == 35


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_executors_give_the_same_numbers(pool):
    problem = Problem(SOURCE, 1.0, JD(0.0))
    with pool(2) as executor:
        same(sweep(problem, GRID, executor=executor, chunk=6), sweep(problem, GRID, chunk=6))


def test_a_dask_cluster_gives_the_same_numbers():
    distributed = pytest.importorskip("distributed")
    problem = Problem(SOURCE, 1.0, JD(0.0))
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        found = sweep(problem, GRID, executor=client.get_executor(), chunk=6)
    same(found, sweep(problem, GRID, chunk=6))


def test_an_error_in_a_worker_reaches_the_caller():
    class Refusing(ThreadPoolExecutor):
        def submit(self, *args, **kwargs):
            return super().submit(lambda: 1 / 0)

    with Refusing(1) as executor, pytest.raises(ZeroDivisionError):
        sweep(Problem(SOURCE, 1.0, JD(0.0)), GRID, executor=executor)


def test_progress_counts_points(capsys):
    sweep(Problem(SOURCE, 1.0, JD(0.0)), GRID, progress=True, chunk=10)
    assert "35/35" in capsys.readouterr().err.replace(".0", "")


# -- checkpoints ---------------------------------------------------------------------------------

SCRIPT = """
import json, sys, time
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from rdp import JD, GaussMarkov, Problem
from solvers import sweep
checkpoint, log = sys.argv[1:]
def slow(solve, problem, rates, *rest):
    out = solve(problem, rates, *rest)
    with open(log, "a") as file:
        file.write(json.dumps(float(rates[0, 0])) + "\\n")
    time.sleep(0.05)
    return out
class Slow(ThreadPoolExecutor):
    def submit(self, *work):
        return super().submit(slow, *work)
grid = np.random.default_rng(0).uniform(0, 4, (7, 5, 3))
problem = Problem(GaussMarkov([1.0, 2.0, 0.5], [0.9, -0.4]), 1.0, JD(0.0))
with Slow(1) as executor:
    sweep(problem, grid, executor=executor, checkpoint=checkpoint, chunk=1)
"""


def start(checkpoint, log):
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(checkpoint), str(log)],
        env=os.environ | {"PYTHONPATH": path},
    )


def test_a_killed_sweep_goes_on_where_it_stopped(tmp_path):
    """Killed twice: no point is lost, and no recorded point is computed again."""
    checkpoint, log = tmp_path / "sweep.checkpoint", tmp_path / "computed"
    problem = Problem(SOURCE, 1.0, JD(0.0))
    record = 8 * (2 * 3 + 3)
    for _ in range(2):
        before = checkpoint.stat().st_size if checkpoint.exists() else 0
        process = start(checkpoint, log)
        while not checkpoint.exists() or checkpoint.stat().st_size < before + 4 * record:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert start(checkpoint, log).wait() == 0
    computed = [json.loads(line) for line in log.read_text().splitlines()]
    # a chunk that was under way when the process died is all that may come twice
    assert set(computed) == set(GRID[..., 0].ravel())
    assert len(computed) <= GRID[..., 0].size + 2
    done = log.read_text()
    resumed = sweep(problem, GRID, checkpoint=checkpoint, chunk=1)
    assert log.read_text() == done
    same(resumed, sweep(problem, GRID, chunk=1))


class Counting(ThreadPoolExecutor):
    """An executor that counts the chunks it is given."""

    chunks = 0

    def submit(self, *work):
        self.chunks += 1
        return super().submit(*work)


@given(st.data())
@settings(max_examples=15)
def test_a_torn_record_is_computed_again_and_only_that(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("torn") / "sweep.checkpoint"
    problem = Problem(SOURCE, 1.0, JD(0.0))
    whole = sweep(problem, GRID, checkpoint=path, chunk=5)
    size = path.stat().st_size
    os.truncate(path, data.draw(st.integers(size - 5 * 72, size - 1)))
    with (
        Counting(1) as executor,
        pytest.warns(RuntimeWarning, match=r"sweep\.checkpoint: .* computed again"),
    ):
        same(sweep(problem, GRID, executor=executor, checkpoint=path, chunk=5), whole)
    assert executor.chunks == 1
    assert path.stat().st_size == size


@given(place=st.integers(0, 10**6), bit=st.integers(0, 7))
@settings(max_examples=30)
def test_a_flipped_bit_costs_one_chunk_and_changes_no_number(tmp_path_factory, place, bit):
    path = tmp_path_factory.mktemp("flipped") / "sweep.checkpoint"
    problem = Problem(SOURCE, 1.0, JD(0.0))
    whole = sweep(problem, GRID, checkpoint=path, chunk=5)
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 1 << bit
    path.write_bytes(content)
    with (
        Counting(1) as executor,
        pytest.warns(RuntimeWarning, match=r"sweep\.checkpoint: .* computed again"),
    ):
        same(sweep(problem, GRID, executor=executor, checkpoint=path, chunk=5), whole)
    assert executor.chunks <= 1


def test_a_finished_checkpoint_computes_nothing(tmp_path):
    problem = Problem(SOURCE, 1.0, JD(0.0))
    whole = sweep(problem, GRID, checkpoint=tmp_path / "c", chunk=4)
    with Counting(1) as executor:
        same(sweep(problem, GRID, executor=executor, checkpoint=tmp_path / "c", chunk=4), whole)
    assert executor.chunks == 0


@pytest.mark.parametrize(
    "other",
    [
        lambda: (Problem(SOURCE, 1.0, JD(0.0)), GRID[:6], 4),
        lambda: (Problem(SOURCE, 1.0, JD(0.0)), GRID * 1.0000001, 4),
        lambda: (Problem(SOURCE, 1.0, SA(0.0)), GRID, 4),
        lambda: (Problem(SOURCE, 1.0, FMD(0.0, metric="kl")), GRID, 4),
        lambda: (Problem(SOURCE.scaled(2), 1.0, JD(0.0)), GRID, 4),
        lambda: (Problem(SOURCE, 1.0, JD(0.0)), GRID, 5),
    ],
)
def test_a_checkpoint_of_another_sweep_is_refused(tmp_path, other):
    path = tmp_path / "c"
    sweep(Problem(SOURCE, 1.0, JD(0.0)), GRID, checkpoint=path, chunk=4)
    content = path.read_bytes()
    problem, rates, chunk = other()
    with pytest.raises(ValueError, match=r"checkpoint: .* another sweep"):
        sweep(problem, rates, checkpoint=path, chunk=chunk)
    assert path.read_bytes() == content


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a checkpoint")
    with pytest.raises(ValueError, match="checkpoint: expected a checkpoint"):
        sweep(Problem(SOURCE, 1.0, JD(0.0)), checkpoint=path)
    assert path.read_text() == "not a checkpoint"
    with pytest.raises(ValueError, match="checkpoint: expected an existing folder"):
        Checkpoint(tmp_path / "missing" / "c", b"digest")


def test_a_flat_list_is_refused_with_the_two_forms_to_write():
    problem = Problem(GaussMarkov.stationary(rho=0.9, frames=3), 1.0)
    forms = "[[1, 2, 3]] for one point of 3 frames, or [[1], [2], [3]] for 3"
    with pytest.raises(ValueError, match=re.escape(forms)):
        sweep(problem, [1, 2, 3])
    with pytest.raises(ValueError, match=r"write \[\[0\], \[1\], \[2\], \.\.\.\] for 50 points"):
        sweep(problem, range(50))


def test_an_executor_of_another_type_is_refused():
    problem = Problem(GaussMarkov.stationary(rho=0.9, frames=2), 1.0)
    with pytest.raises(ValueError, match="executor: expected an Executor, got int"):
        sweep(problem, executor=3)


@pytest.mark.parametrize("weights", [None, 1.0])
@pytest.mark.parametrize("loss", [JD, SA])
@pytest.mark.parametrize(
    ("sigma", "rho", "level"),
    [
        ((1e6, 1e-3), 1 - 1e-7, 1e-16),
        ((1.0, 1.0), 1 - 5e-16, 1e-20),
        ((1e3, 1e-3), -0.9999999, 1e-16),
    ],
)
def test_the_estimate_meets_no_threshold_by_the_rounding_of_second_moments(
    sigma, rho, level, loss, weights
):
    """Frame 2 gets no bits, so that its part that frame 1 does not tell is missing.

    Covariances differ by less than the rounding of the largest entry. Decoders that keep the
    threshold have nearly twice the distortion. Across (X_1, X_2) the source has the variance
    q / (1 + a^2), from which the root of the loss takes away at most that of the threshold.
    """
    source = GaussMarkov(sigma, [rho])
    problem = Problem(source, [np.inf, 0.0], loss(level), weights)
    found, alone = sweep(problem, levels=[[level]]), solve(problem)
    news = source.innovation[1]
    missing = (np.sqrt(news) - np.sqrt(level * (1 + source.gain[1] ** 2))) ** 2
    assert found.status[0] == 0
    for perception in (found.perception[0], alone.perception):
        assert (perception <= level * (1 + 1e-9)).all()
    if weights is None:
        np.testing.assert_allclose(found.distortion[0], alone.distortion, rtol=1e-6)
        assert found.distortion[0, 1] >= news + missing * (1 - 1e-6)
