"""Dithered quantisation: what training sees is what the bytes bring."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy.stats import ks_2samp, kstest  # noqa: E402

from neural.codecs.quantiser import Quantiser, shared_dither, shared_noise  # noqa: E402

N = 20_000


@pytest.mark.parametrize("levels", [None, 2, 5])
def test_training_and_use_have_the_same_distribution(levels):
    quantiser = Quantiser(levels)
    y = quantiser.limit(2 * torch.randn(N, generator=torch.Generator().manual_seed(1)))
    dither = shared_dither(3, 0, y.shape)
    used = quantiser.value(quantiser.index(y, dither), dither)
    trained = quantiser.noisy(y, torch.Generator().manual_seed(2))
    assert kstest((used - y).numpy(), "uniform", args=(-0.5, 1)).pvalue > 1e-3
    assert ks_2samp(used.numpy(), trained.numpy()).pvalue > 1e-3
    for form in (used, trained):
        assert abs(np.corrcoef(form - y, y)[0, 1]) < 4 / np.sqrt(N)


@pytest.mark.parametrize("levels", [2, 3, 8])
def test_levels_are_all_used_and_no_others(levels):
    quantiser = Quantiser(levels)
    y = quantiser.limit(torch.linspace(-20, 20, N))
    index = quantiser.index(y, shared_dither(0, 0, y.shape))
    assert sorted(index.unique().tolist()) == list(range(levels))
    assert float(y.abs().max()) <= quantiser.half


def test_gradient_of_the_training_form_is_that_of_the_latent():
    y = torch.randn(7, requires_grad=True)
    Quantiser().noisy(y).sum().backward()
    assert torch.equal(y.grad, torch.ones(7))


def test_shared_randomness_depends_on_seed_and_frame_alone():
    one = shared_dither(5, 2, (100, 3))
    assert torch.equal(one, shared_dither(5, 2, (100, 3)))
    assert torch.equal(one[:10], shared_dither(5, 2, (10, 3)))
    for other in (shared_dither(6, 2, (100, 3)), shared_dither(5, 3, (100, 3))):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 4 / np.sqrt(300)


def test_dither_is_what_it_has_always_been():
    """The stream of bytes depends on it."""
    found = (shared_dither(1, 2, (3,)) * 2**24).long().tolist()
    raw = np.random.Philox(key=1, counter=[0, 0, 0, 2]).random_raw(3) >> np.uint64(40)
    assert found == [int(value) - 2**23 for value in raw]
    assert found == [4221317, 7620353, 4639007]


def test_noise_is_standard_gaussian():
    noise = shared_noise(4, 1, (N,)).double().numpy()
    assert kstest(noise, "norm").pvalue > 1e-3
    dither = shared_dither(4, 1, (N,)).numpy()
    assert abs(np.corrcoef(noise, dither)[0, 1]) < 4 / np.sqrt(N)


def test_too_few_levels_are_refused():
    with pytest.raises(ValueError, match="levels: expected at least 2"):
        Quantiser(1)
