"""What the browser tests of the page share."""

import numpy as np

SET = """
const [selector, value, kind] = arguments;
const input = document.querySelector(selector);
input.value = value;
input.dispatchEvent(new Event("input", { bubbles: true }));
"""
UPDATES = "performance.getEntriesByName('update').length"


def change(page, selector, value):
    """Set a control, and wait until the page has answered."""
    before = page.run(f"return {UPDATES}")
    page.run(SET, selector, str(value))
    page.wait(f"{UPDATES} > {before}")


def choose(page, preset):
    """Take a preset, and wait until it is drawn."""
    change(page, "#preset", preset)


def curve(page, plot, name):
    """Return x and y of one curve as drawn."""
    script = """
    const [plot, name] = arguments;
    const trace = document.getElementById(plot).data.find((trace) => trace.name === name);
    return [trace.x, trace.y];
    """
    return np.array(page.run(script, plot, name), dtype=float)
