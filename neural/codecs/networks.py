"""Networks on pictures of 64 x 64 pixels: analysis, synthesis, decoders of first and next frames.

All are chains of convolutions that halve or double the resolution, from 64 to 4 and back. They have
width, 2, 4 and 4 times width channels. Normalisation is by groups of channels of one picture. It
keeps no statistics: a frozen network cannot drift, and no picture depends on its batch. Latents
are the exception. Training keeps their standard deviation over clips at one. Without that a
latent can stop carrying bits for good: it drowns in the noise of the quantiser, or it stays at one
level.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Protocol, Self, TypeVar

import torch
from torch import nn

Tensor = torch.Tensor

SMALLEST = 4  # resolution of the innermost features
LITTLE = -4.0  # logit of the share of new content at the start of a decoder that moves its frame
LOUD = 1.0  # standard deviation of latents at the start, in steps of the quantiser


class Freezable(Protocol):
    """What `freeze` needs of a network; every torch.nn.Module has it."""

    def eval(self) -> Self:
        """Switch normalisation layers to use."""

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let gradients reach the parameters, or not."""


Network = TypeVar("Network", bound=Freezable)


def freeze(module: Network) -> Network:
    """Stop gradients and the statistics of normalisation layers; returns the module."""
    return module.eval().requires_grad_(False)


def widths_of(width: int) -> list[int]:
    """Return the channels of the layers, from resolution 32 to resolution 4."""
    return [width, 2 * width, 4 * width, 4 * width]


class Norm(nn.GroupNorm):
    """Normalisation of groups of eight channels, in the precision of its input.

    Means and variances are of single precision all the same. Autocast would widen input and output
    on CUDA, not on a CPU, and moving these bytes is most of the work of a step there.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(max(channels // 8, 1), channels)

    def forward(self, features: Tensor) -> Tensor:
        """Return normalised features."""
        if features.device.type == "cpu":
            return super().forward(features)
        with torch.autocast(features.device.type, enabled=False):
            weight, bias = self.weight.to(features.dtype), self.bias.to(features.dtype)
            return nn.functional.group_norm(features, self.num_groups, weight, bias, self.eps)


def halve(inputs: int, outputs: int, norm: bool = True) -> nn.Sequential:
    """Return a layer that halves the resolution, with normalisation of the result or without."""
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)]
    if norm:
        layers.append(Norm(outputs))
    return nn.Sequential(*layers, nn.SiLU())


def _double(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1),
        Norm(outputs),
        nn.SiLU(),
    )


class Analysis(nn.Module):
    """Network from so many pictures, its input channels, to so many latents."""

    def __init__(self, pictures: int, latents: int, width: int) -> None:
        super().__init__()
        widths = widths_of(width)
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
    """Network from latents to maps, its output channels, of resolution 4 * 2**doublings."""

    def __init__(self, latents: int, maps: int, width: int, doublings: int = 4) -> None:
        super().__init__()
        widths = widths_of(width)[::-1]
        self.start = nn.Linear(latents, widths[0] * SMALLEST**2)
        self.grow = nn.Sequential(*(_double(a, b) for a, b in pairwise(widths[:doublings])))
        self.maps = nn.ConvTranspose2d(widths[doublings - 1], maps, 4, stride=2, padding=1)

    def forward(self, latents: Tensor) -> Tensor:
        """Map (n, latents) to (n, maps, h, h)."""
        inner = self.start(latents).unflatten(1, (-1, SMALLEST, SMALLEST))
        return self.maps(self.grow(nn.functional.silu(inner)))


class FirstDecoder(nn.Module):
    """Network from so many latents and so much noise to a first frame."""

    def __init__(self, latents: int, noise: int, width: int) -> None:
        super().__init__()
        self.synthesis = Synthesis(latents + noise, 1, width)
        _ignore_noise(self.synthesis.start, noise)

    def forward(self, latents: Tensor, noise: Tensor) -> Tensor:
        """Return (n, 1, 64, 64), values in [0, 1]."""
        logits = self.synthesis(torch.cat([latents, noise], 1))
        return torch.sigmoid(logits.float() - 2)  # begin dark, as most pixels are


class NextDecoder(nn.Module):
    """Network from latents, noise and pictures of the past to a next frame.

    The frame is a blend, pixel by pixel, of new content with the moved reconstruction before it.
    """

    PICTURES = 4  # MMSE reference and reconstruction of the frame before, each as it is and moved

    def __init__(self, latents: int, noise: int, width: int) -> None:
        super().__init__()
        widths = widths_of(width)
        steps = zip([self.PICTURES, *widths], widths, strict=False)
        self.down = nn.ModuleList(halve(a, b) for a, b in steps)
        self.start = nn.Linear(latents + noise, widths[-1] * SMALLEST**2)
        _ignore_noise(self.start, noise)
        back = widths[::-1]
        self.up = nn.ModuleList(_double(a, b) for a, b in pairwise(back))
        self.maps = nn.ConvTranspose2d(width, 2, 4, stride=2, padding=1)

    def begin_without_content(self) -> None:
        """Set the share of new content to 2% at all pixels, nearly; the content stays."""
        state = self.maps.state_dict()  # it shares the memory of the parameters
        state["weight"][:, 1] *= 0.05
        state["bias"][1] = LITTLE

    def forward(self, latents: Tensor, noise: Tensor, past: Tensor) -> Tensor:
        """Return (n, 1, 64, 64), values in [0, 1].

        Parameters
        ----------
        latents : (n, latents) tensor
            Received for this frame.
        noise : (n, noise) tensor
        past : (n, 4, 64, 64) tensor
            Pictures of the past; the last is the moved reconstruction of the frame before.
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
    """Let a decoder begin without randomness: the MMSE decoder needs none."""
    with torch.no_grad():
        layer.weight[:, layer.in_features - noise :] = 0
