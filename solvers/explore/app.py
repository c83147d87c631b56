"""The server of the page: requests in, tables out.

It runs one computation at a time and answers this machine only.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from typing import TYPE_CHECKING, Any

from solvers.errors import SolverError

if TYPE_CHECKING:
    from flask import Flask

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
MARKERS = {"s": "square", "o": "circle", "^": "triangle-up", "D": "diamond"}
DASHES = {":": "dot", "-": "solid", "--": "dash", "-.": "dashdot"}
FIRST_REQUEST = {
    "frames": 4,
    "rho": 0.9,
    "sigma": 1,
    "rates": [0.1, 4, 4, 4],
    "levels": [0, 0, 0, 0],
    "weights": None,
    "swept": None,
    "seed": 0,
    "window": None,
}
# Scripts and pictures come from this server only, and no other page may embed this one.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'"
)

log = logging.getLogger(__name__)


class MissingExtra(ValueError):
    """A library that the page needs is not installed."""


def create_app(hosts: tuple[str, ...] = LOOPBACK) -> Flask:
    """Return the web application.

    Parameters
    ----------
    hosts : tuple of str
        Host names that a request may use. Other names are refused, so that no other site can
        pretend to be this page.

    Raises
    ------
    MissingExtra
        Flask or plotly is not installed.
    """
    try:
        from flask import Flask, Response, jsonify, request
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"explore: {error.name} is not installed; pip install '.[explore]' in a clone"
        ) from None
    from werkzeug.exceptions import HTTPException

    from solvers.explore import upload
    from solvers.explore.request import MOST_FRAMES, parse
    from solvers.explore.view import PARTS
    from solvers.plotting import STYLES

    app = Flask(__name__)
    app.config.update(
        TRUSTED_HOSTS=list(hosts),
        MAX_CONTENT_LENGTH=upload.MOST_BYTES,
        SEND_FILE_MAX_AGE_DEFAULT=0,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    plotting = get_plotlyjs()
    busy = threading.Lock()  # two compiled loops must not run at the same time in one process

    @app.before_request
    def same_origin() -> Any:
        """Refuse requests of pages of other sites."""
        origin = request.headers.get("Origin")
        if origin is not None and origin != request.host_url.rstrip("/"):
            return jsonify(error="origin: expected this page"), 403
        return None

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    @app.get("/")
    def page() -> Response:
        return app.send_static_file("index.html")

    @app.get("/plotly.js")
    def library() -> Response:
        return Response(plotting, mimetype="text/javascript")

    @app.get("/start")
    def start() -> Response:
        styles = {
            plf: {
                "color": style["color"],
                "dash": DASHES[style["linestyle"]],
                "symbol": MARKERS[style["marker"]],
            }
            for plf, style in STYLES.items()
        }
        return jsonify(request=FIRST_REQUEST, styles=styles, most_frames=MOST_FRAMES)

    @app.post(f"/view/<any({', '.join(PARTS)}):part>")
    def answer(part: str) -> Response:
        asked = parse(request.get_json())
        with busy:
            return jsonify(PARTS[part](asked))

    @app.post("/clip")
    def clip() -> Response:
        frames = request.form.get("frames", "60")
        if not frames.isdecimal():
            raise ValueError(f"frames: expected an integer, got {frames!r}")
        file = request.files.get("clip")
        with busy:
            if file is None:
                return jsonify(upload.fit_sample(int(frames)))
            return jsonify(upload.fit_upload(file.stream, int(frames)))

    @app.errorhandler(ValueError)
    def bad_input(error: ValueError) -> Any:
        return jsonify(error=str(error)), 400

    @app.errorhandler(SolverError)
    def failed(error: SolverError) -> Any:
        return jsonify(error=str(error)), 422

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Any:
        text = error.description
        if error.code == 413:
            text = f"clip: expected at most {upload.MOST_BYTES >> 20} MiB"
        return jsonify(error=text), error.code

    @app.errorhandler(Exception)
    def broken(error: Exception) -> Any:
        log.exception("a request failed")
        return jsonify(error="internal error; see the terminal"), 500

    return app


class Server:
    """A server of the page in a thread of its own, until it is closed.

    Parameters
    ----------
    host : str
        Address to listen on.
    port : int
        Port; 0 takes a free one.

    Raises
    ------
    ValueError
        The host is the address of all networks.
    MissingExtra
        The extra `explore` is not installed.
    OSError
        The port is taken.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        if host in ("", "0.0.0.0", "::"):
            raise ValueError(f"host: expected the address of one network, got {host!r}")
        # A request has few points: starting threads would take longer than solving them.
        os.environ.setdefault("NUMBA_NUM_THREADS", "1")
        name = f"[{host}]" if ":" in host else host
        app = create_app((*LOOPBACK, name))
        from werkzeug.serving import WSGIRequestHandler, make_server

        class Quiet(WSGIRequestHandler):
            """Handler that keeps connections open and does not log requests that succeed."""

            protocol_version = "HTTP/1.1"

            def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
                pass

        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family)
        self._server = make_server(
            host, port, app, threaded=True, request_handler=Quiet, fd=self._socket.fileno()
        )
        self.url = f"http://{name}:{self._socket.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._socket.close()

    def wait(self) -> None:
        """Serve until interrupted."""
        try:
            self._thread.join()
        except KeyboardInterrupt:
            self.close()
