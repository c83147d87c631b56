"""Constructive codec: gap to the MMSE curve in bits, and samples per second on one core.

Is a lattice of higher dimension worth its time? The gap compares measured bytes, container
included, with the curve at the measured distortion. A time is the best of several streams in one
run; it is also given relative to the lattice Z. "W2^2 to Gaussian" is the squared W2 distance of
the FMD reconstruction from a Gaussian, in units of the source variance, with all frames pooled. It
compares the sorted sample with exact quantiles. The baseline is its value for Gaussian samples of
the same size.
"""

import time

import numpy as np
from scipy.stats import norm

from benchmarks.report import report
from rdp import closed_form
from rdp.codec import LATTICES, DitheredCodec, lattice
from rdp.source import GaussMarkov

SOURCE = GaussMarkov.stationary(rho=0.9, frames=2)
RATES = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0)
SEQUENCES = 240_000
STREAMS = 4


def w2_to_gaussian(sample: np.ndarray) -> float:
    """Squared W2 distance of a sample from the standard Gaussian distribution."""
    quantiles = norm.ppf((np.arange(sample.size) + 0.5) / sample.size)
    return float(((np.sort(sample) - quantiles) ** 2).mean())


def row(name: str, rate: float, blocks: list[np.ndarray]) -> dict[str, object]:
    """Measure one lattice at one rate."""
    codec = DitheredCodec.at_rates(SOURCE, [rate] * SOURCE.frames, name)
    gaps, encoding, decoding, reconstructions = [], [], [], []
    for seed, x in enumerate(blocks):
        start = time.perf_counter()
        stream = codec.encode(x, seed)
        middle = time.perf_counter()
        message = codec.read(stream)
        decoding.append(time.perf_counter() - middle)
        encoding.append(middle - start)
        reached = np.mean((x - message.decode("MMSE")) ** 2, axis=0)
        gaps.append((message.rates - closed_form.rate_for_distortion(SOURCE, reached)).mean())
        reconstructions.append(message.decode("FMD"))
    samples = blocks[0].size
    return {
        "lattice": name,
        "rate on the curve": rate,
        "gap, bit": float(np.mean(gaps)),
        "standard error": float(np.std(gaps, ddof=1) / np.sqrt(len(gaps))),
        "high-rate limit": lattice(name).gap,
        "encoded samples/s": samples / min(encoding),
        "decoded samples/s": samples / min(decoding),
        "W2^2 to Gaussian": w2_to_gaussian(np.concatenate(reconstructions).ravel()),
    }


def main() -> None:
    blocks = [SOURCE.sample(SEQUENCES, rng) for rng in range(STREAMS)]
    baseline = w2_to_gaussian(np.random.default_rng(99).standard_normal(blocks[0].size * STREAMS))
    rows = [row(name, rate, blocks) for rate in RATES for name in LATTICES]
    speed = {r["rate on the curve"]: r["encoded samples/s"] for r in rows if r["lattice"] == "Z"}
    for entry in rows:
        entry["encoding time / Z"] = speed[entry["rate on the curve"]] / entry["encoded samples/s"]
        entry["W2^2 baseline"] = baseline
    report("coding", rows, ("constriction",))


if __name__ == "__main__":
    main()
