"""The server: its answers, and the requests that it refuses."""

import io
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("flask")
pytest.importorskip("plotly")
pytest.importorskip("waitress")

from rdp.clip import fit_clip, sample_clip
from solvers.cli import app as command
from solvers.explore import upload
from solvers.explore.app import Server, create_app
from solvers.explore.request import parse
from solvers.explore.view import PARTS

ASKED = {"frames": 2, "rho": 0.9, "rates": [0.5, 1], "levels": [0, 0]}


@pytest.fixture(scope="module")
def app():
    return create_app()


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture
def clip():
    """Bytes of a small clip."""
    frames = np.random.default_rng(0).random((5, 16, 24)).cumsum(axis=0) / 5
    file = io.BytesIO()
    np.save(file, frames)
    return file.getvalue()


def send(client, content, name="clip.npy", frames="5"):
    return client.post("/clip", data={"frames": frames, "clip": (io.BytesIO(content), name)})


def test_the_page_and_what_it_loads(client):
    page = client.get("/", buffered=True)
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    text = page.text
    assert "//" not in text  # nothing comes from another site
    for part in ("plotly.js", "static/explore.css", "static/explore.js", "static/plots.js"):
        assert f'"{part}"' in text
        assert client.get(f"/{part}", buffered=True).status_code == 200


def test_the_first_request_of_the_page_is_valid(client):
    start = client.get("/start").json
    assert set(start["styles"]) == {"MMSE", "FMD", "JD", "SA"}
    parse(start["request"])


@pytest.mark.parametrize("part", PARTS)
def test_every_part_is_answered(client, part):
    answer = client.post(f"/view/{part}", json=ASKED)
    assert answer.status_code == 200
    assert answer.json == json.loads(json.dumps(PARTS[part](parse(ASKED)), allow_nan=False))


def test_columns_keep_their_order(client):
    table = client.post("/view/rate", json=ASKED).json["tables"]["rate"]
    assert list(table) == ["rate", "plf", "distortion_1", "distortion_2", "gap"]


@pytest.mark.parametrize(
    ("given", "status", "error"),
    [
        ({"json": {**ASKED, "rates": [-1, 1]}}, 400, "rates: expected values >= 0, got -1"),
        ({"json": {**ASKED, "file": "x"}}, 400, "file: unknown"),
        ({"json": {**ASKED, "frames": "a" * 10_000}}, 400, "frames: expected an integer"),
        ({"data": "[" * 100000, "content_type": "application/json"}, 400, "brackets"),
        ({"data": "{", "content_type": "application/json"}, 400, "could not understand"),
        ({"data": json.dumps(ASKED), "content_type": "text/plain"}, 415, ""),
    ],
)
def test_a_bad_request_is_an_error_in_words(client, given, status, error):
    answer = client.post("/view/point", **given)
    assert answer.status_code == status
    assert error in answer.json["error"]
    assert len(answer.json["error"]) <= 500


def test_an_unexpected_error_stays_in_the_terminal(client, monkeypatch, caplog):
    def breaks(request):
        raise RuntimeError("secret")

    app = client.application
    monkeypatch.setitem(PARTS, "point", breaks)
    assert not app.debug
    answer = client.post("/view/point", json=ASKED)
    assert answer.status_code == 500
    assert answer.json == {"error": "internal error; see the terminal"}
    assert "secret" in caplog.text


def test_requests_of_other_hosts_and_pages_are_refused(client):
    assert client.get("/start", headers={"Host": "localhost:8421"}).status_code == 200
    assert client.get("/start", headers={"Host": "rebound.example"}).status_code == 400
    foreign = {"Origin": "http://elsewhere.example"}
    assert client.post("/view/point", json=ASKED, headers=foreign).status_code == 403
    own = {"Origin": "http://localhost"}
    assert client.post("/view/point", json=ASKED, headers=own).status_code == 200


def test_unknown_paths(client):
    assert client.post("/view/absent", json=ASKED).status_code == 404
    for path in ("/absent", "/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd"):
        assert client.get(path, follow_redirects=True).status_code == 404


# --- clips ----------------------------------------------------------------------------------


