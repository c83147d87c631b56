"""Measurement of clips, by the commands."""

import json
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from torch.overrides import TorchFunctionMode  # noqa: E402

from neural.evaluation.record import own_loss, record_of  # noqa: E402
from neural.evaluation.validation import validate_codecs  # noqa: E402
from neural.experiment import Experiment  # noqa: E402
from rdp.operating_point import load_points  # noqa: E402


def test_points_say_how_they_were_measured(trained):
    points = load_points(trained[3])
    assert [(p.plf, record_of(p).encoder) for p in points] == [
        ("MMSE", "shared"), ("FMD", "shared"), ("JD", "shared"), ("SA", "shared"), ("JD", "own"),
    ]  # fmt: skip
    for point in points:
        assert point.rate.tolist() == [12, 2]
        assert point.kind == "reduced"
        assert point.intervals["distortion"].shape == (2, 2)
        record = record_of(point)
        shared = record.encoder == "shared"
        assert len(record.gaussian_reference) == 2
        assert (record.bounds.excess is not None) == shared
        assert (record.bounds.joint_support is not None) == (point.plf == "JD")
        assert record.shift_defect.value[0] == 0 < record.shift_defect.half[1]
        assert (record.mixtures is not None) == (shared and point.plf != "MMSE")
        assert (record.universal_gap is not None) == (record.encoder == "own")
        assert record.training.frames == (2,)
        assert record.training.device.startswith("CPU")
        assert record.losses[own_loss(point)].value == tuple(point.perception)
        assert json.loads(trained[3].read_text())["version"] == 1
    bounds = {check.bound for check in validate_codecs(points)}
    assert bounds == {"split", "factor two", "shared encoder", "joint support", "joint realism"}


class Leaving(TorchFunctionMode):
    """Notes the size of each tensor that would leave the device."""

    sizes = ()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        moved = func is torch.Tensor.to and torch.device("cpu") in map(_device, args[1:])
        if moved or func in (torch.Tensor.cpu, torch.Tensor.numpy, torch.Tensor.tolist):
            self.sizes += (args[0].numel(),)
        return out


def _device(given):
    return torch.device(given) if isinstance(given, str) else given


def test_clips_stay_on_the_device(trained):
    """Numbers of a clip, latents, features and eight pictures leave it, but no set of clips."""
    experiment = Experiment.load(trained[1])
    experiment = replace(
        experiment,
        evaluation=replace(experiment.evaluation, clips=100, critic_clips=100, reference_clips=0),
    )
    for split in ("train", "heldout"):
        experiment.task.source(split)  # the digits go to the device once
    with Leaving() as leaving:
        experiment.evaluate(trained[2], 0)
    eight = 8 * 2 * 64**2
    assert sorted(set(leaving.sizes))[-1] == eight
    assert 100 in leaving.sizes
