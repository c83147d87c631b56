"""Decoders begin as the MMSE decoder, frame by frame, and once."""

import copy

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from neural.codecs.decoders import Decoders  # noqa: E402


def decoders(shares_first):
    torch.manual_seed(0)
    return Decoders((nn.Linear(2, 2) for _ in range(3)), shares_first)


def same(one, other):
    return torch.equal(one.weight, other.weight)


@pytest.mark.parametrize("shares_first", [False, True])
def test_a_frame_begins_as_the_mmse_decoder_when_training_reaches_it(shares_first):
    bank = decoders(shares_first)
    bank.prepare(["MMSE", "JD"], [1])
    bank.of("JD")[1].weight.data += 1  # training
    for network in bank.of("MMSE"):
        network.weight.data += 2
    bank.prepare(["JD"])
    assert same(bank.of("JD")[0], bank.of("MMSE")[0])
    assert not same(bank.of("JD")[1], bank.of("MMSE")[1])
    assert same(bank.of("JD")[2], bank.of("MMSE")[2])
    assert bank.trained_frames == {"JD": [0, 1, 2]}


def test_perception_losses_share_the_first_network_if_asked_to():
    for shares_first in (False, True):
        bank = decoders(shares_first)
        bank.prepare(["FMD"], [0])
        bank.prepare(["JD"], [1])
        assert (bank.of("FMD")[0] is bank.of("JD")[0]) == shares_first
        assert bank.trained_frames["JD"] == ([0, 1] if shares_first else [1])


def test_what_was_trained_is_part_of_the_state():
    bank = decoders(True)
    bank.prepare(["SA"], [0, 2])
    other = decoders(True)
    other.add("SA")
    other.load_state_dict(copy.deepcopy(bank.state_dict()))
    assert other.trained_frames == {"SA": [0, 2]}
