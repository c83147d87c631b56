"""The step of a checkpoint, read without torch."""

import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict

import pytest

torch = pytest.importorskip("torch")

from neural.training.checkpoint import load, save  # noqa: E402
from neural.training.seal import check_size, sealed, step_of, unsealed  # noqa: E402


class Harmful:
    """What runs code when it is unpickled."""

    def __reduce__(self):
        return exec, ("raise SystemExit(3)",)


@pytest.fixture
def checkpoint(tmp_path):
    """A file of what training keeps: parameters, the state of an optimiser and of generators."""
    net = torch.nn.Linear(3, 2)
    optimiser = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    state = {
        "stage": {"name": "own", "rates": [1.0, float("inf")], "start": None},
        "step": 41,
        "average": OrderedDict(net.state_dict()),
        "optimiser": optimiser.state_dict(),
        "generator": torch.Generator().get_state(),
        "half": [torch.ones(2, dtype=torch.float16), torch.nn.Parameter(torch.ones(1))],
    }
    path = tmp_path / "checkpoint.pt"
    save(path, state)
    return path


def test_the_step_is_that_which_torch_reads(checkpoint):
    assert step_of(checkpoint) == load(checkpoint)["step"] == 41


@pytest.mark.parametrize("state", [{}, {"step": "5"}, {"step": True}, [5]])
def test_a_file_without_a_step_is_refused(tmp_path, state):
    save(tmp_path / "checkpoint.pt", state)
    with pytest.raises(ValueError, match="no checkpoint"):
        step_of(tmp_path / "checkpoint.pt")


@pytest.mark.parametrize("cut", [0, 1, 100])
def test_a_damaged_file_is_refused(checkpoint, cut):
    content = checkpoint.read_bytes()
    changed = bytearray(content)
    changed[len(changed) // 2] ^= 1
    for damaged in (content[:-cut] if cut else b"", bytes(changed)):
        checkpoint.write_bytes(damaged)
        with pytest.raises(ValueError, match="damaged"):
            step_of(checkpoint)


def test_code_in_a_file_is_not_run(tmp_path):
    path = tmp_path / "checkpoint.pt"
    for content in (Harmful(), {"step": 5, "more": Harmful()}):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(content))
        path.write_bytes(sealed(path.read_bytes()))
        with pytest.raises(ValueError, match="no checkpoint"):
            step_of(path)


def test_an_archive_that_unpacks_to_more_is_refused(tmp_path):
    path = tmp_path / "checkpoint.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(1 << 20))
    with pytest.raises(ValueError, match="more than its size"):
        check_size(path.read_bytes())
    path.write_bytes(sealed(path.read_bytes()))
    with pytest.raises(ValueError, match="no checkpoint"):
        step_of(path)


def test_the_seal_comes_off():
    assert unsealed(sealed(b"abc")) == b"abc"
    assert unsealed(b"abc") is None
    assert unsealed(b"") is None


def test_status_needs_no_torch(checkpoint, tmp_path):
    config = tmp_path / "mine.toml"
    config.write_text(
        'task = "blocks"\nseed = 1\nrates = [[1, 2]]\n[options]\n'
        '[[stage]]\nname = "own"\nplfs = ["MMSE"]\nsteps = 50\nencoder = "train"\n'
    )
    folder = tmp_path / "runs" / "mine" / "1-2" / "own"
    folder.mkdir(parents=True)
    checkpoint.rename(folder / "checkpoint.pt")
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from neural.__main__ import main\n"
        "sys.exit(main(['status', sys.argv[1], '--runs', sys.argv[2]]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, config, tmp_path / "runs"], capture_output=True, text=True
    )
    assert ran.returncode == 1, ran.stderr
    assert " ".join(ran.stdout.split()) == (
        "1-2 own under way 41 of 50 steps, 0.0 min 0 of 1 stages done, 0.0 min"
    )
