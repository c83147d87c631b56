"""Perceptual water-filling: time of eight frames against the number of modes.

Power-law spectra with random variances and correlations per frame, 0.3 bit per mode on average.
The threshold of "FMD P > 0" is a quarter of the MMSE scheme's perception loss, so that it binds.
Times are the best of three. Processor seconds are summed over threads; other work on the machine
does not change them.
"""

import os
import time

import numpy as np

from benchmarks.report import report
from rdp import GaussMarkov
from solvers.methods.waterfilling import waterfill

FRAMES = 8
CASES = {
    "MMSE": ("MMSE", "optimal"),
    "FMD": ("FMD", "optimal"),
    "FMD P > 0": ("FMD", "optimal"),
    "JD": ("JD", "optimal"),
    "SA": ("SA", "optimal"),
    "JD, MMSE encoder": ("JD", "mmse"),
}


def clip(modes: int) -> tuple[GaussMarkov, np.ndarray]:
    """A source with a power-law spectrum and its rates."""
    rng = np.random.default_rng(0)
    spectrum = np.arange(1, modes + 1) ** -1.2
    variance = spectrum * 10 ** rng.uniform(-0.3, 0.3, (FRAMES, modes))
    source = GaussMarkov(np.sqrt(variance), rng.uniform(-0.2, 0.99, (FRAMES - 1, modes)))
    return source, 0.3 * modes * rng.uniform(0.5, 1.5, FRAMES)


def main() -> None:
    rows = []
    for modes in (1_000, 10_000, 100_000, 1_000_000):
        source, rates = clip(modes)
        level = 0.25 * waterfill(source, rates, "MMSE").perception
        for name, (plf, encoder) in CASES.items():
            levels = level if name == "FMD P > 0" else None
            times, work = [], []
            for _ in range(3):
                start, busy = time.perf_counter(), time.process_time()
                found = waterfill(source, rates, plf, levels, encoder)
                times.append(time.perf_counter() - start)
                work.append(time.process_time() - busy)
            gap = np.max((found.distortion - found.lower_bound) / found.distortion)
            rows.append(
                {
                    "modes": modes,
                    "loss": name,
                    "seconds": min(times),
                    "processor seconds": min(work),
                    "ns per mode and frame": 1e9 * min(work) / (modes * FRAMES),
                    "largest relative gap": float(gap),
                    "threads": os.cpu_count(),
                }
            )
    report("vector", rows, libraries=("numba",))


if __name__ == "__main__":
    main()
