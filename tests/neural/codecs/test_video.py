"""The codec of clips: bytes, causality, what each stage trains, and that it learns."""

import copy
import dataclasses
import math
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from neural.codecs.bitstream import encode, read  # noqa: E402
from neural.codecs.quantiser import shared_dither, shared_noise  # noqa: E402
from neural.codecs.video import VideoCodec, VideoShape  # noqa: E402
from neural.experiment import Experiment  # noqa: E402
from neural.tasks.clips import ClipTask  # noqa: E402
from neural.training.critics import adversarial_loss, compared  # noqa: E402
from neural.training.loop import Run, train  # noqa: E402
from neural.training.stage import Stage  # noqa: E402
from rdp.codec.bitstream import CorruptStream  # noqa: E402
from rdp.perception import PLFS  # noqa: E402

TRIAL = Path(__file__).parents[3] / "neural" / "configs" / "digits-trial.toml"
SMALL = {"steps": 4, "batch": 2, "frames": (2,), "lr": 1e-3}


@pytest.fixture(autouse=True)
def _few_clips(monkeypatch):
    monkeypatch.setattr("neural.codecs.video.COUNTED", 64)
    monkeypatch.setattr("neural.codecs.video.CHUNK", 64)


@cache
def task(frames=2):
    return ClipTask(
        data={"kind": "digits", "frames": frames},
        codec={"width": 8, "noise": 2},
        critic={"width": 8},
    )


def clips(n, frames=2, seed=0):
    return task(frames).source("heldout").batch(torch.Generator().manual_seed(seed), n)


