r"""Scale-space flow: motion compensation that may blur where it cannot predict.

With :math:`x^{(0)} = x` and :math:`x^{(k)}` the picture blurred by a Gaussian of standard
deviation :math:`2^{k-1}` pixels, the prediction at pixel p is

.. math:: \hat x(p) = x^{(k)}(p + f(p)), \qquad k = s(p),

linear between pixels and between levels. The flow f is in pixels, whatever the resolution.
E. Agustsson et al., "Scale-space flow for end-to-end optimized video compression", CVPR 2020.
"""

from __future__ import annotations

from functools import cache

import torch
from torch.nn import functional

Tensor = torch.Tensor

LEVELS = 5


def scale_space(picture: Tensor) -> Tensor:
    """Return pictures (n, 1, h, w) and their blurred versions, (n, LEVELS, h, w).

    Outside a picture its border continues.
    """
    height, width = picture.shape[2:]
    rows, columns = _blurs(height, picture.device), _blurs(width, picture.device)
    with torch.autocast(picture.device.type, enabled=False):
        # blurring along one axis is a matrix
        return rows @ picture.float() @ columns.transpose(1, 2)


@cache
def _blurs(size: int, device: torch.device) -> Tensor:
    """Matrices (LEVELS, size, size): the identity, then Gaussian blurs along an axis."""
    place = torch.arange(size, dtype=torch.float64)
    out = [torch.eye(size, dtype=torch.float64)]
    for level in range(1, LEVELS):
        reach = 4 * 2 ** (level - 1)
        offsets = torch.arange(-reach, reach + 1, dtype=torch.float64)
        weights = torch.exp(-0.5 * (offsets / 2 ** (level - 1)) ** 2)
        matrix = torch.zeros(size, size, dtype=torch.float64)
        for offset, weight in zip(offsets, weights / weights.sum(), strict=True):
            source = (place + offset).clamp(0, size - 1).long()
            matrix[torch.arange(size), source] += weight
        out.append(matrix)
    return torch.stack(out).float().to(device)


def warp(levels: Tensor, flow: Tensor) -> Tensor:
    """Predict a picture from another one.

    Parameters
    ----------
    levels : (n, LEVELS, h, w) tensor
        From `scale_space`.
    flow : (n, 3, h, w) tensor
        For each pixel: the place it comes from, in pixels to the right and downwards, and the level
        of the scale space, 0..LEVELS-1. Outside the picture its border continues.

    Returns
    -------
    (n, 1, h, w) tensor

    Examples
    --------
    >>> picture = torch.arange(16.0).reshape(1, 1, 4, 4)
    >>> flow = torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1).expand(1, 3, 4, 4)
    >>> warp(scale_space(picture), flow)[0, 0, 0]
    tensor([1., 2., 3., 3.])
    """
    height, width = levels.shape[2:]
    flow = flow.float()
    device = levels.device
    x = torch.arange(width, device=device) + flow[:, 0]
    y = torch.arange(height, device=device)[:, None] + flow[:, 1]
    # -1 and 1 are the centres of the first and the last pixel
    grid = torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], dim=-1)
    moved = functional.grid_sample(
        levels.float(), grid, mode="bilinear", padding_mode="border", align_corners=True
    )
    number = torch.arange(LEVELS, device=device)[:, None, None]
    weight = (1 - (flow[:, 2:3] - number).abs()).clamp(min=0)
    return (weight * moved).sum(dim=1, keepdim=True)
