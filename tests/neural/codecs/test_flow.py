"""Motion compensation: shifts are in pixels, blurs are Gaussian, and gradients are right."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy.ndimage import gaussian_filter  # noqa: E402

from neural.codecs.flow import LEVELS, scale_space, warp  # noqa: E402


def picture(size=64, seed=0):
    return torch.rand(2, 1, size, size, generator=torch.Generator().manual_seed(seed))


def constant(flow, size=64):
    return torch.tensor(flow).reshape(1, 3, 1, 1).expand(2, 3, size, size)


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (3, 0), (0, -4), (-2, 1)])
def test_flow_is_in_pixels_at_any_resolution(size, dx, dy):
    x = picture(size)
    moved = warp(scale_space(x), constant([float(dx), float(dy), 0.0], size))
    expected = torch.roll(x, (-dy, -dx), (2, 3))
    inner = slice(5, -5)
    torch.testing.assert_close(
        moved[:, :, inner, inner], expected[:, :, inner, inner], rtol=0, atol=1e-5
    )


def test_half_a_pixel_is_the_mean_of_two():
    x = picture()
    moved = warp(scale_space(x), constant([0.5, 0.0, 0.0]))
    expected = (x[..., :-1] + x[..., 1:]) / 2
    torch.testing.assert_close(moved[..., :-1], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("level", range(1, LEVELS))
def test_levels_are_gaussian_blurs(level):
    x = picture()
    sd = 2.0 ** (level - 1)
    expected = [gaussian_filter(p[0].double().numpy(), sd, mode="nearest", radius=int(4 * sd))
              for p in x]  # fmt: skip
    np.testing.assert_allclose(scale_space(x)[:, level].numpy(), np.stack(expected), atol=1e-6)
    blurred = warp(scale_space(x), constant([0.0, 0.0, float(level)]))
    np.testing.assert_allclose(blurred[:, 0].numpy(), np.stack(expected), atol=1e-5)


def test_between_levels_is_between_blurs():
    x = picture()
    levels = scale_space(x)
    mixed = warp(levels, constant([0.0, 0.0, 1.25]))
    torch.testing.assert_close(mixed[:, 0], 0.75 * levels[:, 1] + 0.25 * levels[:, 2])


def test_gradient_of_the_flow_is_that_of_differences():
    levels = scale_space(picture(16))
    flow = 0.3 + 0.2 * torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    flow.requires_grad_()
    warp(levels, flow).square().sum().backward()
    direction = torch.randn(flow.shape, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        up, down = (warp(levels, flow + e * direction).double().square().sum()
                    for e in (1e-3, -1e-3))  # fmt: skip
    slope = (flow.grad * direction).sum()
    assert slope.abs() > 0.1
    torch.testing.assert_close(slope.double(), (up - down) / 2e-3, rtol=2e-2, atol=0)
