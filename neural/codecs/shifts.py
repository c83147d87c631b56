r"""Shifts of a frame by whole pixels, and the shift that is nearest to another frame.

Where the source's next frame is a shift of the frame before, a decoder with perfect JD realism
reconstructs a shift of its own frame before. Its distortion is that of the MMSE decoder plus
:math:`E\|\tilde X - \hat X\|^2`, so that the best of these shifts is the one nearest to the MMSE
reconstruction :math:`\tilde X`, which every decoder knows.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn import functional

Tensor = torch.Tensor

REACH = 4  # largest shift in each direction, pixels
FLAT = 1e-3  # added to the squared slope of a frame, which is zero where nothing is to be seen


def shifts(frame: Tensor, reach: int = REACH) -> Iterator[Tensor]:
    """Yield frames (n, h, w) moved by each shift; what comes from outside is black."""
    height, width = frame.shape[1:]
    known = functional.pad(frame, (reach,) * 4)
    for row in range(2 * reach + 1):
        for column in range(2 * reach + 1):
            yield known[:, row : row + height, column : column + width]


def nearest_shift(frame: Tensor, target: Tensor, reach: int = REACH) -> Tensor:
    """Return the shift of each frame that is nearest to its target, (n, 1, h, w).

    The choice among whole pixels has no derivative. Gradients that reach the target are those of
    the nearest shift by fractions of a pixel: their part along the two slopes of the result.

    Parameters
    ----------
    frame, target : (n, 1, h, w) tensors
    reach : int
        Largest shift in each direction, pixels.

    Examples
    --------
    >>> frame, target = torch.zeros(2, 1, 1, 8, 8)
    >>> frame[0, 0, 3, 3], target[0, 0, 4, 5] = 1.0, 0.7
    >>> nearest_shift(frame, target)[0, 0].nonzero()
    tensor([[4, 5]])
    """
    count, _, height, width = frame.shape
    # in double precision, which neither autocast nor tensor cores round
    known = functional.pad(frame.double(), (reach,) * 4).transpose(0, 1)
    product = functional.conv2d(known, target.double(), groups=count)[0]
    energy = height * width * functional.avg_pool2d(known.square(), (height, width), stride=1)[0]
    error = (energy - 2 * product).flatten(1)  # less that of the target, the same for all shifts
    choice = torch.zeros_like(error).scatter_(1, error.argmin(1, keepdim=True), 1.0)
    kernel = choice.unflatten(1, product.shape[1:]).unsqueeze(1)
    # a sum of shifts is a convolution with their weights
    found = functional.conv2d(known, kernel, groups=count).transpose(0, 1).float()
    if not target.requires_grad:
        return found
    along = _along_slopes(found.detach(), target.float())
    return found + (along - along.detach())


def _along_slopes(frame: Tensor, target: Tensor) -> Tensor:
    """Part of the target along the two slopes of a frame: what moving the frame can change."""
    around = functional.pad(frame, (1,) * 4)
    right = (around[..., 1:-1, 2:] - around[..., 1:-1, :-2]) / 2
    down = (around[..., 2:, 1:-1] - around[..., :-2, 1:-1]) / 2

    def product(one: Tensor, other: Tensor) -> Tensor:
        return (one * other).sum((1, 2, 3), keepdim=True)

    a, b, c = product(right, right) + FLAT, product(right, down), product(down, down) + FLAT
    u, v = product(right, target), product(down, target)
    return ((c * u - b * v) * right + (a * v - b * u) * down) / (a * c - b * b)
