"""Points of a neural codec: its rate from bytes, its error from fresh samples."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from neural.codecs.bitstream import decode, encode  # noqa: E402
from neural.evaluation.blocks import evaluate, to_blocks, to_sequences  # noqa: E402
from neural.evaluation.options import BlockEvaluation  # noqa: E402
from neural.evaluation.record import Record, record_of  # noqa: E402
from rdp.closed_form import rate_for_distortion  # noqa: E402
from tests.neural.small import task, trained  # noqa: E402


def test_blocks_hold_whole_sequences():
    x = task().source.sample(12, rng=0)
    put = to_blocks(x, 3)
    assert put.shape == (4, 2, 3)
    np.testing.assert_allclose(put[1, :, 2], x[5], rtol=1e-6)
    np.testing.assert_allclose(to_sequences(put), x, rtol=1e-6)
    with pytest.raises(ValueError, match="multiple of 5 sequences, got 12"):
        to_blocks(x, 5)


def test_training_samples_have_the_covariance_of_the_source():
    made = task()
    x = to_sequences(made.batch(torch.Generator().manual_seed(3), 40_000))
    np.testing.assert_allclose(np.cov(x.T), made.source.covariance(), rtol=0.03)


def test_a_point_is_what_the_bytes_say():
    made, codec = task(), trained()
    options = BlockEvaluation(n=4000, seed=5, repeats=2)
    (point,), _ = evaluate(codec, made, ("MMSE",), options, Record())
    child = np.random.SeedSequence(5).spawn(3)[0]
    x = made.source.sample(4000, np.random.default_rng(child))
    stream = encode(codec, to_blocks(x, 2), 5)
    assert point.rate.sum() == pytest.approx(8 * len(stream) / 4000, rel=0.02)
    error = (to_sequences(decode(codec, stream, "MMSE")) - x) ** 2
    spread = 6 * error.std(axis=0) / np.sqrt(len(error))
    assert (np.abs(error.mean(axis=0) - point.distortion) < spread).all()
    assert point.samples == 8000
    assert point.label == "neural"
    assert record_of(point).blocks.sequences == 4000


def test_a_short_training_already_comes_near_the_curve():
    """Within 0.4 bit a frame: the quantiser alone costs 0.25."""
    made = task()
    options = BlockEvaluation(n=4000, seed=5, repeats=2)
    (point,), _ = evaluate(trained(), made, ("MMSE",), options, Record())
    gap = point.rate.sum() - rate_for_distortion(made.source, point.distortion).sum()
    assert 0 < gap / 2 < 0.4
