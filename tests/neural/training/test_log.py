"""The log of a stage: lines after the checkpoint go, and a line being written does not count."""

import json

import pytest

pytest.importorskip("torch")  # which neural needs

from neural.training.log import LOG, open_log, read_log, trained_seconds


def write(folder, steps):
    lines = (json.dumps({"step": step, "seconds": 2.0 * step}) + "\n" for step in steps)
    (folder / LOG).write_text("".join(lines))


def test_a_log_goes_on_after_the_checkpoint(tmp_path):
    write(tmp_path, range(1, 6))
    with open_log(tmp_path, 3) as log:
        log.write(json.dumps({"step": 4, "seconds": 1.0}) + "\n")
        log.write('{"step": 5, "sec')
    found = read_log(tmp_path)
    assert [line["step"] for line in found] == [1, 2, 3, 4]
    assert trained_seconds(found) == 7.0  # 6 s, interrupted, 1 s


def test_no_log_is_no_lines(tmp_path):
    assert read_log(tmp_path) == []
    assert trained_seconds([]) == 0.0
    open_log(tmp_path, 0).close()
    assert (tmp_path / LOG).read_text() == ""
