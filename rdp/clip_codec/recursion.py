r"""The quantisers of each frame, which encoder and decoder derive from model and quality alone.

Mode i has the prediction error :math:`v = \rho^2 m_{t-1} + (1 - \rho^2) \sigma^2`. Reverse
water-filling at the level :math:`\lambda` leaves the error :math:`m = \min(v, \lambda)`. A dithered
quantiser needs about a quarter of a bit more than that curve, so a mode is worth its bits only if v
exceeds a few :math:`\lambda`: others keep m = v until it does. Modes of small innovation are thus
sent now and then, each time with a useful rate.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rdp.clip_codec.model import ModeModel, scale

Array = np.ndarray

# Least v over the level of a mode that is sent. Below it the Lagrangian, distortion plus price
# times rate, is less without bits: 1 + 2 ln2 (R + 1/4) = 4^R at R = 0.52 bits.
WORTH = 2.05


class Channel(NamedTuple):
    """One frame of d modes: variances, and the quantisers of the modes that are sent.

    Parameters
    ----------
    prediction_error : (d,) array
        Variances v before the frame.
    mmse : (d,) array
        Errors m after it.
    innovation : (d,) array
        Variance of what the frame adds to the past; sigma^2 in the first frame.
    sent : (d,) array of bool
    step, gain, power : (d,) arrays
        Step of the quantiser, coefficient of the estimate of the prediction error from its output
        y, and E y^2; 1 where nothing is sent.
    """

    prediction_error: Array
    mmse: Array
    innovation: Array
    sent: Array
    step: Array
    gain: Array
    power: Array


class Recursion:
    """Variances of a stream, frame after frame.

    Parameters
    ----------
    model : ModeModel
    worth : float, > 1
        Least prediction error of a mode that is sent, over the level. Streams have `WORTH`.
    """

    def __init__(self, model: ModeModel, worth: float = WORTH) -> None:
        self.sigma, self.rho, self.worth = model.sigma, model.rho, worth
        self.mmse: Array | None = None

    def next(self, quality: int) -> Channel:
        """Return the quantisers of the next frame.

        Parameters
        ----------
        quality : int, 0..255
            Index of the root mean squared error that sent modes keep; see `model.scale`.
        """
        variance, level = self.sigma**2, scale(quality) ** 2
        if self.mmse is None:
            v = innovation = variance
        else:
            innovation = (1 - self.rho) * (1 + self.rho) * variance
            v = self.rho**2 * self.mmse + innovation
        sent = v > self.worth * level
        left = np.where(sent, v - level, 1.0)
        noise = np.where(sent, v * level, 1.0) / left
        self.mmse = np.where(sent, level, v)
        return Channel(
            prediction_error=v,
            mmse=self.mmse,
            innovation=innovation,
            sent=sent,
            step=np.where(sent, np.sqrt(12 * noise), 1.0),
            gain=np.where(sent, left / np.where(sent, v, 1.0), 1.0),
            power=np.where(sent, v + noise, 1.0),
        )