def test_a_clip_is_fitted(client, clip, tmp_path):
    (tmp_path / "clip.npy").write_bytes(clip)
    expected = fit_clip(tmp_path / "clip.npy")
    answer = send(client, clip)
    assert answer.status_code == 200
    found = answer.json
    assert found["summary"]["frames"] == 5
    assert (found["summary"]["height"], found["summary"]["width"]) == (16, 24)
    order = np.argsort(-(expected.sigma**2), kind="stable")[: upload.MODES]
    np.testing.assert_allclose(found["modes"]["sigma"], expected.sigma[order])
    np.testing.assert_allclose(found["modes"]["rho"], expected.rho[order])
    assert found["curves"]["plf"][:: len(upload.BITS_PER_PIXEL)] == ["MMSE", "FMD", "JD", "SA"]


def test_the_content_of_a_file_decides_its_format(client):
    answer = send(client, sample_clip().read_bytes(), "../../etc/passwd", "4")
    assert answer.status_code == 200
    assert answer.json["summary"]["frames"] == 4
    sample = client.post("/clip", data={"frames": "4"}).json
    assert sample == answer.json


@pytest.mark.parametrize("signature", upload.SIGNATURES)
def test_the_first_bytes_choose_the_reader(monkeypatch, signature):
    """FFmpeg is not left to guess: it would also take files that name other files."""
    asked = []

    def read(path, frames, kind):
        asked.append((path.suffix, kind))
        raise ValueError("stop")

    monkeypatch.setattr(upload, "read_luma", read)
    at, mark = signature
    with pytest.raises(ValueError, match="stop"):
        upload.fit_upload(io.BytesIO(bytes(at) + mark + bytes(20)), 5)
    kind = upload.SIGNATURES[signature]
    assert asked == [(".npy" if kind is None else "", kind)]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "clip: expected a video file, mp4"),
        (b"#EXTM3U\nfile:///etc/passwd\n", "clip: expected a video file, mp4"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "clip: expected a video file, mp4"),
        (b"\x00\x00\x00\x18ftypisom", "clip: not a video, or truncated or damaged"),
        (b"\x00\x00\x00\x18ftyp\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n", "clip: "),
        (b"\x93NUMPY\x01\x00", "clip: not a .npy array"),
    ],
)
def test_files_that_are_not_clips(client, content, error):
    answer = send(client, content, "movie.mp4")
    assert answer.status_code == 400
    assert answer.json["error"].startswith(error)
    assert "/tmp" not in answer.json["error"]
    assert "passwd" not in answer.json["error"]


def test_an_array_that_would_run_code_is_refused(client, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "made"), "w"))

    file = io.BytesIO()
    np.save(file, np.array([Evil()], dtype=object), allow_pickle=True)
    assert send(client, file.getvalue()).status_code == 400
    assert not (tmp_path / "made").exists()


def test_a_clip_that_is_too_large(client, monkeypatch, clip):
    monkeypatch.setitem(client.application.config, "MAX_CONTENT_LENGTH", 1000)
    answer = send(client, clip)
    assert answer.status_code == 413
    assert answer.json == {"error": "clip: expected at most 64 MiB"}


@pytest.mark.parametrize("frames", ["0", "1", "301", "-2", "many", ""])
def test_a_bad_number_of_frames(client, clip, frames):
    answer = send(client, clip, frames=frames)
    assert answer.status_code == 400
    assert answer.json["error"].startswith("frames: expected")


