"""Configurations from elsewhere: refused in one line, before any training, in little memory."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from neural.__main__ import main  # noqa: E402
from neural.configuration import LONGEST, read_configuration  # noqa: E402
from neural.experiment import Experiment  # noqa: E402
from neural.tasks.clips import ClipTask  # noqa: E402
from tests.neural.test_experiment import CLIPS, TINY  # noqa: E402

BLOCKS = [
    ('start = "mmse"', 'start = "own"', "start: expected a stage before 'universal', got 'own'"),
    ("steps = 20", "steps = 10000000000000000000000", "steps: expected at most 2^40, got more"),
    ("batch = 16", "batch = 10000000000", "batch: expected at most 1,048,576 samples"),
    ("[[0.7, 0.9]]", "[[0.7, nan]]", "rates: expected bits from 0 to 1,048,576, or inf"),
    ("[[0.7, 0.9]]", "[[0.7, 1e308]]", "rates: expected bits from 0 to 1,048,576, or inf"),
    ("[[0.7, 0.9]]", "[[0.7, -1]]", "rates: expected bits from 0 to 1,048,576, or inf"),
    ("seed = 1", "a." * 5000 + "b = 1", "expected TOML, got a key of more than 32 parts"),
    ("seed = 1", "#" * LONGEST, "expected a TOML file of at most 16,384 bytes, got more"),
    ("seed = 1", "x = " + "[" * 9000, "expected TOML, got values nested too deep"),
]
DATA = 'kind = "digits"'
VIDEO = [
    (DATA, DATA + '\nframes = 2000000000', "frames: expected at most 1000, got 2000000000"),
    (DATA, DATA + '\nframes = true', "frames: expected an integer >= 1, got True"),
    (DATA, DATA + '\npath = "a"', "data: expected some of count, folder"),
    (DATA, DATA + '\ndigits = 3', "data: expected some of count, folder"),
    (DATA, 'kind = ["digits"]', "kind: expected digits, people, folder, textures"),
    ("[options.codec]", "[options.codec]\nwide = 3", "codec: expected some of first_levels"),
    ("[options.codec]", "[options.codec]\nlevels = 1", "levels: expected at least 2, got 1"),
    ("[options.critic]", "[options.critic]\nwide = 3", "critic: expected some of explicit_slope"),
]


@pytest.mark.parametrize(
    ("whole", "old", "new", "message"),
    [(TINY, *change) for change in BLOCKS] + [(CLIPS, *change) for change in VIDEO],
    ids=lambda text: text[:30],
)
def test_what_cannot_be_trained_is_refused_before(whole, old, new, message, tmp_path):
    path = tmp_path / "small.toml"
    assert old in whole
    path.write_text(whole.replace(old, new, 1))
    with pytest.raises(ValueError, match=re.escape(f"{path}: {message}")) as caught:
        Experiment.load(path)
    assert "\n" not in str(caught.value)


def test_a_file_within_the_limit_takes_little_memory(tmp_path):
    """The worst that the limits let through: a key of short parts in quotes, with separators."""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc to read the memory of a process")
    path = tmp_path / "small.toml"
    path.write_text('"=".a.' * (LONGEST // 6 - 2) + "a=1")
    code = (  # not getrusage, which begins at the memory of the process that starts this one
        "import sys; from pathlib import Path\n"
        "from neural.configuration import read_configuration\n"
        "read_configuration(Path(sys.argv[1]))\n"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(run.stdout) << 10 < 1 << 30
    assert read_configuration(path)


def test_a_lack_of_memory_takes_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(ClipTask, "make_codec", lambda task, rates: torch.empty(1 << 50))
    path = tmp_path / "clips.toml"
    path.write_text(CLIPS)
    assert main(["train", str(path), "--runs", str(tmp_path / "runs"), "--workers", "1"]) == 1
    assert capsys.readouterr().err.endswith(
        "not enough memory: take a smaller width, batch or number of clips\n"
    )
