"""The checkpoint of a sweep: damage costs what was damaged, and never gives a wrong number."""

import errno
import hashlib
import io
import os
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from solvers._checkpoint import Checkpoint

DIGEST = hashlib.sha256(b"this sweep").digest()
CHUNKS = {3: np.arange(2.0), 0: np.array([np.nan]), 7: np.array([0.5])}


@pytest.fixture
def path():
    """A checkpoint of three chunks, in memory where there is such a folder."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        checkpoint = Checkpoint(Path(folder) / "c", DIGEST)
        for index, values in CHUNKS.items():
            checkpoint.add(index, values)
        yield checkpoint.path


def read(path):
    """What a checkpoint holds, and whether it said that something was dropped."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        done = Checkpoint(path, DIGEST).done
    return done, [str(one.message) for one in caught]


def right(done):
    return all(np.array_equal(done[k], CHUNKS[k], equal_nan=True) for k in done)


def test_every_flipped_bit_costs_one_record_at_most_and_is_named(path):
    content = path.read_bytes()
    for bit in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        done, said = read(path)
        assert right(done)
        assert len(done) >= len(CHUNKS) - 1, bit  # no later record is lost with it
        assert len(said) == 1
        assert said[0].startswith(f"{path}: ")
        if bit % 8 == 0:
            again, said = read(path)
            assert (again.keys(), said) == (done.keys(), [])  # repaired


def test_every_cut_keeps_the_records_before_it(path):
    content = path.read_bytes()
    whole = len(Checkpoint(path, DIGEST).header)
    for size in range(whole, len(content)):
        path.write_bytes(content[:size])
        done, said = read(path)
        assert right(done)
        assert list(done) == list(CHUNKS)[: len(done)]
        checkpoint = Checkpoint(path, DIGEST)
        for index in CHUNKS.keys() - done.keys():
            checkpoint.add(index, CHUNKS[index])
        done, said = read(path)
        assert right(done)
        assert (len(done), said) == (3, [])


def test_bytes_in_between_are_dropped(path):
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(100):
        at, size = rng.integers(len(content)), rng.integers(1, 60)
        path.write_bytes(content[:at] + rng.bytes(size) + content[at:])
        done, _ = read(path)
        assert right(done)
        assert len(done) >= 2


def test_records_of_another_sweep_are_not_taken(path):
    other = hashlib.sha256(b"another sweep").digest()
    header = Checkpoint(path.with_name("other"), other).header
    content = path.read_bytes()
    path.write_bytes(header + content[len(header) :])
    with pytest.warns(RuntimeWarning, match=r"3 whole records"):  # its header is the damage
        assert right(Checkpoint(path, DIGEST).done)
    path.write_bytes(header + content[len(header) :])
    with pytest.warns(RuntimeWarning, match=r"0 whole records"):
        assert Checkpoint(path, other).done == {}


def test_the_checkpoint_of_another_sweep_is_refused(path):
    other = hashlib.sha256(b"another sweep").digest()
    content = path.read_bytes()
    with pytest.raises(ValueError, match=r"got .*/c, which belongs to another sweep"):
        Checkpoint(path, other)
    assert path.read_bytes() == content


def test_a_record_counts_when_it_is_on_disk(path, monkeypatch):
    """A disk may take the bytes and refuse them later: then the record is taken back."""
    content, checkpoint = path.read_bytes(), Checkpoint(path, DIGEST)

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left .*start the same sweep again"):
        checkpoint.add(9, np.ones(3))
    assert path.read_bytes() == content
    assert 9 not in checkpoint.done


def test_a_damaged_header_without_records_is_refused(tmp_path):
    checkpoint = Checkpoint(tmp_path / "c", DIGEST)
    content = bytearray(checkpoint.header)
    content[-1] ^= 1
    checkpoint.path.write_bytes(content)
    with pytest.raises(ValueError, match=r"undamaged and of this version, got .*/c; delete it"):
        Checkpoint(checkpoint.path, DIGEST)


def test_a_full_disk_keeps_what_is_there(path, monkeypatch):
    content = path.read_bytes()
    checkpoint = Checkpoint(path, DIGEST)

    class Full(io.FileIO):
        def write(self, data):
            super().write(bytes(data)[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda self, mode: Full(self, mode))
        with pytest.raises(OSError, match=r"No space left .*start the same sweep again: '.*/c'"):
            checkpoint.add(9, np.ones(3))
    assert path.read_bytes() == content
    assert 9 not in checkpoint.done
    checkpoint.add(9, np.ones(3))
    done, said = read(path)
    assert (len(done), said) == (4, [])


def test_a_full_disk_while_repairing_keeps_the_file(path, monkeypatch):
    content = bytearray(path.read_bytes())
    content[80] ^= 1
    path.write_bytes(content)

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        Checkpoint(path, DIGEST)
    assert path.read_bytes() == content
    assert [item.name for item in path.parent.iterdir()] == ["c"]
