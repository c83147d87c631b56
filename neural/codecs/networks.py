"""Networks on pictures of 64 x 64 pixels: analysis, synthesis, blending, critic.

All are chains of convolutions that halve or double the resolution, 64 to 4 and back, with width,
2, 4 and 4 times width channels. Normalisation is by groups of channels of one picture: it keeps no
statistics, so that nothing of a frozen network can drift, and no picture depends on its batch. The
exception are latents. Their scale over clips is kept at one in training: otherwise few bits can
fall silent for good, drowned in the noise of the quantiser, or stuck at one level.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

Tensor = torch.Tensor

SMALLEST = 4  # resolution of the innermost features
LOUD = 1.0  # standard deviation of latents at the start, in steps of the quantiser


def _widths(width: int) -> list[int]:
    return [width, 2 * width, 4 * width, 4 * width]


def halve(inputs: int, outputs: int, norm: bool = True) -> nn.Sequential:
    """Return a layer that halves the resolution.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    norm : bool
        Whether to normalise the result.
    """
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)]
    if norm:
        layers.append(nn.GroupNorm(max(outputs // 8, 1), outputs))
    return nn.Sequential(*layers, nn.SiLU())


def _double(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1),
        nn.GroupNorm(max(outputs // 8, 1), outputs),
        nn.SiLU(),
    )


class Analysis(nn.Module):
    """Pictures to latents.

    Parameters
    ----------
    pictures : int
        Pictures to look at, as channels.
    latents : int
        Numbers to give.
    width : int
        Channels of the first layer.
    """

    def __init__(self, pictures: int, latents: int, width: int) -> None:
        super().__init__()
        widths = _widths(width)
        steps = zip([pictures, *widths], widths, strict=False)
        self.features = nn.Sequential(*(halve(a, b, norm=a != pictures) for a, b in steps))
        self.latents = nn.Linear(widths[-1] * SMALLEST**2, latents)
        self.scale = nn.BatchNorm1d(latents, affine=False)
        self.gain = nn.Parameter(torch.full((latents,), LOUD))

    def forward(self, pictures: Tensor) -> Tensor:
        """Map (n, pictures, 64, 64) to (n, latents)."""
        latents = self.latents(self.features(pictures).flatten(1))
        return self.gain * self.scale(latents.float())


class Synthesis(nn.Module):
    """Latents to maps.

    Parameters
    ----------
    latents : int
        Numbers given.
    maps : int
        Channels to make.
    width : int
        Channels of the last layer but one.
    doublings : int
        Resolution 4 * 2**doublings.
    """

    def __init__(self, latents: int, maps: int, width: int, doublings: int = 4) -> None:
        super().__init__()
        widths = _widths(width)[::-1]
        self.start = nn.Linear(latents, widths[0] * SMALLEST**2)
        self.grow = nn.Sequential(*(_double(a, b) for a, b in pairwise(widths[:doublings])))
        self.maps = nn.ConvTranspose2d(widths[doublings - 1], maps, 4, stride=2, padding=1)

    def forward(self, latents: Tensor) -> Tensor:
        """Map (n, latents) to (n, maps, h, h)."""
        inner = self.start(latents).unflatten(1, (-1, SMALLEST, SMALLEST))
        return self.maps(self.grow(nn.functional.silu(inner)))


class FirstDecoder(nn.Module):
    """Latents and noise to a first frame.

    Parameters
    ----------
    latents, noise : int
        Numbers of each.
    width : int
        Width of the network.
    """

    def __init__(self, latents: int, noise: int, width: int) -> None:
        super().__init__()
        self.synthesis = Synthesis(latents + noise, 1, width)
        _ignore_noise(self.synthesis.start, noise)

    def forward(self, latents: Tensor, noise: Tensor) -> Tensor:
        """Return (n, 1, 64, 64), values in [0, 1]."""
        logits = self.synthesis(torch.cat([latents, noise], 1))
        return torch.sigmoid(logits.float() - 2)  # begin dark, as most pixels are


class NextDecoder(nn.Module):
    """Latents, noise and pictures of the past to a next frame.

    The frame is a blend of new content with the frame shown before, moved, pixel by pixel.

    Parameters
    ----------
    latents, noise : int
        Numbers of each.
    width : int
        Width of the network.
    """

    PICTURES = 4  # MMSE reference and frame shown, each as it is and moved

    def __init__(self, latents: int, noise: int, width: int) -> None:
        super().__init__()
        widths = _widths(width)
        steps = zip([self.PICTURES, *widths], widths, strict=False)
        self.down = nn.ModuleList(halve(a, b) for a, b in steps)
        self.start = nn.Linear(latents + noise, widths[-1] * SMALLEST**2)
        _ignore_noise(self.start, noise)
        back = widths[::-1]
        self.up = nn.ModuleList(_double(a, b) for a, b in pairwise(back))
        self.maps = nn.ConvTranspose2d(width, 2, 4, stride=2, padding=1)

    def forward(self, latents: Tensor, noise: Tensor, past: Tensor) -> Tensor:
        """Return (n, 1, 64, 64), values in [0, 1].

        Parameters
        ----------
        latents : (n, latents) tensor
            What was received for this frame.
        noise : (n, noise) tensor
            Randomness of the decoder.
        past : (n, 4, 64, 64) tensor
            Pictures; the last is the frame shown before, moved.
        """
        features = [past]
        for layer in self.down:
            features.append(layer(features[-1]))
        inner = self.start(torch.cat([latents, noise], 1)).unflatten(1, (-1, SMALLEST, SMALLEST))
        out = features[-1] + inner
        for layer, skip in zip(self.up, features[-2::-1], strict=False):
            out = layer(out) + skip
        content, share = torch.sigmoid(self.maps(out).float()).split(1, dim=1)
        return torch.lerp(past[:, -1:].float(), content, share)


def _ignore_noise(layer: nn.Linear, noise: int) -> None:
    """Let a decoder begin without randomness, as an MMSE decoder should stay."""
    with torch.no_grad():
        layer.weight[:, layer.in_features - noise :] = 0


class PictureCritic(nn.Module):
    """Critic of clips. No normalisation: the gradient penalty is about single clips.

    Parameters
    ----------
    frames : int
        Frames that it sees.
    width : int
        Width of the network.
    """

    def __init__(self, frames: int, width: int) -> None:
        super().__init__()
        widths = _widths(width)
        layers: list[nn.Module] = []
        for a, b in zip([frames, *widths], widths, strict=False):
            layers += [nn.Conv2d(a, b, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        self.net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * SMALLEST**2, 1))

    def forward(self, clips: Tensor) -> Tensor:
        """Return a score for each of (n, frames, 64, 64), (n,)."""
        return self.net(clips).float().squeeze(1)


def channels_last(modules: Sequence[nn.Module]) -> None:
    """Store weights with channels last, the layout that tensor cores like.

    Parameters
    ----------
    modules : sequence of torch.nn.Module
        Networks to change in place.
    """
    for module in modules:
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
