r"""Decoders of a clip at zero perception loss, mode by mode and frame by frame.

With the white variables u of the stream, the estimate :math:`\tilde x` and the variances of the
recursion (`rdp.clip_codec.recursion`):

=====  =============================================================================
MMSE   :math:`\hat x_t = \tilde x_t`
FMD    :math:`\hat x_t = \sigma\, \tilde x_t / \sqrt{\sigma^2 - m_t}`
JD     :math:`\hat x_t = \rho\, \hat x_{t-1} + \sqrt{q_t}\, u_t`
SA     :math:`\hat x_t = \rho\, \tilde x_{t-1} + \sqrt{v_t}\, u_t`
=====  =============================================================================

A mode of which nothing has been sent has no estimate to scale: for FMD it is then that of JD,
which has the distribution asked for and does not flicker. The formulas are those of
`rdp.codec.decoders`, without matrices over the frames.
"""

from __future__ import annotations

import numpy as np

from rdp.clip_codec.coder import Coded
from rdp.clip_codec.model import ModeModel
from rdp.perception import Perception, zero_loss_name

Array = np.ndarray

_UNKNOWN = 1e-9  # share of the variance below which there is no estimate


class Reconstruction:
    """The frames of one decoder, as modes.

    Parameters
    ----------
    model : ModeModel
    plf : {"MMSE", "FMD", "JD", "SA"}, a loss at threshold 0, or None
    """

    def __init__(self, model: ModeModel, plf: Perception | str | None) -> None:
        self.plf = zero_loss_name(plf)
        self.sigma, self.rho = model.sigma, model.rho
        self.joint = np.zeros(len(model.rho))

    def next(self, coded: Coded) -> Array:
        """Return the modes of the next frame, (n, d)."""
        channel = coded.channel
        if self.plf == "MMSE":
            return coded.estimate
        if self.plf == "SA":
            return coded.prior + np.sqrt(channel.prediction_error) * coded.white
        self.joint = self.rho * self.joint + np.sqrt(channel.innovation) * coded.white
        if self.plf == "JD":
            return self.joint
        variance = self.sigma**2
        known = variance - channel.mmse > _UNKNOWN * variance
        spread = np.sqrt(np.where(known, variance - channel.mmse, 1.0))
        return np.where(known, self.sigma / spread * coded.estimate, self.joint)
