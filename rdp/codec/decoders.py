r"""Decoders of the dithered codec at zero perception loss, as matrices.

The white variables u_t of a stream, of unit variance, are what all decoders start from; the MMSE
estimate is :math:`\tilde X = F u`. A decoder is :math:`\hat X = K u + N z` with noise z of its own.
"""

from __future__ import annotations

import numpy as np

from rdp.common_randomness import framewise_scheme, joint_scheme
from rdp.mmse import factor_from_mmse
from rdp.perception import JD, Perception, perception, zero_loss_name
from rdp.source import GaussMarkov
from rdp.windowed import windowed_decoder

Array = np.ndarray


def white_decoder(
    source: GaussMarkov,
    mmse: Array,
    plf: Perception | str | None,
    common: float = np.inf,
) -> tuple[Array, Array]:
    r"""Return K and N of the decoder for one loss.

    Parameters
    ----------
    source : GaussMarkov
        T frames, or T frames of d modes.
    mmse : (T,) array, or (T, d)
        Errors m_t of the MMSE estimate.
    plf : {"MMSE", "FMD", "JD", "JD(w)", "SA"}, a loss at threshold 0, or None
    common : float, >= 0
        Random bits that encoder and decoder share for each sample; inf is no limit.

    Returns
    -------
    K, N : (T, T) arrays, or (d, T, T), lower triangular

    Raises
    ------
    ValueError
        A loss other than no loss, FMD and JD under limited common randomness.

    Notes
    -----
    Without a limit N is 0, as a frame without bits has noise in place of u_t. FMD scales the MMSE
    estimate to the variance of the frame. JD uses the factor of the source covariance at all rates.
    JD(w) makes every w frames in a row look like the source and uses what older frames missed
    (:mod:`rdp.windowed`). SA adds a term to the prediction from the past that restores the variance
    of the frame. With a limit, FMD and JD are the schemes of :mod:`rdp.common_randomness`.

    Examples
    --------
    >>> source = GaussMarkov.stationary(rho=0.9, frames=2)
    >>> white_decoder(source, np.array([0.5, 0.4]), "JD")[0].round(4)
    array([[1.    , 0.    ],
           [0.9   , 0.4359]])
    """
    name = zero_loss_name(plf, windows=True)
    estimate = factor_from_mmse(source, mmse)
    if name == "MMSE":
        return estimate, np.zeros_like(estimate)
    if common < np.inf:
        return _limited(source, mmse, name, common)
    if name == "JD":
        found = factor_from_mmse(source, np.zeros_like(mmse))
    elif name == "SA":
        found = _self_adaptive(source, mmse, estimate)
    elif name == "FMD":
        found = _framewise(source, estimate)
    else:
        found = _windowed(source, estimate, perception(name))
    return found, np.zeros_like(found)


def _limited(source: GaussMarkov, mmse: Array, name: str, common: float) -> tuple[Array, Array]:
    if name not in ("FMD", "JD"):
        raise ValueError(
            f"plf: expected MMSE, FMD or JD under limited common randomness, got {name}"
        )
    rates = 0.5 * np.log2(prediction_error(source, mmse) / mmse)
    build = framewise_scheme if name == "FMD" else joint_scheme
    scheme = build(source, np.maximum(rates, 0.0), common)
    return scheme.decoder, scheme.noise


def prediction_error(source: GaussMarkov, mmse: Array) -> Array:
    """Return the variances v_t of the prediction errors before each frame, shape of mmse.

    Parameters
    ----------
    source : GaussMarkov
        T frames, or T frames of d modes.
    mmse : (T,) array, or (T, d)
        Errors m_t of the MMSE estimate.
    """
    gain, innovation = source.gain, source.innovation
    return np.concatenate([innovation[:1], gain[1:] ** 2 * mmse[:-1] + innovation[1:]])


def _self_adaptive(source: GaussMarkov, mmse: Array, estimate: Array) -> Array:
    own = np.eye(source.frames, dtype=bool)
    v = np.moveaxis(prediction_error(source, mmse), 0, -1)
    return np.where(own, np.sqrt(v)[..., None], np.tril(estimate))


def _framewise(source: GaussMarkov, estimate: Array) -> Array:
    own = np.eye(source.frames, dtype=bool)
    sd = np.moveaxis(source.sigma, 0, -1)[..., None]
    norm = np.sqrt((estimate**2).sum(axis=-1, keepdims=True))
    # a constant estimate cannot be scaled up: then the frame is its own white variable
    return np.where(norm > 0, sd * estimate / np.where(norm > 0, norm, 1.0), sd * own)


def _windowed(source: GaussMarkov, estimate: Array, loss: Perception | None) -> Array:
    """Decoder of PLF-JD(w); where it needs noise, u_t is noise of the decoder."""
    assert isinstance(loss, JD)
    assert loss.window is not None
    loss.thresholds(source.frames)  # refuses a window beyond the frames
    if source.modes is None:
        decoder, noise = windowed_decoder(source, estimate, loss.window)
        return decoder + noise
    modes = (source.mode(index) for index in range(source.modes))
    pairs = [windowed_decoder(*mode, loss.window) for mode in zip(modes, estimate, strict=True)]
    return np.array([decoder + noise for decoder, noise in pairs])
