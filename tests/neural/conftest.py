"""A tiny experiment with clips that is trained once for all tests of neural."""

import io

import pytest


@pytest.fixture(scope="package")
def trained(tmp_path_factory):
    """An experiment trained by the commands: its folder, configuration, runs and points."""
    pytest.importorskip("torch")
    from neural.__main__ import main
    from tests.neural.small_clips import CONFIG

    folder = tmp_path_factory.mktemp("experiment")
    config = folder / "tiny.toml"
    config.write_text(CONFIG)
    runs, points = folder / "runs", folder / "points.json"
    patch = pytest.MonkeyPatch()
    patch.setattr("neural.codecs.video.COUNTED", 32)
    patch.setattr("neural.codecs.video.CHUNK", 32)
    patch.setattr("sys.stderr", io.StringIO())  # progress bars
    for command in (["train"], ["evaluate", "--results", str(points)]):
        name, *rest = command
        arguments = [name, str(config), "--runs", str(runs), "--workers", "1", *rest]
        assert main(arguments) == 0
    patch.undo()
    return folder, config, runs, points
