"""Least mean rate for a mean distortion in the long run: the inverse of `steady_state`."""

from __future__ import annotations

import numpy as np

from rdp import CP, FMD, JD, SA, GaussMarkov, Perception, _check
from rdp import perception as as_perception
from rdp.scalar import scalar_rate
from rdp.solution import Status
from rdp.steady_state import parameters
from solvers.errors import SolverError


def steady_rate(
    source: GaussMarkov, distortion: float, perception: Perception | str | None = None
) -> float:
    r"""Least mean rate whose mean distortion in the long run is at most the given one.

    Minimise :math:`\tfrac1N \sum_t R_t` subject to :math:`\tfrac1N \sum_t D_t \le D`, over all
    periods N: the optimum is a constant rate (`solvers.schedule`). In terms of the MMSE distortion
    m that it needs, :math:`R = \tfrac12 \log_2 (\rho^2 + q/m)`.

    Parameters
    ----------
    source : GaussMarkov
        A stationary scalar source, |rho| < 1.
    distortion : float, >= 0
        D, squared units of the source; 0 needs an infinite rate.
    perception : FMD, JD, SA, CP, str or None
        The loss, with one threshold; a name is the loss at threshold 0. SA at P = 0; JD with a
        distance per frame, or of a window, as in :func:`solvers.steady_state`.

    Returns
    -------
    float
        Bits per frame.

    Raises
    ------
    ValueError
        A source that is not stationary, a distortion that is negative, several thresholds.
    SolverError
        |rho| = 1, or SA at P > 0.

    Notes
    -----
    Derived in this project. For no loss, FMD and JD, m is the one of a single frame with this
    distortion, for CP :math:`m = (\sqrt P + \sqrt{2D - P})^2 / 4` if :math:`P < D`, else D. For SA,
    with unit variance, :math:`R = -\tfrac12 \log_2 (1 - k^2)` and

    .. math:: k = \frac{(2 - D)\, q}{q + \sqrt{q^2 + D (2 - D) \rho^2 q}} .

    Examples
    --------
    >>> source = GaussMarkov.stationary(rho=0.97, frames=2)
    >>> for loss in (None, FMD(0.0), JD(0.0), SA(0.0)):
    ...     print(round(steady_rate(source, 0.0566, loss), 4))
    0.4946
    0.5
    0.5
    0.5513
    """
    rho, sigma = parameters(source)
    perception = as_perception(perception)
    allowed = float(_check.nonnegative("distortion", distortion, ndim=0))
    level = np.inf if perception is None else np.asarray(perception.levels)
    if np.ndim(level):
        raise ValueError(f"levels: expected one threshold, got {level}")
    if abs(rho) == 1 or (isinstance(perception, SA) and 0 < float(level) < np.inf):
        raise SolverError(
            Status.UNSUPPORTED, "steady_rate: expected |rho| < 1, and SA at P = 0 only"
        )
    if isinstance(perception, JD):
        level = level / (perception.window or 1)
    new = (1 - rho) * (1 + rho)
    if isinstance(perception, SA) and level == 0:
        d = min(allowed / sigma**2, 2.0)
        k = (2 - d) * new / (new + np.sqrt(new**2 + d * (2 - d) * rho**2 * new))
        # 1 - k = d (1 - rho^2 + rho^2 k^2) / (2 q), without cancellation
        missing = d * (new + (rho * k) ** 2) / (2 * new)
        with np.errstate(divide="ignore"):
            return float(-0.5 * np.log2(missing * (1 + k))) + 0.0  # no -0
    if isinstance(perception, CP) and level < allowed:  # m + (sqrt m - sqrt P)^2 = D
        allowed = float((np.sqrt(level) + np.sqrt(2 * allowed - level)) / 2) ** 2
    if isinstance(perception, CP):
        level = np.asarray(np.inf)  # what is left is to reach m
    metric = perception.metric if isinstance(perception, FMD) else "w2"
    memoryless = float(scalar_rate(allowed, level, sigma, metric))
    # q / m - q = q (2^(2 R_1) - 1) for the rate R_1 of a single frame
    with np.errstate(over="ignore"):
        return float(0.5 * np.log1p(new * np.expm1(2 * np.log(2) * memoryless)) / np.log(2)) + 0.0
