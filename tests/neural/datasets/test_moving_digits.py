import gzip
import struct
import tracemalloc

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from neural.datasets.moving_digits import (  # noqa: E402
    DIGIT,
    FIELD,
    Digits,
    MovingDigits,
    load_digits,
    place,
    read_idx,
)


def idx(shape, content):
    return struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + content


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def squares():
    """Ten pictures, each of a grey level of its own."""
    levels = np.arange(10, 60, 5, dtype=np.uint8)
    return Digits(np.broadcast_to(levels[:, None, None], (10, 28, 28)).copy(), np.arange(10))


def test_idx_files_are_read_raw_and_compressed(tmp_path):
    numbers = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "raw").write_bytes(idx((2, 3, 4), numbers.tobytes()))
    (tmp_path / "small.gz").write_bytes(gzip.compress(idx((2, 3, 4), numbers.tobytes())))
    for name in ("raw", "small.gz"):
        np.testing.assert_array_equal(read_idx(tmp_path / name), numbers)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty", b""),
        ("text", b"hello world, this is no IDX file"),
        ("short", idx((2, 3), b"12345")),
        ("long", idx((2, 3), b"1234567")),
        ("cut.gz", gzip.compress(idx((2, 3), b"123456"), mtime=0)[:-9]),
        ("raw.gz", idx((2, 3), b"123456")),
        ("long.gz", gzip.compress(idx((2, 3), b"1234567"))),
        ("short.gz", gzip.compress(idx((2, 3), b"12345"))),
        ("axes", struct.pack(">HBB", 0, 8, 3) + bytes(5)),
        ("huge", idx((1 << 31, 1 << 31), b"")),
        ("floats", struct.pack(">HBB", 0, 13, 1) + bytes(8)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_broken_idx_files_are_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=name):
        read_idx(tmp_path / name)


def test_a_file_is_decompressed_no_further_than_it_declares(tmp_path):
    """A bomb of 1 GiB costs a part of the file; one that declares its size costs its header."""
    packed = gzip.compress(bytes(1 << 24))
    members = b"".join([gzip.compress(idx((2, 3), b"123456")), *[packed] * 64])
    declared = gzip.compress(idx((1 << 15, 1 << 15), b"")) + packed
    for name, content in (("bomb.gz", members), ("declared.gz", declared)):
        (tmp_path / name).write_bytes(content)
        tracemalloc.start()
        with pytest.raises(ValueError, match=f"{name}: expected"):
            read_idx(tmp_path / name)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 4 << 20


def write_standard(folder, split, images, labels):
    (folder / f"{split}-images-idx3-ubyte").write_bytes(idx(images.shape, images.tobytes()))
    packed = gzip.compress(idx(labels.shape, labels.tobytes()))
    (folder / f"{split}-labels-idx1-ubyte.gz").write_bytes(packed)


def test_standard_files_and_what_is_wrong_with_them(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28)).astype(np.uint8)
    write_standard(tmp_path, "t10k", images, np.array([1, 2, 3], np.uint8))
    np.testing.assert_array_equal(load_digits("heldout", tmp_path).images, images)
    with pytest.raises(FileNotFoundError, match="train-images"):
        load_digits("train", tmp_path)
    write_standard(tmp_path, "t10k", images, np.array([1, 2], np.uint8))
    with pytest.raises(ValueError, match="labels"):
        load_digits("heldout", tmp_path)
    with pytest.raises(ValueError, match="split"):
        load_digits("test")


def test_subset_is_balanced_and_split_by_image():
    train, heldout = load_digits("train"), load_digits("heldout")
    assert np.bincount(train.labels).tolist() == [200] * 10
    assert np.bincount(heldout.labels).tolist() == [50] * 10
    seen = {image.tobytes() for image in train.images}
    assert not any(image.tobytes() in seen for image in heldout.images)


