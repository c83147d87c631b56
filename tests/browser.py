"""A headless Chromium, driven through the W3C WebDriver protocol of chromedriver."""

import base64
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # how the protocol marks an element
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


def missing() -> str | None:
    """Why no browser can be driven here, or None."""
    if not shutil.which("chromedriver"):
        return "chromedriver is not installed"
    return None if any(map(shutil.which, CHROMIUM)) else "chromium is not installed"


class BrowserError(RuntimeError):
    """The browser could not do what was asked."""


class Browser:
    """One window.

    Parameters
    ----------
    address : str
        Where chromedriver listens.
    width, height : int
        Size of the page, CSS pixels.
    folder : path
        Empty; keeps the profile and downloads.
    """

    def __init__(self, address: str, width: int, height: int, folder: Path) -> None:
        self.address, self.folder = address, folder
        downloads = folder / "downloads"
        downloads.mkdir()
        options = {
            "binary": next(filter(None, map(shutil.which, CHROMIUM))),
            "args": [*FLAGS, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},900"],
            "prefs": {"download.default_directory": str(downloads)},
        }
        asked = {"browserName": "chrome", "goog:chromeOptions": options}
        asked["goog:loggingPrefs"] = {"browser": "ALL"}
        made = self._send("POST", "/session", {"capabilities": {"alwaysMatch": asked}})
        self.session = f"/session/{made['sessionId']}"
        self.resize(width, height)

    def _send(self, method: str, path: str, body: object = None) -> object:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.address + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=180) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            raise BrowserError(json.load(error)["value"]["message"]) from None

    def resize(self, width: int, height: int) -> None:
        """Show the page at a size, whatever the window's least is."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)

    def devtools(self, command: str, parameters: object) -> object:
        """Send a command of the DevTools protocol."""
        body = {"cmd": command, "params": parameters}
        return self._send("POST", f"{self.session}/goog/cdp/execute", body)

    def open(self, url: str) -> None:
        """Load a page."""
        self._send("POST", f"{self.session}/url", {"url": url})

    def run(self, script: str, *arguments: object) -> object:
        """Run JavaScript in the page; `arguments` and `return` as in a function."""
        body = {"script": script, "args": list(arguments)}
        return self._send("POST", f"{self.session}/execute/sync", body)

    def wait(self, condition: str, seconds: float = 60.0, every: float = 0.02) -> object:
        """Return the value of a JavaScript expression as soon as it is true."""
        end = time.monotonic() + seconds
        while not (value := self.run(f"return {condition}")):
            if time.monotonic() > end:
                raise BrowserError(f"not within {seconds:g} s: {condition}")
            time.sleep(every)
        return value

    def find(self, selector: str) -> str:
        """Return the element of a CSS selector."""
        body = {"using": "css selector", "value": selector}
        return self._send("POST", f"{self.session}/element", body)[ELEMENT]

    def click(self, selector: str) -> None:
        """Click on an element."""
        self._send("POST", f"{self.session}/element/{self.find(selector)}/click", {})

    def type(self, selector: str, text: str) -> None:
        """Press keys in an element; the path of a file chooses it for upload."""
        body = {"text": text}
        self._send("POST", f"{self.session}/element/{self.find(selector)}/value", body)

    def screenshot(self, path: Path | str, whole: bool = False) -> None:
        """Save what is seen, or the whole page, as PNG."""
        options = {"captureBeyondViewport": whole}
        if whole:
            script = "const d = document.documentElement; return [innerWidth, d.scrollHeight]"
            width, height = self.run(script)
            options["clip"] = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        image = self.devtools("Page.captureScreenshot", options)["data"]
        Path(path).write_bytes(base64.b64decode(image))

    def complaints(self) -> list[str]:
        """What the browser logged as an error or warning since the last call."""
        logged = self._send("POST", f"{self.session}/se/log", {"type": "browser"})
        return [entry["message"] for entry in logged if entry["level"] in ("SEVERE", "WARNING")]

    def close(self) -> None:
        """Close the window."""
        self._send("DELETE", self.session)


@contextmanager
def browsing(width: int = 1280, height: int = 800):
    """Give a browser, and end it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        driver = subprocess.Popen(
            ["chromedriver", f"--port={port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _await(port)
            browser = Browser(f"http://127.0.0.1:{port}", width, height, Path(folder))
            try:
                yield browser
            finally:
                browser.close()
        finally:
            driver.terminate()
            driver.wait()


def _await(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise BrowserError("chromedriver did not start")
