"""The server of the page: requests in, tables out.

It answers this machine only. It computes one view and fits one clip at a time. A view whose page
has gone ends at its next step, so that it holds up no other.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rdp._check import one_line
from solvers.errors import SolverError

if TYPE_CHECKING:
    from flask import Flask

# Slow connections take no thread; those that send nothing are closed.
SERVING: dict[str, Any] = {
    "threads": 8,
    "connection_limit": 1000,
    "channel_timeout": 30,  # seconds
    "cleanup_interval": 10,
    "channel_request_lookahead": 1,  # so that a request sees that its page has gone
    "asyncore_use_poll": True,
    "max_request_body_size": 128 << 20,
    "ident": None,
}
MOST_CLIPS = 4  # waiting or in work; threads remain for the other requests
POLL = 0.05  # seconds between two looks at whether the page is still there

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
        import waitress  # noqa: F401
        from flask import Flask, Response, jsonify, request
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"explore: {error.name} is not installed; pip install '.[explore]' in a clone"
        ) from None
    from flask.json.provider import DefaultJSONProvider
    from werkzeug.exceptions import BadRequest, HTTPException, ServiceUnavailable

    from solvers.explore import upload
    from solvers.explore.request import MOST_FRAMES, parse
    from solvers.explore.turns import PageGone, keep_going, waiting
    from solvers.explore.view import PARTS
    from solvers.plotting import STYLES

    class StrictJSON(DefaultJSONProvider):
        sort_keys = False

        def dumps(self, obj: Any, **options: Any) -> str:
            return super().dumps(_strict(obj), **options, allow_nan=False)

    app = Flask(__name__)
    app.json = StrictJSON(app)
    trusted = {host.strip("[]").lower() for host in hosts}
    app.config.update(
        MAX_CONTENT_LENGTH=upload.MOST_BYTES,
        SEND_FILE_MAX_AGE_DEFAULT=0,
    )
    plotting = get_plotlyjs()
    busy = threading.Lock()  # two parallel loops must not run at the same time in one process
    fitting, clips = threading.Lock(), threading.BoundedSemaphore(MOST_CLIPS)

    @contextmanager
    def turn(lock: threading.Lock) -> Iterator[None]:
        """Hold a lock; a request whose page goes while it waits or is computed ends."""
        gone = request.environ.get("waitress.client_disconnected", lambda: False)
        with waiting(gone):
            while not lock.acquire(timeout=POLL):
                keep_going()
            try:
                keep_going()
                yield
            finally:
                lock.release()

    @app.before_request
    def known_host() -> Any:
        """Refuse requests for other names than those of this server."""
        try:
            name = urlsplit(f"//{request.headers.get('Host', '')}").hostname
        except ValueError:
            name = None
        if name not in trusted:
            return jsonify(error="host: expected this server"), 400
        return None

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
        try:
            asked = parse(request.get_json())
        except RecursionError:
            raise BadRequest("request: expected fewer levels of brackets") from None
        with turn(busy):
            return jsonify(PARTS[part](asked))

    @app.post("/clip")
    def clip() -> Response:
        frames = request.form.get("frames", "60")
        if not frames.isdecimal():
            raise ValueError(f"frames: expected an integer, got {frames!r}")
        file = request.files.get("clip")
        if not clips.acquire(blocking=False):
            raise ServiceUnavailable("clip: other clips are being fitted; try again soon")
        try:
            with turn(fitting):
                if file is None:
                    return jsonify(upload.fit_sample(int(frames)))
                return jsonify(upload.fit_upload(file.stream, int(frames)))
        finally:
            clips.release()

    @app.errorhandler(ValueError)
    def bad_input(error: ValueError) -> Any:
        return jsonify(error=one_line(error)), 400

    @app.errorhandler(PageGone)
    def abandoned(error: PageGone) -> Any:
        return jsonify(error="the page has gone"), 503

    @app.errorhandler(SolverError)
    def failed(error: SolverError) -> Any:
        return jsonify(error=one_line(error)), 422

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
        The host is unknown, or is the address of all networks.
    MissingExtra
        The extra `explore` is not installed.
    OSError
        The port is taken.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        family, address = _address(host)
        # A request has few points: starting threads would take longer than solving them.
        os.environ.setdefault("NUMBA_NUM_THREADS", "1")
        name = f"[{host}]" if ":" in host else host
        app = create_app((*LOOPBACK, name))
        from waitress import create_server, wasyncore

        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a line for each that waits
        try:
            self._socket = socket.create_server((address, port), family=family)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise OSError(f"{name}:{port}: cannot listen there ({reason})") from error
        self._connections: dict[int, Any] = {}
        self._server = create_server(
            app, map=self._connections, sockets=[self._socket], **SERVING
        )
        self._loop, self._close_all = wasyncore.loop, wasyncore.close_all
        self._stop = threading.Event()
        self.url = f"http://{name}:{self._socket.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._stop.is_set():
            self._loop(timeout=0.2, use_poll=True, map=self._connections, count=1)

    def close(self) -> None:
        """Stop serving."""
        self._stop.set()
        self._thread.join()
        self._server.task_dispatcher.shutdown()
        self._close_all(self._connections)
        self._socket.close()

    def wait(self) -> None:
        """Serve until interrupted."""
        try:
            self._thread.join()
        except KeyboardInterrupt:
            self.close()


def _address(host: str) -> tuple[socket.AddressFamily, str]:
    """Return the family and the address of a host; any spelling of all networks is refused."""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM) if host else []
    except (OSError, UnicodeError):
        raise ValueError(f"host: expected the address of this machine, got {host!r}") from None
    for _, _, _, _, place in found:
        address = ipaddress.ip_address(str(place[0]).partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None) or address
        if address.is_unspecified or mapped.is_unspecified:
            found = []
            break
        if mapped is not address:
            raise ValueError(f"host: expected {str(mapped)!r}, an address of IPv4, got {host!r}")
    if not found:
        raise ValueError(f"host: expected the address of one network, got {host!r}")
    found.sort(key=lambda item: item[0] != socket.AF_INET)  # of a name, first IPv4
    return found[0][0], str(found[0][4][0])


def _strict(value: Any) -> Any:
    """Return a value that strict JSON can hold: numbers that are not finite become null."""
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
