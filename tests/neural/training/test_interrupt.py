"""Ctrl-C: the step under way ends, its checkpoint is there, and the same command goes on."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from neural import __main__ as command  # noqa: E402
from neural.training.checkpoint import load  # noqa: E402
from neural.training.interrupt import asked, between_steps, held_back  # noqa: E402
from tests.neural.small import task  # noqa: E402
from tests.neural.test_experiment import TINY  # noqa: E402
from tests.neural.training.test_loop import STAGES, go, same  # noqa: E402

CROPS = str(Path(command.__file__).with_name("configs") / "crops-reduced.toml")


def interrupting(at):
    """Draw batches, and press Ctrl-C while one of them is drawn."""
    made, calls = task(), []

    def batch(generator, n):
        calls.append(n)
        if len(calls) == at:
            signal.raise_signal(signal.SIGINT)
        return made.batch(generator, n)

    return batch


@pytest.fixture
def ctrl_c_is_heard():
    """Shells let processes in the background ignore Ctrl-C, the tests among them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_step_ends_and_training_goes_on_from_it(tmp_path):
    stage, before = STAGES["joint"], signal.getsignal(signal.SIGINT)
    whole = go(stage, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        go(stage, tmp_path / "cut", batch=interrupting(5))
    assert load(tmp_path / "cut" / "checkpoint.pt")["step"] == 5
    assert signal.getsignal(signal.SIGINT) is before
    assert not asked()
    assert same(go(stage, tmp_path / "cut"), whole)


def test_ctrl_c_in_the_last_step_is_not_lost(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        go(STAGES["joint"], tmp_path, batch=interrupting(STAGES["joint"].steps))
    assert load(tmp_path / "checkpoint.pt")["step"] == STAGES["joint"].steps


def test_other_threads_get_no_signals():
    def run():
        with between_steps():
            seen.append(signal.getsignal(signal.SIGINT))

    seen = []
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]


@pytest.mark.usefixtures("ctrl_c_is_heard")
@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="no masks")
def test_ctrl_c_waits_while_workers_are_started():
    done = []
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        with held_back():
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
            done.append(True)
        done.append(False)
    assert done == [True]


@pytest.mark.parametrize(("name", "more"), [("train", ""), ("overlay", " --resume")])
def test_the_command_says_how_to_go_on(monkeypatch, capsys, name, more):
    def interrupted(given):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_run", interrupted)
    arguments = [name, *(["my file.toml"] if name == "train" else []), "--runs", "r"]
    assert command.main(arguments) == 130
    place = "'my file.toml' " if name == "train" else ""
    expected = f"stopped; go on with: python -m neural {name} {place}--runs r{more}"
    assert capsys.readouterr().err.strip() == expected


def test_the_command_that_goes_on_has_the_variables_of_its_file(monkeypatch, capsys):
    def interrupted(given):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_run", interrupted)
    monkeypatch.setenv("VIDEO_FOLDER", "my videos")
    assert command.main(["train", CROPS]) == 130
    expected = f"stopped; go on with: VIDEO_FOLDER='my videos' python -m neural train {CROPS}"
    assert capsys.readouterr().err.strip() == expected


def test_data_are_read_before_the_bar_begins(monkeypatch, capsys, tmp_path):
    monkeypatch.delenv("VIDEO_FOLDER", raising=False)
    assert command.main(["train", CROPS, "--runs", str(tmp_path)]) == 2
    reason = "folder: expected the environment variable of $VIDEO_FOLDER to be set"
    assert capsys.readouterr().err.strip() == reason


WORKER = """
import sys
from pathlib import Path
from neural.training.interrupt import prepare_worker
from neural.experiment import train_stage
prepare_worker()
options = {"progress": False}
from neural.training import loop
save = loop.Run.advance
def advance(run, batch):
    if run.step == 3:
        print("ready", flush=True)
        sys.stdin.readline()
    return save(run, batch)
loop.Run.advance = advance
for cell in (0, 0):
    try:
        train_stage(Path(sys.argv[1]), Path(sys.argv[2]), options, None, 0, cell)
    except KeyboardInterrupt:
        print("stopped", flush=True)
"""


def test_a_worker_begins_nothing_after_ctrl_c(tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY)
    run = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(tmp_path / "tiny.toml"), str(tmp_path / "runs")],
        cwd=Path(__file__).parents[3],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert run.stdout.readline() == "ready\n"
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate("go on\n", timeout=60)
    assert output.split() == ["stopped", "stopped"]
    assert load(next((tmp_path / "runs").rglob("checkpoint.pt")))["step"] == 4
