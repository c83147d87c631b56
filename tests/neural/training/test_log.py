"""The log of a stage: lines after the checkpoint go, and damaged lines end nothing."""

import json
import os

import pytest

pytest.importorskip("torch")  # which neural needs

from neural.training.log import LOG, Log, last_step, read_log, trained_seconds


def write(folder, steps):
    lines = (json.dumps({"step": step, "seconds": 2.0 * step}) + "\n" for step in steps)
    (folder / LOG).write_text("".join(lines))


def test_a_log_goes_on_after_the_checkpoint(tmp_path):
    write(tmp_path, range(1, 6))
    Log(tmp_path, 3).write({"step": 4, "seconds": 1.0})
    with (tmp_path / LOG).open("a") as log:
        log.write('{"step": 5, "sec')  # on its way
    found = read_log(tmp_path)
    assert [line["step"] for line in found] == [1, 2, 3, 4]
    assert trained_seconds(found) == 7.0  # 6 s, interrupted, 1 s


def test_no_log_is_no_lines(tmp_path):
    assert read_log(tmp_path) == []
    assert trained_seconds([]) == 0.0
    Log(tmp_path, 0)
    assert (tmp_path / LOG).read_text() == ""


@pytest.mark.parametrize(
    "torn",
    [
        '{"step": 9, "sec',  # at the end
        '{"step": 9, "sec{"step": 10, "seconds": 4}\n',  # a full disk, and training that went on
        "\n",
        "\0\0\0\0\n",
        "[1, 2]\n",
        '{"seconds": 1}\n',
        '{"step": "3"}\n',
        '{"step": 3, "seconds": "x"}\n',
        '{"step": 3, "seconds": NaN}\n',
        "[" * 100_000 + "\n",
        "\udcff\n",
    ],
    ids=lambda text: ascii(text)[:20],
)
def test_a_torn_line_is_left_out_and_named(tmp_path, torn):
    write(tmp_path, range(1, 4))
    with (tmp_path / LOG).open("a", errors="surrogateescape") as log:
        log.write(torn)
    with pytest.warns(RuntimeWarning, match=r"log\.jsonl: left out 1 damaged of 4 lines"):
        Log(tmp_path, 9)
    assert [line["step"] for line in read_log(tmp_path)] == [1, 2, 3]  # without a warning now


def test_a_finished_stage_without_log_is_named(tmp_path):
    for content in (None, b"", b"\n"):
        if content is not None:
            (tmp_path / LOG).write_bytes(content)
        if content != b"\n":
            with pytest.raises(ValueError, match=r"log\.jsonl: expected the log of a finished"):
                last_step(tmp_path)
    write(tmp_path, [1, 7])
    assert last_step(tmp_path) == 7


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no disk that is always full")
def test_a_full_disk_is_one_line_that_names_the_log(tmp_path):
    log = Log(tmp_path, 0)
    log.path.unlink()
    log.path.symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"No space left .* make room, .*log\.jsonl"):
        log.write({"step": 1, "seconds": 1.0})