def test_the_file_of_a_clip_is_deleted(client, clip, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert send(client, clip).status_code == 200
    assert send(client, clip[:100]).status_code == 400
    assert list(tmp_path.iterdir()) == []


# --- serving --------------------------------------------------------------------------------


def test_a_server_on_loopback():
    server = Server()
    try:
        assert server.url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(server.url + "start") as answer:
            assert json.load(answer)["request"]["frames"] == 4
        port = int(server.url.rstrip("/").rsplit(":", 1)[1])
        with pytest.raises(OSError, match="in use"):
            Server(port=port)
    finally:
        server.close()


def test_a_server_on_the_loopback_of_ipv6():
    try:
        server = Server("::1")
    except OSError:
        pytest.skip("no IPv6")
    try:
        with urllib.request.urlopen(server.url + "start") as answer:
            assert json.load(answer)["request"]["frames"] == 4
    finally:
        server.close()


def test_abandoned_and_slow_requests_do_not_hold_up_others(monkeypatch):
    begun, free = [], threading.Event()

    def fit(frames):
        begun.append(frames)
        free.wait(20)
        return {}

    monkeypatch.setattr(upload, "fit_sample", fit)
    monkeypatch.setitem(PARTS, "point", lambda asked: {"x": 1})
    server = Server()
    place = ("127.0.0.1", int(server.url.rstrip("/").rsplit(":", 1)[1]))
    body = b"frames=5"
    head = b"POST /clip HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n"
    form = b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    open_sockets = []
    try:
        for _ in range(12):  # clips whose page goes
            with socket.create_connection(place) as connection:
                connection.sendall(head + form + body)
                time.sleep(0.02)
        for _ in range(200):  # requests that never end
            open_sockets.append(socket.create_connection(place))
            open_sockets[-1].sendall(head)
        asked = urllib.request.Request(
            server.url + "view/point",
            json.dumps(ASKED).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(asked, timeout=5) as answer:
            assert json.load(answer) == {"x": 1}
        time.sleep(0.3)
        free.set()
        time.sleep(0.3)
        assert len(begun) == 1
    finally:
        free.set()
        for connection in open_sockets:
            connection.close()
        server.close()


def test_views_are_computed_one_at_a_time(monkeypatch):
    """Two parallel loops of compiled code must not run in one process at the same time."""
    inside, most = [], []

    def slow(asked):
        inside.append(asked)
        most.append(len(inside))
        time.sleep(0.05)
        inside.pop()
        return {}

    monkeypatch.setitem(PARTS, "point", slow)
    app = create_app()
    threads = [
        threading.Thread(target=lambda: app.test_client().post("/view/point", json=ASKED))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]


def test_nothing_is_computed_for_a_page_that_has_gone(client, monkeypatch):
    asked = []
    monkeypatch.setitem(PARTS, "point", lambda request: asked.append(request) or {})
    for gone, status in ((True, 503), (False, 200)):
        answer = client.post(
            "/view/point",
            json=ASKED,
            environ_overrides={"waitress.client_disconnected": lambda gone=gone: gone},
        )
        assert answer.status_code == status
    assert len(asked) == 1


@pytest.mark.parametrize("part", PARTS)
def test_a_view_ends_at_its_next_step_when_the_page_goes(client, part):
    looks = []

    def gone():
        looks.append(part)
        return len(looks) > 2

    environ = {"waitress.client_disconnected": gone}
    answer = client.post(f"/view/{part}", json=ASKED, environ_overrides=environ)
    assert (answer.status_code, answer.json) == (503, {"error": "the page has gone"})
    assert len(looks) == 3
    assert client.post(f"/view/{part}", json=ASKED).status_code == 200  # the next one is computed


def test_numbers_that_are_not_finite_are_null(client, monkeypatch):
    monkeypatch.setitem(PARTS, "point", lambda asked: {"x": [float("nan"), float("inf"), 1.5]})
    assert client.post("/view/point", json=ASKED).text.split() == ['{"x":[null,null,1.5]}']


def test_an_address_of_all_networks_is_refused():
    for host in ("", "0.0.0.0", "::", "0", "0x0", "::0", "0.0", "::ffff:0.0.0.0"):
        with pytest.raises(ValueError, match="host: expected the address of one network"):
            Server(host)


@pytest.mark.parametrize("host", ["::ffff:127.0.0.1", "::ffff:7f00:1"])
def test_an_address_of_ipv4_in_another_form_is_named(host):
    with pytest.raises(ValueError, match=r"host: expected '127\.0\.0\.1', an address of IPv4, got"):
        Server(host)


def test_an_address_of_another_machine_is_named():
    with pytest.raises(OSError, match=r"^192\.0\.2\.1:0: cannot listen there \("):
        Server("192.0.2.1")  # of the block for documentation


def test_without_the_extra_the_command_says_what_to_install():
    code = (
        "import sys; sys.modules['flask'] = None\n"
        "from solvers.cli import main; sys.argv = ['rdp', 'explore', '--no-browser']; main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 2
    expected = "explore: flask is not installed; pip install '.[explore]' in a clone\n"
    assert result.stderr == expected


def test_the_command_serves_until_interrupted(monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(Server, "wait", Server.close)
    result = CliRunner().invoke(command, ["explore", "--port", "0"])
    assert result.exit_code == 0, result.output
    (url,) = opened
    assert result.stderr == f"{url} (Ctrl-C stops it)\n"
    assert CliRunner().invoke(command, ["explore", "--host", "0.0.0.0"]).exit_code == 2
