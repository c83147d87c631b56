"""Gauss-Markov textures: their moments, their exact source, and where they are drawn."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from neural.datasets.textures import FIELD, MEAN, Textures  # noqa: E402
from neural.evaluation.gelbrich import dct_features  # noqa: E402
from neural.tasks.clips import ClipTask  # noqa: E402

CLIPS = 1500


@pytest.fixture(scope="module")
def drawn():
    source = Textures(frames=3)
    x = source.batch(torch.Generator().manual_seed(3), CLIPS)
    return source, x, dct_features(x - MEAN, FIELD)


def test_covariance_of_the_modes_is_the_exact_one(drawn):
    source, _, modes = drawn
    exact = source.model().covariance()  # (4096, 3, 3)
    found = np.einsum("nti,nsi->its", modes, modes) / CLIPS
    # relative to sigma^2, an entry has the standard error sqrt((1 + rho^2) / n)
    variance = exact[:, :1, :1]
    score = (found - exact) / variance / np.sqrt((1 + (exact / variance) ** 2) / CLIPS)
    assert abs(score.mean()) < 0.05
    assert score.std() == pytest.approx(1, abs=0.05)
    assert np.abs(score).max() < 6.5


def test_modes_do_not_depend_on_each_other(drawn):
    _, _, modes = drawn
    some = modes[:, 1, ::97] / modes[:, 1, ::97].std(axis=0)
    correlation = some.T @ some / CLIPS - np.eye(some.shape[1])
    assert np.sqrt((correlation**2).mean()) == pytest.approx(1 / np.sqrt(CLIPS), rel=0.1)


def test_pixels_have_the_deviation_that_was_asked_for(drawn):
    source, x, _ = drawn
    assert float(x.mean()) == pytest.approx(MEAN, abs=0.005)
    assert float((x - MEAN).square().mean()) == pytest.approx(0.01, rel=0.02)
    np.testing.assert_allclose(source.model().variance.sum(axis=1), 0.01)
    assert float(((x < 0) | (x > 1)).float().mean()) < 5e-5


def test_amplitudes_fall_as_the_frequency_and_so_does_the_correlation():
    source = Textures(exponent=1.0, decay=16.0)
    assert source.sigma[0, 2] / source.sigma[0, 8] == pytest.approx(4)
    assert source.sigma[3, 4] == pytest.approx(source.sigma[0, 5])
    assert source.rho[0, 16] == pytest.approx(np.exp(-1))
    assert source.rho[6, 8] == pytest.approx(source.rho[10, 0])
    flat = Textures(exponent=0.0).sigma
    np.testing.assert_allclose(flat, flat[0, 0])


def test_the_seed_decides_the_clips():
    source = Textures()
    one, again, other = (source.batch(torch.Generator().manual_seed(s), 2) for s in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert one.dtype == torch.float32


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_device_draws_the_same_distribution():
    source = Textures(device="cuda")
    x = source.batch(torch.Generator("cuda").manual_seed(0), 500)
    assert x.device.type == "cuda"
    assert float((x - MEAN).square().mean()) == pytest.approx(0.01, rel=0.05)
    same = source.batch(torch.Generator().manual_seed(1), 2).cpu()
    assert torch.allclose(same, Textures().batch(torch.Generator().manual_seed(1), 2), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": 0}, "frames: expected an integer of at least 1"),
        ({"deviation": 0.0}, "deviation: expected a positive number"),
        ({"exponent": -1.0}, "exponent: expected a number of at least 0"),
        ({"decay": float("inf")}, "decay: expected a positive number"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Textures(**options)


def test_textures_are_a_kind_of_clips():
    task = ClipTask({"kind": "textures", "frames": 3, "deviation": 0.05}, {}, {})
    assert task.batch(torch.Generator().manual_seed(0), 2).shape == (2, 3, FIELD, FIELD)
    assert task.model().frames == 3
    assert task.may_be_published
    assert ClipTask({"kind": "digits"}, {}, {}).model() is None
    kinds = "kind: expected digits, people, folder, textures, got 'cats'"
    with pytest.raises(ValueError, match=kinds):
        ClipTask({"kind": "cats"}, {}, {})
