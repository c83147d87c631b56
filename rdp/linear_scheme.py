r"""A causal Gaussian scheme as coefficients, and its simulation through encoder and decoder.

The encoder sends the innovation of the source given the representation through one test channel
for each frame; the decoder is linear in what it received and in noise of its own:

.. math::
    u_t = k_t \frac{X_t - a_t \tilde X_{t-1}}{\sqrt{v_t}} + \sqrt{1 - k_t^2}\, n_t, \qquad
    \tilde X_t = a_t \tilde X_{t-1} + k_t \sqrt{v_t}\, u_t, \qquad
    \hat X = K u + N z,

with white u, n and z of unit variance, and lower-triangular K and N.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rdp import _check
from rdp.mmse import estimate_factor, mmse_recursion
from rdp.source import GaussMarkov

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class LinearScheme:
    """Test channels of given rates and a linear decoder.

    Parameters
    ----------
    source : GaussMarkov
        T scalar frames.
    rates : (T,) array, >= 0, bits per frame
        Rates of the test channels.
    decoder : (T, T) array, lower triangular
        K, units of the source: coefficient of u_s in the reconstruction of frame t.
    noise : (T, T) array, lower triangular
        N, units of the source: coefficient of the decoder's noise z_s.
    """

    source: GaussMarkov
    rates: Array
    decoder: Array
    noise: Array

    @property
    def cov_xhat(self) -> Array:
        """Covariance H of the reconstruction, (T, T)."""
        return self.decoder @ self.decoder.T + self.noise @ self.noise.T

    @property
    def cross(self) -> Array:
        """C[t, s] = E[Xhat_t Xtil_s], (T, T)."""
        return self.decoder @ estimate_factor(self.source, self.rates).T

    @property
    def distortion(self) -> Array:
        """D_t = m_t + E(Xtil_t - Xhat_t)^2 from the coefficients, (T,)."""
        factor = estimate_factor(self.source, self.rates)
        excess = ((factor - self.decoder) ** 2).sum(axis=1) + (self.noise**2).sum(axis=1)
        return mmse_recursion(self.source, self.rates).mmse + excess

    def simulate(self, n: int, rng: np.random.Generator | int) -> tuple[Array, Array]:
        """Draw source sequences, encode and decode them.

        Parameters
        ----------
        n : int
            Number of sequences.
        rng : numpy.random.Generator or int
            Randomness of source, encoder and decoder; an int is a seed.

        Returns
        -------
        x, xhat : (n, T) arrays
            Source and reconstruction.

        Examples
        --------
        >>> source = GaussMarkov.stationary(rho=0.9, frames=1)
        >>> scheme = LinearScheme(source, np.ones(1), np.eye(1), np.zeros((1, 1)))
        >>> x, xhat = scheme.simulate(100_000, rng=0)
        >>> bool(abs(((x - xhat) ** 2).mean() - scheme.distortion[0]) < 0.01)
        True
        """
        generator = _check.generator("rng", rng)
        x = self.source.sample(n, generator)
        backbone = mmse_recursion(self.source, self.rates)
        known, u = np.zeros(len(x)), np.empty_like(x)
        for t in range(self.source.frames):
            k, v = backbone.gain[t], backbone.prediction_error[t]
            predicted = self.source.gain[t] * known
            u[:, t] = np.sqrt((1 - k) * (1 + k)) * generator.standard_normal(len(x))
            if v > 0:
                u[:, t] += k * (x[:, t] - predicted) / np.sqrt(v)
            known = predicted + k * np.sqrt(v) * u[:, t]
        z = generator.standard_normal(x.shape)
        return x, u @ self.decoder.T + z @ self.noise.T
