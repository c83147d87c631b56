"""Latency of `rdp explore` in a headless browser: from a change of a control to the new plots.

The page measures the time of each update: the event, the requests, the solvers, four plots and the
next paint. Other work on the machine makes these times longer. Therefore the report also has the
processor time of an update, in the main thread of the page (scripts, style, layout) and in the
server. The two overlap: on an idle machine an update takes less than their sum plus a paint.
"""

import os
import sys
import time
from pathlib import Path

os.environ.setdefault("NUMBA_NUM_THREADS", "1")  # as rdp explore does

import numpy as np

from benchmarks.report import report
from solvers.explore.app import Server

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

# Move one slider after the other, and wait for each update. The result is the measured times.
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
let state = seed + 1; // a small random number generator, the same in each run
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


def measure(page: driver.Browser, frames: int, weighted: bool, level: float) -> dict[str, object]:
    """Return the times of the updates and the mean processor time of one, in milliseconds."""
    before = processors(page)
    page.run(SLIDE, frames, weighted, level, CHANGES, SEED)
    times = np.array(page.wait("window.found", 600, every=0.5))
    updates = len(times) + 3  # and the three that set the case
    in_page, in_server = (processors(page) - before) * 1e3 / updates
    return {
        "frames": frames,
        "objective": "weighted" if weighted else "sequential",
        "threshold": level,
        "changes": len(times),
        "fastest ms": float(times.min()),
        "median ms": float(np.median(times)),
        "95th percentile ms": float(np.quantile(times, 0.95)),
        "worst ms": float(times.max()),
        "processor of the page, mean ms": float(in_page),
        "processor of the server, mean ms": float(in_server),
        "processes waiting": os.getloadavg()[0],
    }


def processors(page: driver.Browser) -> np.ndarray:
    """Return the processor seconds of the main thread of the page and of this server."""
    metrics = page.devtools("Performance.getMetrics", {})["metrics"]
    (seconds,) = [item["value"] for item in metrics if item["name"] == "TaskDuration"]
    return np.array([seconds, time.process_time()])


def main() -> None:
    reason = driver.missing()
    if reason:
        print(f"explore: not measured, {reason}")
        return
    server = Server()
    with driver.browsing() as page:
        page.open(server.url)
        page.wait("performance.getEntriesByName('update').length > 0", 600)
        page.devtools("Performance.enable", {"timeDomain": "threadTicks"})
        rows = [measure(page, *case) for case in CASES]
    server.close()
    report("explore", rows, ("flask", "plotly", "numba"))


if __name__ == "__main__":
    main()
