"""A server of the page, and a browser that shows it."""

import pytest

from tests import browser as driver
from tests.solvers.explore.page import UPDATES


@pytest.fixture(scope="module")
def url():
    from solvers.explore.app import Server

    server = Server()
    yield server.url
    server.close()


@pytest.fixture(scope="module")
def browser():
    with driver.browsing() as opened:
        yield opened


@pytest.fixture
def page(browser, url):
    """Return the page, freshly loaded, all plots drawn."""
    browser.open("about:blank")  # the same address with another fragment is not loaded again
    browser.open(url)
    browser.wait(f"{UPDATES} > 0", 300)  # compiles the solvers where they are not yet
    return browser
