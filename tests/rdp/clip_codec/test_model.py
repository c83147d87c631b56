"""The model in the header of a coded clip."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp import GaussMarkov
from rdp.clip_codec.model import ModeModel, fit_model, index_of, scale


def test_scales_are_sixteenths_of_an_octave():
    for index in range(256):
        assert scale(index) == pytest.approx(2.0 ** ((index - 64) / 16), rel=4e-16)
        assert index_of(scale(index)) == index
        assert scale(index + 16) == 2 * scale(index)


@given(sigma=st.floats(0.07, 3900.0), rho=st.floats(0.0, 0.9997))
def test_the_nearest_model_is_near(sigma, rho):
    model = ModeModel.nearest(np.array([sigma]), np.array([rho]))
    assert_allclose(model.sigma, sigma, rtol=0.023)
    assert_allclose(1 - model.rho, 1 - rho, rtol=0.023)


def test_modes_without_variance_and_negative_correlations():
    model = ModeModel.nearest(np.array([0.0, 1e-9, 5.0]), np.array([0.0, 0.5, -0.3]))
    assert (model.sigma[:2] == 0).all()
    assert model.rho[2] == 0


def test_a_source_is_found_from_its_frames():
    source = GaussMarkov.stationary([0.9, 0.5, 0.99], frames=40, sigma=[10.0, 3.0, 100.0])
    model = fit_model(source.sample(500, rng=0).transpose(1, 0, 2))
    assert_allclose(model.sigma, [10.0, 3.0, 100.0], rtol=0.06)
    assert_allclose(1 - model.rho, [0.1, 0.5, 0.01], rtol=0.08)
    with pytest.raises(ValueError, match="frames: expected at least 1"):
        fit_model([])
