"""A command says that it is at work whenever it is silent."""

import io
import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import pytest

from rdp._busy import never_silent, rest

ERASED = "\r" + len("rdp: at work for 0 s") * " " + "\r"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@contextmanager
def terminal():
    """One terminal for both streams; not a fixture, as pytest changes the streams after those."""
    made = Terminal()
    with redirect_stderr(made), redirect_stdout(made):
        yield made


def test_a_silent_command_says_that_it_works_and_erases_it():
    with terminal() as screen, never_silent("rdp", silence=0.05):
        time.sleep(0.3)
        print("done")
    assert screen.getvalue().startswith("\rrdp: at work for 0 s")
    assert screen.getvalue().endswith(f"{ERASED}done\n")


def interrupted():
    """Be silent, then be interrupted."""
    with never_silent("rdp", silence=0.05):
        time.sleep(0.3)
        raise KeyboardInterrupt


def test_the_silence_before_counts():
    with terminal() as screen, never_silent("rdp", silence=30, before=29.9):
        time.sleep(1.5)
    assert "rdp: at work for 30 s" in screen.getvalue()


def test_the_line_is_erased_where_the_command_ends_without_a_word():
    with terminal() as screen:
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        told = screen.getvalue()
        print("after")
    assert "at work" in told
    assert told.endswith(ERASED)
    assert screen.getvalue() == told + "after\n"  # the stream is as it was


def test_a_command_that_writes_is_left_alone():
    with terminal() as screen, never_silent("rdp", silence=0.8):
        for number in range(12):
            print(number)
            time.sleep(0.1)
    assert "at work" not in screen.getvalue()


def test_a_progress_bar_is_not_written_over():
    with terminal() as screen, never_silent("rdp", silence=0.05):
        sys.stderr.write("\r 10%|#    |")
        time.sleep(0.3)
    assert "at work" not in screen.getvalue()


def test_nothing_is_said_while_the_user_is_awaited():
    with terminal() as screen, never_silent("rdp", silence=0.05):
        rest()
        time.sleep(0.3)
    assert screen.getvalue() == ""


def test_nothing_is_said_in_a_stream_that_is_not_that_of_the_process():
    with redirect_stderr(io.StringIO()) as file, never_silent("rdp", silence=0.05):
        time.sleep(0.3)
    assert file.getvalue() == ""


def heard_in_a_pipe(work):
    """Output on stderr of a process that does `work` under the notice."""
    code = (
        "import sys, time\nfrom rdp._busy import never_silent, rest\n"
        f"with never_silent('rdp', silence=0.2):\n    {work}\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == ""
    return ran.stderr


def test_a_pipe_gets_a_line_each_time_that_the_silence_has_doubled():
    lines = heard_in_a_pipe("time.sleep(2)").splitlines()
    assert 2 <= len(lines) <= 4  # after .2, .6, 1.4 s
    assert all(re.fullmatch(r"rdp: at work for \d s", line) for line in lines)


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        ("time.sleep(0.01)", ""),
        ("[print('.', file=sys.stderr) or time.sleep(0.02) for _ in range(20)]", 20 * ".\n"),
        ("rest(); time.sleep(0.6)", ""),
    ],
)
def test_a_pipe_gets_no_line_where_there_is_no_silence(work, expected):
    assert heard_in_a_pipe(work) == expected


@pytest.mark.parametrize("program", ["solvers.cli", "neural"])
def test_the_programs_are_never_silent(program):
    """In a terminal, with a command that only sleeps."""
    code = (
        "import sys, time, rdp._busy as busy\n"
        "busy.never_silent.__wrapped__.__defaults__ = (0.1, 0.0)\n"
        f"sys.argv = ['it', *{['validate', 'x.json']!r}]\n"
        "import rdp.operating_point as points\n"
        "points.load_points = lambda path: time.sleep(0.6) or []\n"
        f"from {'solvers.cli' if program == 'solvers.cli' else 'neural.__main__'} import main\n"
        "main()\n"
    )
    ours, theirs = pytest.importorskip("pty").openpty()
    done = subprocess.Popen([sys.executable, "-c", code], stderr=theirs, stdout=theirs)
    os.close(theirs)
    heard = b""
    try:
        while chunk := os.read(ours, 4096):
            heard += chunk
    except OSError:  # the other side is closed
        pass
    os.close(ours)
    done.wait(60)
    name = {"solvers.cli": rb"rdp", "neural": rb"python -m neural validate"}[program]
    assert re.search(name + rb": at work for \d+ s", heard), heard
