"""Perception losses: thresholds, names, and what the losses of a scheme are."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp import FMD, JD, SA, GaussMarkov, gaussian, measure
from rdp.measure import distortion_of, losses, perception_of, self_adaptive_target
from rdp.mmse import estimate_factor, mmse_recursion
from rdp.perception import Perception, loss_name, perception, zero_loss_name
from tests.strategies import PLFS, sources_with_rates


@pytest.mark.parametrize("loss", PLFS)
def test_thresholds(loss):
    assert loss().thresholds(3).tolist() == [0.0, 0.0, 0.0]
    assert loss(0.5).thresholds(2).tolist() == [0.5, 0.5]
    assert loss([0.5, math.inf]).thresholds(2).tolist() == [0.5, math.inf]
    with pytest.raises(ValueError, match=r"levels: expected shape \(3,\) for 3 frames, got \(2,\)"):
        loss([0.5, 0.5]).thresholds(3)


@pytest.mark.parametrize("name", ["FMD", "JD", "SA"])
def test_losses_by_name(name):
    loss = perception(name.lower(), 0.25)
    assert type(loss) is {"FMD": FMD, "JD": JD, "SA": SA}[name]
    assert (loss.name, loss.metric, loss.levels) == (name, "w2", 0.25)
    assert loss.at(0.5).levels == 0.5
    assert type(loss.at(0.5)) is type(loss)


def test_kl_is_kept():
    loss = perception("FMD", 0.1, metric="kl")
    assert loss.metric == loss.at(0.5).metric == "kl"


def test_no_loss():
    assert perception("mmse") is perception(None) is None


def test_a_loss_may_be_written_in_any_way():
    loss = JD([0.1, 0.2])
    assert perception(loss) is loss
    assert perception(loss, 0.5).levels == 0.5
    assert perception("Jd").levels == perception("Jd", 0.0).levels == 0.0
    assert perception(FMD(0.1, metric="kl"), 0.2).metric == "kl"
    names = [loss_name(any_of) for any_of in (loss, "sa", None, "MMSE", FMD(0.3))]
    assert names == ["JD", "SA", "MMSE", "MMSE", "FMD"]
    assert zero_loss_name(SA(0.0)) == zero_loss_name("sa") == "SA"
    assert zero_loss_name(None) == "MMSE"


def test_levels_are_frozen():
    levels = np.ones(2)
    loss = JD(levels)
    levels[0] = 2.0
    assert loss.levels.tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="read-only"):
        loss.levels[0] = 0.0


BAD = [
    (lambda: FMD(-0.1), "levels: expected values >= 0, got -0.1"),
    (lambda: JD([0.1, -2]), "levels: expected values >= 0, got -2"),
    (lambda: SA(math.nan), "levels: expected numbers, got NaN"),
    (lambda: SA([[0.1]]), r"levels: expected 0 or 1 dimension\(s\)"),
    (lambda: JD("low"), "levels: expected numbers, got 'low'"),
    (lambda: FMD(0.1, metric="js"), "metric: expected 'w2' or 'kl', got 'js'"),
    (lambda: perception("WD"), "perception: expected one of MMSE, FMD, JD, SA, got 'WD'"),
    (lambda: perception(3), "perception: expected one of MMSE, FMD, JD, SA, got 3"),
    (lambda: perception(JD), "perception: expected a loss with its thresholds"),
    (lambda: perception(np.ones(2)), "perception: expected one of MMSE, FMD, JD, SA, got"),
    (lambda: perception(FMD(0.1), metric="kl"), "metric: expected 'w2' like FMD"),
    (lambda: loss_name("W2"), "plf: expected one of MMSE, FMD, JD, SA, got 'W2'"),
    (lambda: zero_loss_name(JD([0.0, 0.1])), "plf: expected JD at threshold 0, got JD"),
    (lambda: perception("JD", metric="kl"), "metric: expected 'w2' for JD, got 'kl'"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# What a scheme's losses are, from samples of the scheme's linear maps


def random_moments(rng, source, rates):
    """Second moments of a random causal decoder, and the maps behind them."""
    frames = source.frames
    factor = estimate_factor(source, rates)
    decoder = np.tril(rng.normal(size=(frames, frames)))
    noise = rng.normal(size=(frames, frames)) * rng.choice([0.0, 1.0])
    return decoder @ decoder.T + noise @ noise.T, decoder @ factor.T, decoder, noise, factor


@given(sources_with_rates(), st.integers(0, 2**32 - 1))
def test_losses_of_a_scheme_are_distances_of_its_distributions(pair, seed):
    """Covariances by stacking the maps of the scheme; X = Xtil + rest, independent of Xhat."""
    source, rates = pair
    rng = np.random.default_rng(seed)
    cov_xhat, cross, decoder, noise, factor = random_moments(rng, source, rates)
    rest = source.covariance() - factor @ factor.T
    cov = source.covariance()
    scale = 1e-9 * (source.variance.sum() + np.trace(cov_xhat))
    marginal, joint, adaptive = (perception_of(source, cov_xhat, cross, loss()) for loss in PLFS)
    for t in range(source.frames):
        xhat = np.hstack([decoder, noise])[: t + 1]
        mixed = xhat.copy()
        mixed[t] = np.concatenate([factor[t], np.zeros(source.frames)])
        target = mixed @ mixed.T
        target[t, t] += rest[t, t]
        kept = xhat @ xhat.T
        one = gaussian.bures(cov[t : t + 1, t : t + 1], kept[t:, t:])
        assert_allclose(marginal[t], one, atol=scale)
        whole = gaussian.bures(cov[: t + 1, : t + 1], kept)
        assert_allclose(joint[t], whole, rtol=1e-9, atol=scale)
        assert_allclose(adaptive[t], gaussian.bures(target, kept), rtol=1e-9, atol=scale)
        divergence = gaussian.kl_divergence(
            [0.0], kept[t:, t:], [0.0], cov[t : t + 1, t : t + 1]
        )
        found = perception_of(source, cov_xhat, cross, FMD(metric="kl"))[t]
        assert_allclose(found, divergence, rtol=1e-9, atol=1e-12)


@given(sources_with_rates(), st.integers(0, 2**32 - 1))
def test_distortion_of_a_scheme(pair, seed):
    """E (X - Xhat)^2 from the maps: X_t is Xtil_t plus what the decoder never sees."""
    source, rates = pair
    cov_xhat, cross, decoder, noise, factor = random_moments(
        np.random.default_rng(seed), source, rates
    )
    mmse = mmse_recursion(source, rates).mmse
    expected = mmse + ((factor - decoder) ** 2).sum(axis=1) + (noise**2).sum(axis=1)
    assert_allclose(distortion_of(source, mmse, cov_xhat, cross), expected, rtol=1e-9)


def test_losses_add_over_modes():
    source = GaussMarkov([[1.0, 2.0], [1.0, 0.5]], [[0.9, 0.3]])
    rates = np.array([[0.5, 1.0], [0.2, 0.7]])
    rng = np.random.default_rng(0)
    parts = [random_moments(rng, source.mode(i), rates[:, i])[:2] for i in range(2)]
    cov_xhat, cross = (np.stack(part) for part in zip(*parts, strict=True))
    for loss in PLFS:
        alone = [perception_of(source.mode(i), cov_xhat[i], cross[i], loss()) for i in range(2)]
        assert_allclose(perception_of(source, cov_xhat, cross, loss()), np.sum(alone, axis=0))


def test_an_unknown_loss_is_refused():
    source = GaussMarkov([1.0])
    for bad in ("MMSE", None):
        with pytest.raises(ValueError, match=f"perception: expected FMD, JD or SA, got {bad!r}"):
            perception_of(source, np.eye(1), np.eye(1), bad)
    with pytest.raises(ValueError, match="perception: expected one of MMSE, FMD, JD, SA, got 'J'"):
        perception_of(source, np.eye(1), np.eye(1), "J")
    assert perception_of(source, np.eye(1), np.eye(1), "jd").tolist() == [0.0]


def test_the_base_class_is_no_loss():
    with pytest.raises(ValueError, match="FMD, JD or SA"):
        Perception(0)


def test_a_name_may_have_the_prefix_plf():
    assert loss_name("PLF-JD") == loss_name("plf-jd") == "JD"
    assert perception("PLF-JD(2)").window == 2


def test_a_class_in_place_of_a_loss_is_refused_with_the_form_to_write():
    with pytest.raises(ValueError, match=r"perception: expected .*JD\(0\)"):
        perception(JD)


@given(
    frames=st.integers(1, 9),
    schemes=st.integers(0, 3),
    loss=st.sampled_from([JD(), JD(window=1), JD(window=3), SA()]),
    entries=st.sampled_from([1, 40, 1 << 20]),
    seed=st.integers(0, 2**32 - 1),
)
def test_frames_that_are_measured_together_are_measured_as_each_alone(
    frames, schemes, loss, entries, seed
):
    """Zeros around a covariance add nothing to a distance; some schemes have singular ones."""
    rng = np.random.default_rng(seed)
    source = GaussMarkov(10 ** rng.uniform(-1, 1, frames), rng.uniform(-1, 1, frames - 1))
    made = [random_moments(rng, source, rng.uniform(0, 2, frames))[:2] for _ in range(schemes)]
    shape = (schemes, frames, frames)
    cov_xhat = np.reshape([cov for cov, _ in made], shape)
    cross = np.reshape([moment for _, moment in made], shape)
    sigma, covariance = source.sigma[None], source.covariance()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "_TOGETHER", entries)
        found = losses(sigma, covariance, cov_xhat, cross, loss)
    assert found.shape == (schemes, frames)
    for t in range(frames):
        seen = slice(loss.first_seen(t), t + 1)
        for n in range(schemes):
            target = covariance[seen, seen]
            if isinstance(loss, SA):
                target = self_adaptive_target(cov_xhat[n : n + 1], cross[n : n + 1], sigma, t)[0]
            alone = gaussian.bures(target, cov_xhat[n, seen, seen])
            size = np.trace(target) + np.trace(cov_xhat[n])
            assert_allclose(found[n, t], alone, rtol=1e-9, atol=1e-13 * size)