@cache
def untrained(rates=(12.0, 8.0)):
    """Codec with all decoders and tables; do not change it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        codec = task(len(rates)).make_codec(rates)
        codec.decoders.prepare(PLFS)
        for plf in PLFS:  # every decoder different from the others, and fond of its noise
            for parameter in codec.decoders[plf].parameters():
                parameter.data += 0.02 * torch.randn(parameter.shape)
    draw = task(len(rates)).batch
    codec.count_tables(lambda n: draw(torch.Generator().manual_seed(1), n))
    return codec.eval().requires_grad_(False)


def same(one, other):
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(
        a == b and (not isinstance(u, torch.Tensor) or torch.equal(u, v))
        for (a, u), (b, v) in pairs
    )


def test_latents_follow_from_rates():
    assert VideoShape((12, 2)).latents == (12, 1)
    assert VideoShape((12, 24)).latents == (12, 12)
    assert VideoShape((12, 24), levels=4).latents == (12, 6)
    assert VideoShape((math.inf, 2, 16)).latents == (0, 1, 8)


@pytest.mark.parametrize("rates", [(), (12, 3), (12, math.inf), (0, 2), (12.5, 2)])
def test_rates_that_no_latents_have(rates):
    with pytest.raises(ValueError, match="rates"):
        VideoShape(rates)
    with pytest.raises(ValueError, match="rates: expected up to 2 frames"):
        task().make_codec((12, 2, 2))


@pytest.mark.parametrize("rates", [(12.0, 8.0), (math.inf, 2.0), (12.0, 2.0, 4.0)])
def test_bytes_come_back_as_the_frames_that_the_encoder_knew(rates):
    codec, x, seed = untrained(rates), clips(6, len(rates)), 11

    def channel(k, y):
        dither = shared_dither(seed, k, y.shape)
        quantiser = codec.quantisers[k]
        return quantiser.value(quantiser.index(y, dither), dither)

    sent = codec.represent(x, channel)
    noise = torch.stack([shared_noise(seed, t, (6, 2)) for t in range(len(rates))], 1)
    message = read(codec, encode(codec, x, seed))
    for plf in ("MMSE", *PLFS):
        made = message.decode(plf)
        assert torch.equal(made, codec.reconstruct(plf, sent, noise))
        assert made.shape == x.shape
        assert 0 <= made.min() <= made.max() <= 1
    if rates[0] == math.inf:
        assert torch.equal(message.decode("JD")[:, 0], x[:, 0])


def test_damaged_bytes_are_noticed():
    stream = encode(untrained(), clips(3), 0)
    for place in range(0, len(stream), 5):
        broken = bytearray(stream)
        broken[place] ^= 4
        with pytest.raises(CorruptStream):
            read(untrained(), bytes(broken))
    with pytest.raises(CorruptStream):
        read(untrained(), stream[:-3])
    with pytest.raises(CorruptStream, match="another encoder"):
        read(untrained((12.0, 2.0)), stream)


@pytest.mark.parametrize("shape", [(1, 2, 32, 32), (1, 3, 64, 64)])
def test_clips_of_another_size_are_refused(shape):
    codec = VideoCodec(VideoShape(rates=(12, 8), width=8))
    with pytest.raises(ValueError, match=r"x: expected clips \(n, 2, 64, 64\), got shape \(1, "):
        codec.represent(torch.zeros(shape), lambda k, y: codec.quantisers[k].noisy(y))


def test_bytes_cost_about_the_rate_of_the_protocol():
    stream = encode(untrained(), clips(400), 0)
    message = read(untrained(), stream)
    np.testing.assert_allclose(message.rates.sum() * 400, 8 * len(stream))
    overhead = 8 * 60 / 400
    assert (message.rates <= np.array([12, 8]) + overhead).all()
    assert (message.rates >= 1).all()


def test_later_frames_do_not_change_what_is_sent_before():
    codec, x, other = untrained((12.0, 2.0, 4.0)), clips(3, 3), clips(3, 3, seed=5)
    other[:, :2] = x[:, :2]
    sent = [codec.represent(c, lambda k, y: y) for c in (x, other)]
    for t in range(2):
        assert torch.equal(sent[0].latents[t], sent[1].latents[t])
    assert not torch.equal(sent[0].latents[2], sent[1].latents[2])


def test_perceptual_decoders_use_the_noise():
    codec = untrained()
    sent = codec.represent(clips(3), lambda k, y: y)
    one, other = torch.zeros(3, 2, 2), torch.ones(3, 2, 2)
    for plf in ("MMSE", *PLFS):
        made = [codec.reconstruct(plf, sent, noise) for noise in (one, other)]
        assert torch.equal(*made) == (plf == "MMSE")


def test_perception_losses_share_the_first_frame():
    codec = VideoCodec(VideoShape((12, 8), width=8))
    codec.decoders.prepare(["FMD"], [0])
    codec.decoders.prepare(PLFS, [1])
    assert codec.decoders["JD"][0] is codec.decoders["SA"][0] is codec.decoders["FMD"][0]
    assert codec.decoders.trained_frames == {plf: [0, 1] for plf in PLFS}
    codec.decoders["FMD"][1].maps.bias.data += 1
    kept = copy.deepcopy(codec)
    codec.decoders.prepare(["FMD"], [1])  # trained before: it stays
    assert same(codec, kept)


@pytest.mark.parametrize("plf", PLFS)
def test_adversarial_gradient_reaches_the_decoder_and_it_alone(plf):
    codec = copy.deepcopy(untrained()).requires_grad_(True)
    x = clips(4)
    sent = codec.represent(x, lambda k, y: y)
    made = codec.reconstruct(plf, sent, torch.ones(4, 2, 2))
    critic = task().make_critic(1 if plf == "FMD" else 2)
    adversarial_loss(critic, compared(plf, 1, x, made)[1]).backward()
    decoder = codec.decoders[plf]
    for name, parameter in decoder[1].named_parameters():
        # a bias before a normalisation of groups of channels may cancel
        assert parameter.grad.abs().max() > 0, name
    untouched = [*decoder[0].parameters(), *codec.decoders["MMSE"].parameters()]
    assert all(p.grad is None or not p.grad.any() for p in untouched)
    assert codec.later[0].residual.latents.weight.grad.abs().max() > 0
    first = codec.first.latents.weight.grad
    assert first is None or not first.any()


def test_a_stage_trains_what_it_names(tmp_path):
    codec = copy.deepcopy(untrained())
    before = copy.deepcopy(codec)
    made = task()
    universal = Stage("universal", plfs=PLFS, encoder="frozen", critic_steps=1, **SMALL)
    train(universal, codec, made.batch, made.make_critic, tmp_path / "u", progress=False)
    assert same(codec.first, before.first)
    assert same(codec.later, before.later)
    assert same(codec.decoders["MMSE"], before.decoders["MMSE"])
    for plf in PLFS:
        assert same(codec.decoders[plf][0], before.decoders[plf][0])
        assert not same(codec.decoders[plf][1], before.decoders[plf][1])
    assert codec.tables[1].pmf.tobytes() == before.tables[1].pmf.tobytes()
    own = Stage("own", plfs=("SA",), critic_steps=1, **SMALL)
    train(own, codec, made.batch, made.make_critic, tmp_path / "e", progress=False)
    assert same(codec.first, before.first)
    assert not same(codec.later, before.later)
    assert same(codec.decoders["MMSE"], before.decoders["MMSE"])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_killed_and_resumed_is_uninterrupted(precision, tmp_path):
    made = task()
    stage = Stage("s", plfs=("JD",), critic_steps=1, precision=precision, **SMALL)

    def go(name, batch=made.batch):
        codec = copy.deepcopy(untrained())
        train(
            stage, codec, batch, made.make_critic, tmp_path / name,
            progress=False, checkpoint_seconds=0,
        )  # fmt: skip
        return codec

    calls = []

    def killing(generator, n):
        calls.append(n)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return made.batch(generator, n)

    whole = go("whole")
    with pytest.raises(KeyboardInterrupt):
        go("cut", killing)
    resumed = go("cut")
    assert same(whole, resumed)
    for one, other in zip(whole.tables, resumed.tables, strict=True):
        assert one.pmf.tobytes() == other.pmf.tobytes()
    shutil.rmtree(tmp_path)


def test_it_learns_in_seconds(tmp_path):
    """First frame at 12 bits, width 8: below the error of the mean picture."""
    made = task()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        codec = made.make_codec((12, 8))
    stage = Stage("first", frames=(1,), steps=70, batch=32, lr=4e-3, average=0.9,
                  precision="bfloat16")  # fmt: skip
    train(stage, codec, made.batch, made.make_critic, tmp_path, progress=False)
    x = clips(200)[:, :1]
    message_noise = torch.zeros(200, 1, 2)
    generator = torch.Generator().manual_seed(0)
    sent = codec.represent(x, lambda k, y: codec.quantisers[k].noisy(y, generator))
    error = (codec.reconstruct("MMSE", sent, message_noise) - x).square().mean()
    mean = made.batch(torch.Generator().manual_seed(3), 500)[:, :1].mean(0)
    assert error < 0.95 * (x - mean).square().mean()


@pytest.mark.slow
def test_it_reconstructs_digits_within_a_minute(tmp_path):
    """Both frames at width 16 in bfloat16: the bytes of held-out clips bring back the digit."""
    experiment = Experiment.load(TRIAL)
    short = {"first": 250, "mmse": 60}
    stages = [
        dataclasses.replace(
            experiment.stage(name), steps=steps, batch=32, average=0.95, start=before
        )
        for (name, steps), before in zip(short.items(), (None, "first"), strict=True)
    ]
    experiment = dataclasses.replace(experiment, cells=((12.0, 16.0),), stages=tuple(stages))
    for number in range(len(stages)):
        experiment.train(tmp_path, number, 0, progress=False)
    codec = experiment.model(tmp_path, stages[-1], 0)
    x = clips(300)
    message = read(codec, encode(codec, x, 0))
    error = (message.decode("MMSE") - x).square().mean((0, 2, 3))
    mean = experiment.task.batch(torch.Generator().manual_seed(3), 500).mean((0, 1))
    assert (error < 0.7 * (x - mean).square().mean((0, 2, 3))).all()
    assert error[1] < 0.9 * (x[:, 1] - x[:, 0]).square().mean()  # if the past were free


def test_channels_last_changes_speed_only():
    """The layout of weights is no part of the result, up to rounding."""
    made = task()
    losses = []
    for layout in (False, True):
        codec = copy.deepcopy(untrained())
        run = Run(
            Stage("s", plfs=("FMD",), critic_steps=1, **SMALL), codec, made.make_critic,
            torch.device("cpu"), layout,
        )  # fmt: skip
        losses.append(run.advance(made.batch)()["distortion"]["FMD"])
    np.testing.assert_allclose(*losses, rtol=1e-3)
