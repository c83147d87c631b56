r"""Frames of modes to chunks of bytes and back.

The modes of a frame are predicted from the frame before, and the errors of the sent modes go
through dithered quantisers (`rdp.clip_codec.recursion`). The entropy coder knows the variance of
each mode, and learns how much each block moves: a block whose errors were large, in the frames
before and in the modes already coded, probably has larger ones now. Only the code length depends on
that, so the noise of the quantisers, and with it every decoder, is the same for all blocks.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from rdp.clip_codec.model import ModeModel
from rdp.clip_codec.recursion import Channel, Recursion
from rdp.codec.bitstream import Decoder, Encoder
from rdp.codec.shared_randomness import decoder_noise, uniform_dither

Array = np.ndarray

_GROUPS = (1, 5, 16)  # modes, from low to high frequency, at which the activity is looked at again
_PRIOR = 1.0  # weight of the model in the activity of a block, in modes of high rate
_MEMORY = 0.7  # of the activity, from frame to frame
_QUIET, _BUSY = 0.02, 30.0  # least and largest activity


class Coded:
    """A frame after coding: white variables and estimate.

    Parameters
    ----------
    channel : Channel
    prior : (n, d) array
        Estimate before the frame.
    estimate : (n, d) array
        MMSE estimate.
    white : (n, d) array
        Uncorrelated variables of unit variance; noise that both sides share where nothing is sent.
    """

    def __init__(self, channel: Channel, prior: Array, estimate: Array, white: Array) -> None:
        self.channel, self.prior, self.estimate, self.white = channel, prior, estimate, white


class ModeCoder:
    """Encoder or decoder of the modes of a clip, one frame after the other.

    Parameters
    ----------
    model : ModeModel
    samples : int
        Samples n of each mode in a frame.
    seed : int
        Seed of the randomness that both sides share.
    """

    def __init__(self, model: ModeModel, samples: int, seed: int) -> None:
        self.recursion, self.rho = Recursion(model), model.rho
        self.samples, self.seed = samples, seed
        self.estimate = np.zeros((samples, len(model.rho)))
        self.frame = 0
        self.activity = _Activity(samples)
        side = int(np.sqrt(len(model.rho)))
        place = np.arange(side)
        frequency = (place[:, None] ** 2 + place**2).ravel()
        self.order = np.argsort(frequency, kind="stable")

    def encode(self, modes: Array, quality: int) -> bytes:
        """Return the bytes of the next frame, (n, d) modes, at a quality 0..255."""
        coder = Encoder()
        coder.number(quality)
        self._code(coder, quality, modes)
        return coder.finish()

    def decode(self, chunk: bytes) -> Coded:
        """Return the next frame from its bytes; raises CorruptStream."""
        coder = Decoder(chunk)
        coded = self._code(coder, min(coder.number(), 255))
        coder.finish()
        return coded

    def _code(self, coder: Encoder | Decoder, quality: int, modes: Array | None = None) -> Coded:
        channel = self.recursion.next(quality)
        prior = self.rho * self.estimate
        self.estimate, white = prior.copy(), self._noise(channel)
        order = [i for i in self.order.tolist() if channel.sent[i]]
        self.activity.next_frame()
        dither = uniform_dither(self.seed, self.frame, 0, (len(order), self.samples))
        for first, stop in _groups(len(order)):
            group = order[first:stop]
            error = None if modes is None else (modes - prior)[:, group].T
            y = self._quantise(coder, channel, group, dither[first:stop], error)
            self.estimate[:, group] += (channel.gain[group, None] * y).T
            white[:, group] = (y / np.sqrt(channel.power[group, None])).T
        self.frame += 1
        return Coded(channel, prior, self.estimate, white)

    def _quantise(
        self,
        coder: Encoder | Decoder,
        channel: Channel,
        group: list[int],
        dither: Array,
        error: Array | None,
    ) -> Array:
        """Code the errors of some modes, (k, n); return the outputs y of their quantisers."""
        step = channel.step[group, None]
        deviation = np.sqrt(channel.prediction_error[group, None] * self.activity.value)
        points = None if error is None else np.rint(error / step + dither).astype(np.int64)
        points = coder.gaussian(dither, deviation / step, points)
        y = step * (points - dither)
        for i, output in zip(group, y, strict=True):
            self.activity.learn(output, channel.prediction_error[i], channel.power[i])
        return y

    def _noise(self, channel: Channel) -> Array:
        """White variables of all modes; those that are sent are replaced."""
        white = np.empty_like(self.estimate)
        for i in np.flatnonzero(~channel.sent & (channel.prediction_error > 0)).tolist():
            white[:, i] = decoder_noise(self.seed, self.frame, 1 + i, self.samples)
        white[:, channel.prediction_error == 0] = 0.0
        return white


class _Activity:
    """Variance of the errors of each block over that of the model, learnt from what was coded.

    A mean of y^2 - noise, in units of the mode's variance v, with the inverse variances of its
    terms as weights. Sums are of single elements, in one order, so that both sides agree.
    """

    def __init__(self, samples: int) -> None:
        self.total, self.weight = np.zeros(samples), np.zeros(samples)

    @property
    def value(self) -> Array:
        """Activity of each block, (n,)."""
        mean = (_PRIOR + self.total) / (_PRIOR + self.weight)
        return np.minimum(np.maximum(mean, _QUIET), _BUSY)

    def learn(self, y: Array, v: float, power: float) -> None:
        """Take in the outputs of one mode."""
        share = v / power
        self.total += share * ((y * y - (power - v)) / power)
        self.weight += share * share

    def next_frame(self) -> None:
        """Forget some of what was learnt."""
        self.total *= _MEMORY
        self.weight *= _MEMORY


def _groups(count: int) -> list[tuple[int, int]]:
    ends = [0, *(end for end in _GROUPS if end < count), count]
    return [(a, b) for a, b in pairwise(ends) if b > a]
