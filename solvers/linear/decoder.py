r"""Decoders at zero perception loss for any source: sequential rules, and the scheme they make.

The source has the covariance :math:`\Sigma = L L^T`, its MMSE estimate is :math:`\tilde X = E u`
with white u and lower-triangular E. A decoder is linear in u and in noise z of its own,

.. math:: \hat X = K u + N z, \qquad D_t = m_t + E(\tilde X_t - \hat X_t)^2,
          \qquad m_t = \Sigma_{tt} - \sum_{s \le t} E_{ts}^2 .

Frame by frame, with the earlier reconstructions fixed, the least :math:`D_t` is reached by (derived
in this project; losses of Salehkalaibar et al., arXiv:2305.19301 and arXiv:2502.10628)

.. math::
    \text{FMD: } & \hat X_t = \sigma_t \tilde X_t / \operatorname{sd} \tilde X_t, \\
    \text{JD: } & \hat X_t = \sum_{s<t} L_{ts} e_s + L_{tt} e_t, \\
    \text{JD(w): } & \hat X_t = E[X_t | X_{t-w+1..t-1} = \hat X_{t-w+1..t-1}] + \sqrt{q_t} e_t, \\
    \text{SA: } & \hat X_t = E[X_t | \hat X_1..\hat X_{t-1}] + \sqrt{\omega_t} e_t,

where e_t is the normalised part of :math:`\tilde X_t` that is orthogonal to the reconstructions the
loss compares (all, the last w - 1, all), or decoder noise if there is no such part. Under SA,
:math:`E[X_t | \hat X^{t-1}] = E[\tilde X_t | \hat X^{t-1}]`, since :math:`\hat X^{t-1}` is made
from :math:`u_1..u_{t-1}` and noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rdp import _check
from rdp.gaussian import psd_cholesky

Array = np.ndarray

LOSSES = ("FMD", "JD", "SA")
_NOTHING = 1e-12  # residual relative to the deviation of the frame that rounding alone explains


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """A linear decoder and the second moments of what it makes.

    Parameters
    ----------
    covariance : (T, T) array
        Covariance of the source.
    factor : (T, T) array
        E, factor of the MMSE estimate.
    decoder : (T, T) array, lower triangular
        K, coefficient of u_s in the reconstruction of frame t.
    noise : (T, T) array
        N, coefficient of the decoder's noise z_s.
    """

    covariance: Array
    factor: Array
    decoder: Array
    noise: Array

    @property
    def cov_xhat(self) -> Array:
        """Covariance of the reconstruction, (T, T)."""
        return self.decoder @ self.decoder.T + self.noise @ self.noise.T

    @property
    def cross(self) -> Array:
        """C[t, s] = E[Xhat_t Xtil_s], (T, T)."""
        return self.decoder @ self.factor.T

    @property
    def mmse(self) -> Array:
        """m_t, error of the MMSE estimate, (T,)."""
        return np.maximum(np.diag(self.covariance) - (self.factor**2).sum(axis=1), 0.0)

    @property
    def excess(self) -> Array:
        """D_t - m_t, what realism adds, (T,)."""
        return ((self.factor - self.decoder) ** 2).sum(axis=1) + (self.noise**2).sum(axis=1)

    @property
    def distortion(self) -> Array:
        """D_t, squared units of the source, (T,)."""
        return self.mmse + self.excess

    def decode(self, u: Array, rng: np.random.Generator | int) -> Array:
        """Reconstruct sequences from their representation.

        Parameters
        ----------
        u : (n, T) array
            White variables of the representation, see `Representation.simulate`.
        rng : numpy.random.Generator or int
            Noise of the decoder; an int is a seed.
        """
        z = _check.generator("rng", rng).standard_normal((len(u), self.noise.shape[1]))
        return u @ self.decoder.T + z @ self.noise.T


def reconstruct(
    covariance: object, factor: object, loss: str, window: int | None = None
) -> Reconstruction:
    r"""Sequential decoder at zero perception loss: minimise D_1, then D_2 given that, and so on.

    .. math:: \min D_1, \text{ then } D_2, \dots \quad\text{subject to}\quad
              \phi(\cdot, \cdot) = 0 \text{ at every frame.}

    Parameters
    ----------
    covariance : (T, T) array
        Covariance of the source, singular or not.
    factor : (T, T) array, lower triangular
        E with Xtil = E u; zero columns where a frame sends nothing.
    loss : {"FMD", "JD", "SA"}
        Perception loss.
    window : int or None
        w of JD(w), from 1 to T: realism of every w consecutive frames. None is JD of all frames.

    Returns
    -------
    Reconstruction

    Raises
    ------
    ValueError
        Shapes that do not match, a factor that is not lower triangular or estimates more than
        there is, an unknown loss, a window without JD or outside 1..T.

    Examples
    --------
    >>> from rdp import GaussMarkov
    >>> from rdp.mmse import estimate_factor
    >>> source = GaussMarkov.stationary(rho=0.9, frames=3)
    >>> factor = estimate_factor(source, [0.05, 8, 8])
    >>> reconstruct(source.covariance(), factor, "JD").distortion.round(3)
    array([1.482, 0.733, 0.594])
    """
    cov, estimate = _checked(covariance, factor)
    frames = len(cov)
    if loss not in LOSSES:
        raise ValueError(f"loss: expected one of {LOSSES}, got {loss!r}")
    width = frames if window is None else _check.count("window", window)
    if window is not None and (loss != "JD" or width > frames):
        raise ValueError(f"window: expected 1 to {frames} with JD, got {window} with {loss}")
    if loss == "FMD":
        width = 1
    sd = np.sqrt(np.diag(cov))
    given = np.hstack([estimate, np.zeros((frames, frames))])
    rows = np.zeros((frames, 2 * frames))  # Xhat over u_1..u_T, z_1..z_T
    if width == frames and loss == "JD":
        rows = _jointly(psd_cholesky(cov), given, sd)
        return Reconstruction(cov, estimate, rows[:, :frames], rows[:, frames:])
    basis = np.zeros((0, 2 * frames))
    for t in range(frames):
        seen = rows[max(0, t - width + 1) : t]
        if width < frames:
            basis = _orthonormal(seen, sd[t - len(seen) : t])
        elif t:
            basis = _extended(basis, rows[t - 1], sd[t - 1])
        white = _direction(basis, given[t], sd[t], frames + t)
        if loss == "SA":
            inside = given[t] @ basis.T
            mean, left = inside @ basis, cov[t, t] - float(inside @ inside)
        else:
            inside = _regression(cov, t, len(seen))
            mean = inside @ seen
            left = cov[t, t] - float(inside @ cov[t - len(seen) : t, t])
        rows[t] = mean + np.sqrt(max(left, 0.0)) * white
    return Reconstruction(cov, estimate, rows[:, :frames], rows[:, frames:])


def _checked(covariance: object, factor: object) -> tuple[Array, Array]:
    """Return both matrices, or raise ValueError."""
    cov = _check.finite("covariance", _check.array("covariance", covariance, ndim=2))
    frames = len(cov)
    if cov.shape != (frames, frames) or frames == 0 or not np.allclose(cov, cov.T, rtol=1e-9):
        raise ValueError(f"covariance: expected a symmetric (T, T) matrix, got shape {cov.shape}")
    estimate = _check.finite("factor", _check.array("factor", factor, ndim=2))
    if estimate.shape != cov.shape:
        raise ValueError(f"factor: expected shape {cov.shape}, got {estimate.shape}")
    if np.triu(estimate, 1).any():
        raise ValueError("factor: expected a lower-triangular matrix")
    explained = (estimate**2).sum(axis=1)
    if (explained > np.diag(cov) * (1 + 1e-9)).any():
        raise ValueError("factor: expected estimates with at most the variance of the frames")
    return cov, estimate


def _jointly(factor: Array, given: Array, sd: Array) -> Array:
    """Rows of L e: e_t is the normalised part of the estimate outside the earlier e."""
    frames = len(factor)
    white = np.zeros_like(given)
    for t in range(frames):
        if factor[t, t] > 0:  # otherwise the past determines the frame and there is no e_t
            white[t] = _direction(white[:t], given[t], sd[t], frames + t)
    return factor @ white


def _direction(basis: Array, row: Array, scale: float, noise: int) -> Array:
    """Normalised part of a row outside the basis, or a unit of decoder noise."""
    rest = _outside(basis, row)
    length = float(np.linalg.norm(rest))
    if length > _NOTHING * scale:
        rest = _outside(basis, rest / length)
        return rest / np.linalg.norm(rest)
    white = np.zeros_like(row)
    white[noise] = 1.0
    return white


def _outside(basis: Array, row: Array) -> Array:
    """Part of a row that is orthogonal to the rows of the basis."""
    return row - (basis @ row) @ basis


def _extended(basis: Array, row: Array, scale: float) -> Array:
    """The basis with one more row, if rounding alone does not explain what it adds."""
    rest = _outside(basis, _outside(basis, row))
    length = float(np.linalg.norm(rest))
    return basis if length <= _NOTHING * scale else np.vstack([basis, rest / length])


def _orthonormal(rows: Array, sd: Array) -> Array:
    """Orthonormal basis of a few rows."""
    basis = np.zeros((0, rows.shape[1]))
    for row, scale in zip(rows, sd, strict=True):
        basis = _extended(basis, row, scale)
    return basis


def _regression(cov: Array, t: int, number: int) -> Array:
    """Coefficients of E[X_t | the last `number` frames]."""
    if number == 0:
        return np.zeros(0)
    past = cov[t - number : t, t - number : t]
    return np.linalg.lstsq(past, cov[t - number : t, t], rcond=1e-13)[0]