def test_a_seed_gives_the_same_clips_and_another_seed_others(squares):
    source = MovingDigits(squares)
    first, again, other = (source.batch(seeded(s), 8) for s in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (8, 2, 64, 64)
    assert 0 <= first.min() < first.max() <= 1


@pytest.mark.gpu
def test_every_device_gets_the_same_clips():
    digits = load_digits("heldout")
    here = MovingDigits(digits).batch(seeded(0), 64)
    there = MovingDigits(digits, device="cuda").batch(seeded(0), 64)
    assert torch.equal(here, there.cpu())


@pytest.mark.gpu
def test_clips_drawn_on_the_device_have_the_same_distribution(squares):
    n = 40_000
    there = MovingDigits(squares, device="cuda").draw(torch.Generator("cuda").manual_seed(0), n)
    here = MovingDigits(squares).draw(seeded(0), n)
    assert there.frames.device.type == there.labels.device.type == "cuda"
    for one, other in ((here.labels, there.labels.cpu()), (here.corners, there.corners.cpu())):
        assert_same_distribution(one.flatten(), other.flatten())
    steps = [clips.corners.cpu().diff(dim=1).flatten() + 4 for clips in (here, there)]
    assert_same_distribution(*steps)


def assert_same_distribution(one, other):
    """Two samples of integers from 0: chi-squared test of homogeneity, at five deviations."""
    size = int(max(one.max(), other.max())) + 1
    counts = np.array([np.bincount(v.numpy(), minlength=size) for v in (one, other)])
    counts = counts[:, counts.sum(axis=0) > 0]
    expected = counts.sum(axis=0) * counts.sum(axis=1, keepdims=True) / counts.sum()
    chi2 = ((counts - expected) ** 2 / expected).sum()
    freedom = counts.shape[1] - 1
    assert chi2 < freedom + 5 * np.sqrt(2 * freedom)


@pytest.mark.parametrize("motion", ["jumps", "constant"])
def test_drawing_stays_where_the_generator_is(squares, motion, monkeypatch):
    """On a device nothing waits for the CPU: generators decide where numbers are drawn."""
    source = MovingDigits(squares, frames=3, motion=motion, count=2)
    monkeypatch.setattr(torch.Tensor, "cpu", None)
    monkeypatch.setattr(torch.Tensor, "item", None)
    monkeypatch.setattr(torch.Tensor, "numpy", None)
    assert source.batch(seeded(0), 5).shape == (5, 3, 64, 64)


def drawn(digits, seed, n):
    """Labels and corners of n clips, drawn in parts: their frames would fill the memory."""
    generator = seeded(seed)
    parts = [digits.draw(generator, 1000) for _ in range(n // 1000)]
    return torch.cat([part.labels for part in parts]), torch.cat([part.corners for part in parts])


def test_two_generators_draw_the_same_distribution(squares):
    labels, corners = zip(
        *(drawn(MovingDigits(squares), seed, 20_000) for seed in (0, 1)), strict=True
    )
    assert_same_distribution(*labels)
    assert_same_distribution(*(each.flatten() for each in corners))


def test_pictures_are_where_the_corners_say(squares):
    clips = MovingDigits(squares, frames=4).draw(seeded(0), 16)
    levels = torch.arange(10, 60, 5)[clips.labels] / 255
    for i in range(16):
        for t in range(4):
            row, column = clips.corners[i, t]
            field = torch.zeros(FIELD, FIELD)
            field[row : row + DIGIT, column : column + DIGIT] = levels[i]
            torch.testing.assert_close(clips.frames[i, t], field)


def test_what_leaves_the_field_is_cut_off():
    digit = torch.rand(1, DIGIT, DIGIT, generator=seeded(0))
    frame = place(digit, torch.tensor([[[-5, 60]]]))[0, 0]
    torch.testing.assert_close(frame[: DIGIT - 5, 60:], digit[0, 5:, :4])
    assert frame.count_nonzero() == frame[: DIGIT - 5, 60:].count_nonzero()


def test_steps_are_uniform_over_those_that_stay_inside(squares):
    _, corners = drawn(MovingDigits(squares, frames=2), 0, 40_000)
    before, after = corners[:, 0].flatten(), corners[:, 1].flatten()
    assert np.bincount(before.numpy(), minlength=33).shape == (33,)
    for place_before, allowed in ((0, range(5)), (2, range(7)), (16, range(12, 21))):
        counts = np.bincount(after[before == place_before].numpy(), minlength=33)
        total = counts.sum()
        assert counts[list(allowed)].sum() == total
        chi2 = ((counts[list(allowed)] - total / len(allowed)) ** 2).sum() * len(allowed) / total
        assert chi2 < 30  # at most 8 degrees of freedom: p = 0.0002


def test_constant_velocity_turns_round_at_the_border(squares):
    corners = MovingDigits(squares, frames=30, motion="constant").draw(seeded(0), 64).corners
    step = corners.diff(dim=1)
    assert corners.min() >= 0
    assert corners.max() <= FIELD - DIGIT
    speed = step.abs().amax(1)
    inner = (corners[:, :-1] > 4) & (corners[:, :-1] < 28)
    assert torch.equal(
        torch.where(inner, step.abs(), speed[:, None]), speed[:, None].expand_as(step)
    )
    assert (speed <= 4).all()


def test_two_digits_are_both_seen(squares):
    one = MovingDigits(squares, frames=3).draw(seeded(1), 50)
    two = MovingDigits(squares, frames=3, count=2).draw(seeded(1), 50)
    assert torch.equal(one.labels, two.labels)
    assert (two.frames >= one.frames).all()
    assert (two.frames > one.frames).flatten(1).any(1).float().mean() > 0.8


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("frames", {"frames": 0}),
        ("reach", {"reach": 33}),
        ("motion", {"motion": "spin"}),
        ("count", {"count": 3}),
    ],
)
def test_bad_options_are_named(squares, name, options):
    with pytest.raises(ValueError, match=name):
        MovingDigits(squares, **options)
