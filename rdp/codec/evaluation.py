r"""Operating points measured on samples, with confidence intervals.

`evaluate` takes sequences :math:`X` and the reconstructions :math:`\hat X` of any codec and returns

- rate: bits of the streams, one average for each independent stream;
- distortion: :math:`D_t = E \|X_t - \hat X_t\|^2`, a mean over sequences;
- perception: the Gelbrich distance of means and covariances. It is a lower bound on squared W2,
  exact for Gaussian distributions, and its bias falls as 1/n.

`sample_w2` returns distances of whole samples, which also depend on what is not Gaussian. The two
samples come from disjoint halves of the sequences, so they are independent.

- In one dimension: sorted samples, exact for the empirical distributions.
- Sliced: k times the mean over directions of the 1-D value, a lower bound on squared W2 in k
  dimensions.
- Assignment: exact for subsamples. Its bias falls only as :math:`n^{-2/k}`. The baseline estimates
  this bias: it is the same distance between two samples of one distribution.

Gelbrich (1990); sliced distance: Bonneel et al., "Sliced and Radon Wasserstein barycenters of
measures" (2015).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from rdp import _check
from rdp.codec.dithered import DitheredCodec
from rdp.codec.interfaces import Frames, Message, StreamCodec
from rdp.gaussian import gelbrich
from rdp.operating_point import OperatingPoint, environment
from rdp.perception import JD, LOSSES, Perception, loss_name, perception, zero_loss_name
from rdp.source import GaussMarkov

Array = np.ndarray

METRIC = "gelbrich"
BATCHES = 20  # of the jackknife


def evaluate(
    x: Array,
    xhat: Array,
    rates: Array,
    plf: Perception | str | None,
    label: str,
    *,
    source: GaussMarkov | str | None = None,
    batches: int = BATCHES,
    confidence: float = 0.95,
    **fields: Any,
) -> OperatingPoint:
    """Return the operating point of sequences and their reconstructions.

    Parameters
    ----------
    x : (n, T) array, or (n, T, d)
        Sequences that were not used to make the codec.
    xhat : array of the same shape
        Reconstructions.
    rates : (T,) array, or (B, T)
        Bits per frame; row b is the average over stream b of B independent streams of equal size.
    plf : {"MMSE", "FMD", "JD", "SA"}, FMD, JD, SA or None
        Perception loss to measure; thresholds play no role. For "MMSE" and None it is the framewise
        loss of the MMSE estimate.
    label : str
        Name of the codec.
    source : GaussMarkov, str or None
        Known moments of x, or a description of the data.
    batches : int, >= 2
        Groups of sequences for the jackknife interval of the perception loss.
    confidence : float, in (0, 1)
        Coverage of the intervals: normal for distortion and perception, Student's for the rate.
    **fields : Any
        Other fields of OperatingPoint.

    Returns
    -------
    OperatingPoint
        With metric "gelbrich".

    Raises
    ------
    ValueError
        Shapes that do not match, fewer sequences than batches, NaN, or an unknown loss.

    Examples
    --------
    >>> source = GaussMarkov.stationary(rho=0.9, frames=2)
    >>> x = source.sample(10_000, rng=0)
    >>> point = evaluate(x, 0.5 * x, [1.0, 1.0], "FMD", "half", source=source)
    >>> bool(abs(point.perception - 0.25).max() < 0.01)
    True
    """
    from scipy.stats import norm

    plf = loss_name(plf, windows=True)
    x, xhat = _pair(x, xhat)
    if _check.count("batches", batches) < 2:
        raise ValueError(f"batches: expected at least 2, got {batches}")
    if not 0 < _check.array("confidence", confidence, ndim=0) < 1:
        raise ValueError(f"confidence: expected 0 < confidence < 1, got {confidence}")
    if len(x) < 2 * batches:
        raise ValueError(f"x: expected at least {2 * batches} sequences, got {len(x)}")
    known = source if isinstance(source, GaussMarkov) else None
    quantile = float(norm.ppf((1 + confidence) / 2))
    rate, rate_half = _rate(rates, confidence)
    error = ((x - xhat) ** 2).reshape(*x.shape[:2], -1).sum(axis=2)
    error_half = quantile * error.std(axis=0, ddof=1) / np.sqrt(len(error))
    loss, spread = _jackknife(x, xhat, plf, known, batches)
    distortion = error.mean(axis=0)
    intervals = {
        "distortion": _interval(distortion, error_half),
        "perception": _interval(loss, quantile * spread),
    }
    if rate_half is not None:
        intervals["rate"] = _interval(rate, rate_half)
    return OperatingPoint(
        label,
        plf,
        rate,
        distortion,
        loss,
        metric=METRIC,
        source=source,
        samples=len(x),
        intervals=intervals,
        confidence=confidence,
        **fields,
    )


def perception_loss(
    x: Array, xhat: Array, plf: Perception | str | None, source: GaussMarkov | None = None
) -> Array:
    r"""Gelbrich distance of the distributions that a perception loss compares, from sample moments.

    .. math:: \|\mu_a - \mu_b\|^2 + \operatorname{tr} \Sigma_a + \operatorname{tr} \Sigma_b
              - 2 \operatorname{tr} (\Sigma_a^{1/2} \Sigma_b \Sigma_a^{1/2})^{1/2} \le W_2^2.

    Parameters
    ----------
    x, xhat : (n, T) arrays, or (n, T, d)
        Sequences and their reconstructions.
    plf : as for `evaluate`
    source : GaussMarkov or None
        Known moments of x for FMD and JD; None takes the moments of the samples.

    Returns
    -------
    (T,) array, squared units of x; the sum over modes, a lower bound for all modes together
    """
    x, xhat = _pair(x, xhat)
    name = loss_name(plf, windows=True)
    count, first, second = (sums[0] for sums in _moment_sums(x, xhat, 1))
    return _gelbrich(count, first, second, name, source)


def sample_w2(
    x: Array,
    xhat: Array,
    plf: Perception | str | None,
    rng: np.random.Generator | int,
    directions: int = 32,
    sliced: int = 50_000,
    assigned: int = 500,
) -> dict[str, Array]:
    """Distances of whole samples under a perception loss, for scalar frames.

    Parameters
    ----------
    x, xhat : (n, T) arrays
        Sequences and their reconstructions.
    plf : as for `evaluate`
    rng : numpy.random.Generator or int
        For the directions; an int is a seed.
    directions : int
        Number of random directions of the sliced distance.
    sliced, assigned : int
        Sizes of the subsamples for the sliced distance and for the assignment.

    Returns
    -------
    dict of (T,) arrays, squared units of x
        "sliced" and "assignment". "sliced_baseline" and "assignment_baseline" are the same
        distances between two samples of the target distribution.

    Examples
    --------
    >>> x = GaussMarkov.stationary(rho=0.9, frames=2).sample(40_000, rng=0)
    >>> found = sample_w2(x, 1.5 * x, "FMD", rng=0)
    >>> bool(abs(found["sliced"] - 0.25).max() < 0.02)
    True
    """
    x, xhat = _pair(x, xhat)
    if x.ndim != 2:
        raise ValueError(f"x: expected scalar frames (n, T), got shape {x.shape}")
    name = loss_name(plf, windows=True)
    rng = _check.generator("rng", rng)
    half = min(len(x) // 2, sliced)
    both = np.concatenate([x, xhat], axis=1)
    one, other = both[:half], both[half : 2 * half]
    out: dict[str, list[float]] = {}
    for t in range(x.shape[1]):
        target, reconstruction = _compared(name, t, x.shape[1])
        first, again, second = one[:, target], other[:, target], other[:, reconstruction]
        count = 1 if first.shape[1] == 1 else directions
        theta = rng.standard_normal((count, first.shape[1]))
        theta /= np.linalg.norm(theta, axis=1, keepdims=True)
        some = slice(0, assigned)
        for key, value in (
            ("sliced", sliced_w2(first, second, theta)),
            ("sliced_baseline", sliced_w2(first, again, theta)),
            ("assignment", assignment_w2(first[some], second[some])),
            ("assignment_baseline", assignment_w2(first[some], again[some])),
        ):
            out.setdefault(key, []).append(value)
    return {key: np.array(values) for key, values in out.items()}


def sliced_w2(a: Array, b: Array, theta: Array) -> float:
    """Dimension k times the mean squared 1-D W2 distance of projections; at most squared W2.

    Parameters
    ----------
    a, b : (n, k) arrays
        Samples of the two distributions.
    theta : (L, k) array
        Unit vectors to project on, uniform over the sphere.
    """
    gaps = [((np.sort(a @ line) - np.sort(b @ line)) ** 2).mean() for line in theta]
    return float(a.shape[1] * np.mean(gaps))


def assignment_w2(a: Array, b: Array) -> float:
    """Squared W2 distance of two samples (n, k), by the cheapest assignment; time grows as n^3."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    cost = cdist(a, b, "sqeuclidean")
    return float(cost[linear_sum_assignment(cost)].mean())


