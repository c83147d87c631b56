"""Output files: the old one or the new one, whatever happens in between."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rdp._files import locked, replacing
from rdp.operating_point import OperatingPoint, load_points, save_points

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write(path, content, error=None):
    with replacing(path) as file:
        file.write(content)
        if error is not None:
            raise error
        file.flush()


def names(folder):
    return sorted(item.name for item in folder.iterdir())


def test_the_file_is_there_when_the_block_has_ended(tmp_path):
    path = tmp_path / "a.txt"
    with replacing(path, "w", encoding="utf-8") as file:
        file.write("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [FULL, ValueError("no"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("old", [None, b"old"])
def test_an_error_keeps_the_old_file(tmp_path, error, old):
    path = tmp_path / "a.txt"
    if old is not None:
        path.write_bytes(old)
    with pytest.raises(type(error)) as caught:
        write(path, b"ne", error)
    assert names(tmp_path) == ([] if old is None else ["a.txt"])
    assert old is None or path.read_bytes() == old
    if isinstance(error, OSError):
        assert str(caught.value) == f"[Errno 28] No space left on device: '{path}'"


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_full_disk_at_the_end_keeps_the_old_file(tmp_path, monkeypatch, function):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, function, full)
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.txt'"):
        write(path, b"new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


HELD = """
import sys, time
from rdp._files import replacing
with replacing(sys.argv[1], "w") as file:
    file.write("part")
    file.flush()
    print("begun", flush=True)
    time.sleep(60)
"""


def need_unnamed_files(folder):
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_RDWR))
    except (AttributeError, OSError):
        pytest.skip("the system has no files without a name")


def test_a_kill_leaves_no_part(tmp_path):
    need_unnamed_files(tmp_path)
    path = tmp_path / "a.txt"
    command = [sys.executable, "-c", HELD, str(path)]
    cwd = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        assert names(tmp_path) == []
        process.kill()
    assert names(tmp_path) == []


def test_files_with_a_name_where_there_are_no_others(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    with replacing(tmp_path / "a.txt") as file:
        file.write(b"new")
        (part,) = names(tmp_path)
        assert part.startswith(".a.txt.")
        assert part.endswith(".part")
    assert names(tmp_path) == ["a.txt"]
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a.txt", b"part", KeyboardInterrupt())
    assert (tmp_path / "a.txt").read_bytes() == b"new"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("refused", [errno.EPERM, errno.ENOENT, errno.EXDEV])
def test_a_file_that_cannot_be_given_a_name_is_copied(tmp_path, monkeypatch, refused):
    asked = []

    def link(*arguments, **options):
        asked.append(arguments)
        raise OSError(refused, os.strerror(refused))

    monkeypatch.setattr(os, "link", link)
    path, synced, sync = tmp_path / "a.txt", [], os.fsync
    path.write_text("old")
    path.chmod(0o640)
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(handle), sync(handle)))
    write(path, b"new" * 100_000)
    assert path.read_bytes() == b"new" * 100_000
    assert path.stat().st_mode & 0o777 == 0o640
    assert names(tmp_path) == ["a.txt"]
    assert len(synced) == 2 + len(asked)  # the file, its copy if it had no name, and the folder


def test_a_full_disk_while_a_file_is_copied_keeps_the_old_file(tmp_path, monkeypatch):
    need_unnamed_files(tmp_path)
    path = tmp_path / "a.txt"
    path.write_text("old")

    def link(*arguments, **options):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    def copyfile(source, target):
        Path(target).write_bytes(b"n")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), target)

    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr(shutil, "copyfile", copyfile)
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.txt'"):
        write(path, b"new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_missing_folder_is_named_with_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing/a\.txt'$"):
        write(tmp_path / "missing" / "a.txt", b"new")


def test_trouble_with_another_file_names_that_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="other"):
        write(tmp_path / "a.txt", b"new", FileNotFoundError(errno.ENOENT, "none", "other"))
    assert names(tmp_path) == []


def test_permissions_and_links_stay(tmp_path):
    path, link = tmp_path / "a.txt", tmp_path / "link"
    with replacing(path) as file:
        file.write(b"1")
    (tmp_path / "other").write_text("")
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode
    path.chmod(0o640)
    link.symlink_to("a.txt")
    with replacing(link) as file:
        file.write(b"2")
    assert link.is_symlink()
    assert path.read_text() == "2"
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no disk that is always full")
def test_what_is_no_regular_file_is_written_directly():
    write(os.devnull, b"gone")
    with pytest.raises(OSError, match=r"No space left on device: '/dev/full'"):
        write("/dev/full", b"gone")
    assert os.path.exists("/dev/full")


LOCKING = """
import sys, time
from rdp._files import locked
with locked(sys.argv[1]):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_a_lock_is_held_by_one_and_released_by_a_kill(tmp_path):
    path = tmp_path / "lock"
    with locked(path), pytest.raises(ValueError, match="lock: expected a folder that no other"):
        locked(path).__enter__()
    process = subprocess.Popen(
        [sys.executable, "-c", LOCKING, str(path)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"locked\n"
    with pytest.raises(ValueError, match="wait until it has ended"):
        locked(path).__enter__()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with locked(path):
        pass


def test_the_lock_of_windows(tmp_path, monkeypatch):
    """The branch for Windows, with a stand-in for its module: the first byte, without waiting."""
    held = set()

    def locking(handle, mode, count):
        assert (mode, count) == ("at once", 1)
        assert os.lseek(handle, 0, os.SEEK_CUR) == 0
        if len(held) == 1:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        held.add(handle)

    stand_in = SimpleNamespace(locking=locking, LK_NBLCK="at once")
    monkeypatch.setitem(sys.modules, "msvcrt", stand_in)
    monkeypatch.setattr(sys, "platform", "win32")
    path = tmp_path / "lock"
    path.write_bytes(b"some bytes")
    with locked(path), pytest.raises(ValueError, match="lock: expected a folder that no other"):
        locked(path).__enter__()


SAVING = """
import sys
import numpy as np
from rdp.operating_point import OperatingPoint, save_points
for label in range(1, 1000000):
    save_points(sys.argv[1], [OperatingPoint(str(label), "FMD", np.ones(2000), np.ones(2000))])
"""


def test_points_are_whole_after_any_kill(tmp_path):
    path = tmp_path / "points.json"
    save_points(path, [OperatingPoint("0", "FMD", np.ones(2), np.ones(2))])
    for wait in (0.0, 0.013, 0.04):
        before = load_points(path)[0].label
        process = subprocess.Popen(
            [sys.executable, "-c", SAVING, str(path)], cwd=Path(__file__).parents[2]
        )
        while load_points(path)[0].label == before:
            time.sleep(0.005)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert load_points(path)[0].frames == 2000
        save_points(path, [OperatingPoint("0", "FMD", np.ones(2), np.ones(2))])


def test_points_on_a_full_disk_keep_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "points.json"
    save_points(path, [OperatingPoint("old", "FMD", [1.0], [1.0])])

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*points\.json'"):
        save_points(path, [OperatingPoint("new", "FMD", [1.0], [1.0])])
    assert load_points(path)[0].label == "old"
    assert names(tmp_path) == ["points.json"]
