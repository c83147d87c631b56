"""Latency of `rdp explore` in a headless browser: from a control's change until all is redrawn.

The page itself measures each update: the event, the request, the solvers, four plots, and the
next paint. The server alone is timed by the same requests without a browser.
"""

import os
import sys
import time
from pathlib import Path

os.environ.setdefault("NUMBA_NUM_THREADS", "1")  # as rdp explore does

import numpy as np
from report import report

from solvers.explore.app import Server
from solvers.explore.question import parse
from solvers.explore.view import PARTS

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for the driver of the tests
from tests import browser as driver

CHANGES = 30  # of each of four controls
SEED = 0
CASES = [  # frames, weighted objective, threshold
    (2, False, 0.1),
    (4, False, 0.0),
    (4, False, 0.1),
    (4, True, 0.1),
    (8, False, 0.1),
    (8, True, 0.1),
]

# One slider after the other, each value awaited; what the page measured comes back.
SLIDE = """
const [frames, weighted, level, changes, seed] = arguments;
const set = (selector, value) => {
  const input = document.querySelector(selector);
  input.value = value;
  input.dispatchEvent(new Event("input", { bubbles: true }));
};
const change = (selector, value) => new Promise((done) => {
  new PerformanceObserver((_, observer) => { observer.disconnect(); done(); })
    .observe({ type: "measure" });
  set(selector, value);
});
let state = seed + 1; // a small generator, so that runs are alike
const uniform = () => { state = (state * 48271) % 2147483647; return state / 2147483647; };
window.found = null;
(async () => {
  await change("#objective", weighted ? "weighted" : "sequential");
  await change("#frames", frames);
  await change("#frame-table .all .threshold", level);
  performance.clearMeasures();
  const sliders = ["#rho", "#frame-table .rate-slider[data-frame='1']",
    "#frame-table .all .rate-slider", "#frame-table .all .threshold"];
  for (let i = 0; i < changes; i++) {
    for (const slider of sliders) {
      const [low, high] = slider === "#rho" ? [-0.95, 0.95]
        : slider.includes("threshold") ? [0, 2 * level] : [0.05, 5];
      await change(slider, (low + uniform() * (high - low)).toFixed(2));
    }
  }
  window.found = performance.getEntriesByName("update").map((entry) => entry.duration);
})();
"""


def in_the_browser(page: driver.Browser, frames: int, weighted: bool, level: float) -> list[float]:
    """Milliseconds of every update."""
    page.run(SLIDE, frames, weighted, level, CHANGES, SEED)
    return page.wait("window.found", 600)


def on_the_server(frames: int, weighted: bool, level: float) -> list[float]:
    """Milliseconds to compute one answer, at random questions."""
    rng = np.random.default_rng(SEED)
    spent = []
    for _ in range(CHANGES):
        asked = {
            "frames": frames,
            "rho": rng.uniform(-0.95, 0.95),
            "rates": rng.uniform(0.05, 5, frames).tolist(),
            "levels": [level] * frames,
            "weights": [1] * frames if weighted else None,
        }
        start = time.perf_counter()
        for part in PARTS.values():
            part(parse(asked))
        spent.append(1e3 * (time.perf_counter() - start))
    return spent


def main() -> None:
    reason = driver.missing()
    if reason:
        print(f"explore: not measured, {reason}")
        return
    rows = []
    server = Server()
    with driver.browsing() as page:
        page.open(server.url)
        page.wait("performance.getEntriesByName('update').length > 0", 600)
        for frames, weighted, level in CASES:
            seen = np.array(in_the_browser(page, frames, weighted, level))
            computed = np.array(on_the_server(frames, weighted, level))
            rows.append(
                {
                    "frames": frames,
                    "objective": "weighted" if weighted else "sequential",
                    "threshold": level,
                    "changes": len(seen),
                    "median ms": float(np.median(seen)),
                    "95th percentile ms": float(np.quantile(seen, 0.95)),
                    "worst ms": float(seen.max()),
                    "solvers alone, median ms": float(np.median(computed)),
                }
            )
    server.close()
    report("explore", rows, ("flask", "plotly", "numba"))


if __name__ == "__main__":
    main()
