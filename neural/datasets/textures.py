"""Textures: clips of a vector Gauss-Markov source, whose curves are known exactly.

Pixels have mean 1/2 and standard deviation ``deviation`` on average. They are not clipped, so that
the distribution is exactly Gaussian: with the deviation 0.1 about one pixel in 80,000 is outside
[0, 1]. The source is that of `neural.datasets.texture_source`.
"""

from __future__ import annotations

import numpy as np
import torch

from neural.datasets.clips import Clips, ClipSource
from neural.datasets.texture_source import FIELD, spectrum, texture_model
from rdp.source import GaussMarkov

Array = np.ndarray
Tensor = torch.Tensor

MEAN = 0.5


class Textures(ClipSource):
    """Distribution of clips of Gauss-Markov textures.

    Parameters
    ----------
    frames : int
        Frames T of a clip.
    deviation : float, > 0
        Standard deviation of a pixel, in root mean square over the pixels of a frame.
    exponent : float, >= 0
        Amplitudes fall as the frequency to this power.
    decay : float, > 0
        Frequency, in half periods over the side of a frame, at which the correlation is 1/e.
    device : str
        Where the clips are made.

    Raises
    ------
    ValueError
        A malformed field; the message names it.

    Examples
    --------
    >>> source = Textures(frames=3)
    >>> source.batch(torch.Generator().manual_seed(0), 5).shape
    torch.Size([5, 3, 64, 64])
    """

    def __init__(
        self,
        frames: int = 2,
        deviation: float = 0.1,
        exponent: float = 1.0,
        decay: float = 16.0,
        device: str = "cpu",
    ) -> None:
        if isinstance(frames, bool) or not isinstance(frames, int) or frames < 1:
            raise ValueError(f"frames: expected an integer of at least 1, got {frames!r}")
        self.frames, self.device = frames, torch.device(device)
        self.sigma, self.rho = spectrum(deviation, exponent, decay)
        innovation = np.sqrt(1 - self.rho**2)
        self._sigma, self._rho, self._innovation, self._waves = (
            torch.from_numpy(value).float().to(self.device)
            for value in (self.sigma, self.rho, innovation, _waves())
        )

    def draw(self, generator: torch.Generator, n: int) -> Clips:
        """Draw n clips; there is nothing to say of their content."""
        shape = (n, self.frames, FIELD, FIELD)
        white = torch.randn(shape, generator=generator, device=generator.device).to(self.device)
        modes = [white[:, 0]]
        for t in range(1, self.frames):
            modes.append(self._rho * modes[-1] + self._innovation * white[:, t])
        scaled = self._sigma * torch.stack(modes, 1)
        return Clips(MEAN + self._waves.T @ scaled @ self._waves)

    def model(self) -> GaussMarkov:
        """Return the exact source, of one mode for each frequency."""
        return texture_model(self.sigma, self.rho, self.frames)


def _waves() -> Array:
    """Orthonormal DCT matrix: row k is the wave of frequency k."""
    k, place = np.arange(FIELD)[:, None], np.arange(FIELD) + 0.5
    waves = np.cos(np.pi / FIELD * k * place) * np.sqrt(2 / FIELD)
    waves[0] /= np.sqrt(2)
    return waves