def transmit(
    codec: StreamCodec[Frames], samples: Iterable[Frames], seed: int
) -> list[Message[Frames]]:
    """Encode and read each sample, with the seeds seed, seed + 1, ...; return the messages."""
    return [codec.read(codec.encode(x, seed + i)) for i, x in enumerate(samples)]


def measure_codec(
    codec: DitheredCodec,
    n: int,
    seed: int,
    repeats: int = 8,
    plfs: Sequence[Perception | str | None] | None = None,
    label: str | None = None,
    **fields: Any,
) -> list[OperatingPoint]:
    """Run a codec on fresh samples of its source; all decoders use the same bytes.

    Parameters
    ----------
    codec : DitheredCodec
    n : int
        Sequences in each stream.
    seed : int
        Seed of the samples. The streams take seed, seed + 1, ...
    repeats : int, >= 2
        Number of independent streams, from which the interval of the rate is computed.
    plfs : sequence of losses, or None
        Losses to decode for, at threshold 0: names, or JD(0) and the like. None is all of "MMSE",
        "FMD", "JD", "SA", without "SA" under limited common randomness.
    label : str or None
        Name of the codec; None gives "dithered" and the lattice.
    **fields : Any
        Other fields of OperatingPoint.

    Returns
    -------
    list of OperatingPoint
        One for each loss, in the order of plfs. The field provenance holds the lattice, the target
        distortions and, for scalar frames, the distances of whole samples.

    Examples
    --------
    >>> codec = DitheredCodec.at_rates(GaussMarkov.stationary(rho=0.9, frames=2), [1.0, 1.0])
    >>> points = measure_codec(codec, n=2000, seed=0, repeats=2)
    >>> [point.plf for point in points]
    ['MMSE', 'FMD', 'JD', 'SA']
    """
    _check.instance("codec", codec, DitheredCodec)
    if _check.count("repeats", repeats) < 2:
        raise ValueError(f"repeats: expected at least 2, got {repeats}")
    least = -(-2 * fields.get("batches", BATCHES) // repeats)
    if _check.count("n", n) < least:
        raise ValueError(f"n: expected at least {least} sequences in each stream, got {n}")
    seed = _check.seed("seed", seed)
    children = np.random.SeedSequence(seed).spawn(repeats + 1)
    samples = [codec.source.sample(n, np.random.default_rng(child)) for child in children[:-1]]
    messages = transmit(codec, samples, seed)
    x = np.concatenate(samples)
    rates = np.array([message.rates for message in messages])
    about = {"codec": "dithered", "lattice": codec.lattice, "mmse": codec.mmse.tolist(), "n": n}
    if codec.levels is not None:
        about["levels"] = codec.levels
    if plfs is None:
        plfs = LOSSES if codec.levels is None else [plf for plf in LOSSES if plf != "SA"]
    points = []
    for plf in [zero_loss_name(loss, "plfs", windows=True) for loss in plfs]:
        xhat = np.concatenate([message.decode(plf) for message in messages])
        more = dict(about)
        if x.ndim == 2:
            found = sample_w2(x, xhat, plf, np.random.default_rng(children[-1]))
            more["sample_w2"] = {name: values.tolist() for name, values in found.items()}
        points.append(
            evaluate(
                x,
                xhat,
                rates,
                plf,
                label or f"dithered {codec.lattice}",
                source=codec.source,
                seed=seed,
                provenance=more,
                **{**environment(("numpy", "constriction")), **fields},
            )
        )
    return points


def _pair(x: object, xhat: object) -> tuple[Array, Array]:
    first = _check.finite("x", _check.array("x", x, ndim=(2, 3)))
    second = _check.finite("xhat", _check.array("xhat", xhat))
    if first.shape != second.shape:
        raise ValueError(f"xhat: expected shape {first.shape} like x, got {second.shape}")
    return first, second


def _compared(plf: str, t: int, frames: int) -> tuple[list[int], list[int]]:
    """Return the places in (x_1..x_T, xhat_1..xhat_T) of the two vectors compared at frame t.

    First the target, whose distribution the loss asks for, then the reconstruction; t is from 0.
    """
    loss = perception(plf)
    if isinstance(loss, JD):
        seen = range(loss.first_seen(t), t + 1)
        return list(seen), [frames + s for s in seen]
    past = list(range(frames, frames + t))
    if plf == "SA":
        return [*past, t], [*past, frames + t]
    return [t], [frames + t]


def _moment_sums(x: Array, xhat: Array, batches: int) -> tuple[Array, Array, Array]:
    """Counts (B,), sums (B, d, 2T), sums of products (B, d, 2T, 2T) of (x, xhat) in B batches."""
    both = np.concatenate([x, xhat], axis=1).reshape(len(x), 2 * x.shape[1], -1).transpose(2, 1, 0)
    parts = np.array_split(both, batches, axis=2)
    return (
        np.array([part.shape[2] for part in parts]),
        np.array([part.sum(axis=2) for part in parts]),
        np.array([part @ part.transpose(0, 2, 1) for part in parts]),
    )


def _gelbrich(
    count: Array, first: Array, second: Array, plf: str, source: GaussMarkov | None
) -> Array:
    """Perception loss (T,) from a count, sums and sums of products, summed over modes."""
    mean = first / count
    cov = second / count - mean[:, :, None] * mean[:, None, :]
    modes, frames = mean.shape[0], mean.shape[1] // 2
    exact = None if source is None else source.covariance().reshape(modes, frames, frames)
    out = np.zeros(frames)
    for t in range(frames):
        target, reconstruction = _compared(plf, t, frames)
        a = mean[:, target], cov[:, target][:, :, target]
        b = mean[:, reconstruction], cov[:, reconstruction][:, :, reconstruction]
        if exact is not None and plf != "SA":
            a = np.zeros_like(a[0]), exact[:, target][:, :, target]
        out[t] = gelbrich(*a, *b).sum()
    return out


def _jackknife(
    x: Array, xhat: Array, plf: str, source: GaussMarkov | None, batches: int
) -> tuple[Array, Array]:
    """Perception loss of all sequences, and its standard error by leaving out batches."""
    count, first, second = _moment_sums(x, xhat, batches)
    total = count.sum(axis=0), first.sum(axis=0), second.sum(axis=0)
    left = np.array(
        [
            _gelbrich(total[0] - count[b], total[1] - first[b], total[2] - second[b], plf, source)
            for b in range(batches)
        ]
    )
    spread = np.sqrt((batches - 1) / batches * ((left - left.mean(axis=0)) ** 2).sum(axis=0))
    return _gelbrich(*total, plf, source), spread


def _rate(rates: object, confidence: float) -> tuple[Array, Array | None]:
    """Mean rate of each frame, and half the width of its interval (None for a single stream)."""
    from scipy.stats import t as student

    rows = _check.nonnegative("rates", rates, ndim=(1, 2))
    if rows.ndim == 1 or len(rows) == 1:
        return rows.reshape(-1), None
    error = rows.std(axis=0, ddof=1) / np.sqrt(len(rows))
    return rows.mean(axis=0), student.ppf((1 + confidence) / 2, len(rows) - 1) * error


def _interval(center: Array, half: Array) -> Array:
    return np.stack([np.maximum(center - half, 0.0), center + half], axis=1)
