"""Encoder and decoder of a source of any order, as a scheme that `Solution` can simulate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rdp.linear_source import scalar
from solvers.linear.decoder import Reconstruction
from solvers.linear.measurement import Representation

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class MeasuredScheme:
    """A representation and what a decoder makes of it.

    Parameters
    ----------
    representation : Representation
        The measurements of the encoder.
    reconstruction : Reconstruction
        The decoder.
    """

    representation: Representation
    reconstruction: Reconstruction

    def residuals(self) -> dict[str, float]:
        """Return the violations "moments", "causality" and "rate", 0 for none.

        The first two are relative to the largest variance of a frame. The third is the share of
        what is measured that a frame captures beyond :math:`1 - 2^{-2R_t}`.
        """
        made, sent = self.reconstruction, self.representation
        variance = np.diag(made.covariance)
        scale = max(float(variance.max()), np.finfo(np.float64).tiny)
        excess = float(np.max((made.factor**2).sum(axis=1) - variance, initial=0.0))
        ahead = [np.triu(part, 1) / np.sqrt(scale) for part in (made.decoder, made.noise)]
        beyond = _shares(sent) + np.expm1(-2 * np.log(2) * sent.rates)
        return {
            "moments": excess / scale,
            "causality": max(float(np.abs(part).max(initial=0.0)) for part in ahead),
            "rate": float(np.max(beyond, initial=0.0)),
        }

    def simulate(self, n: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        """Draw sequences: source, reconstruction and MMSE estimate, (n, T) each.

        Parameters
        ----------
        n : int
            Number of sequences.
        rng : numpy.random.Generator
            Randomness of source, encoder and decoder.
        """
        x, u = self.representation.simulate(n, rng)
        return x, self.reconstruction.decode(u, rng), u @ self.representation.factor.T


def _shares(sent: Representation) -> Array:
    r"""Share of what is measured that each frame captures, :math:`\gamma^T (P^-)^{-1} \gamma`."""
    a, w, _ = scalar(sent.source)
    ahead = sent.source.realisation().initial
    out = np.zeros(len(sent.rates))
    for t, gain in enumerate(sent.gain):
        out[t] = float(gain @ np.linalg.lstsq(ahead, gain, rcond=1e-13)[0])
        ahead = a @ sent.error[t] @ a.T + w
        ahead = 0.5 * (ahead + ahead.T)
    return out
