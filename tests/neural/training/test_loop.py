"""The loop: it resumes exactly, keeps frozen what is frozen, and reaches the rates asked for."""

import copy
import errno
import io
import json
import os
import shutil

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from neural.codecs.block import BlockCodec, BlockShape  # noqa: E402
from neural.training.checkpoint import load, save  # noqa: E402
from neural.training.loop import Run, train  # noqa: E402
from neural.training.seal import sealed  # noqa: E402
from neural.training.stage import Stage  # noqa: E402
from tests.neural.small import RATES, task, trained  # noqa: E402

SMALL = {"steps": 12, "batch": 16}
STAGES = {
    "mmse": Stage("mmse", rates=RATES, **SMALL),
    "universal": Stage("universal", plfs=("FMD", "JD", "SA"), encoder="frozen", **SMALL),
    "joint": Stage(
        "joint", plfs=("JD",), encoder="frozen", critic_betas=(0.0, 0.9), critic_warmup=4,
        mismatched=1.0, realism=0.1, realism_end=0.01, **SMALL,
    ),
    "end to end": Stage("end to end", plfs=("JD",), rates=RATES, **SMALL),
}


class Killed(Exception):
    pass


def start(stage):
    codec = copy.deepcopy(trained())
    codec.decoders.prepare(stage.plfs)
    return codec


def go(stage, folder, codec=None, batch=None, **options):
    made = task()
    return train(
        stage, codec or start(stage), batch or made.batch, made.make_critic, folder,
        progress=False, log_every=1, **options,
    )  # fmt: skip


def same(one, other):
    first, second = one.state_dict(), other.state_dict()
    assert first.keys() == second.keys()
    return all(
        torch.equal(a, b) for a, b in zip(first.values(), second.values(), strict=True)
        if isinstance(a, torch.Tensor)
    )  # fmt: skip


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_killed_and_resumed_is_uninterrupted(stage, tmp_path):
    whole = go(stage, tmp_path / "whole")
    made, calls, cut = task(), [], tmp_path / "cut"

    def batch(generator, n):
        calls.append(n)
        if len(calls) == 6:
            shutil.copy(cut / "checkpoint.pt", tmp_path / "older.pt")
        if len(calls) == 9:
            raise Killed
        return made.batch(generator, n)

    with pytest.raises(Killed):
        go(stage, cut, batch=batch, checkpoint_seconds=0)
    # the last checkpoint before the kill is some steps old
    shutil.copy(tmp_path / "older.pt", cut / "checkpoint.pt")
    resumed = go(stage, cut)
    assert same(whole, resumed)
    assert resumed.entropy[0].table.pmf.tobytes() == whole.entropy[0].table.pmf.tobytes()
    logs = [
        [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("whole", "cut")
    ]
    for log in logs:
        assert [line["step"] for line in log] == list(range(1, 13))
        for line in log:
            del line["seconds"]
    assert logs[0] == logs[1]


def test_in_the_warm_up_only_critics_move():
    made, codec = task(), start(STAGES["joint"])
    run = Run(STAGES["joint"], codec, made.make_critic, torch.device("cpu"))
    for step in range(6):
        before, critics = copy.deepcopy(codec), copy.deepcopy(run.one.critics)
        run.advance(made.batch)
        assert same(codec, before) == (step < 4)
        assert not same(run.one.critics, critics)


def test_the_weights_of_a_stage_are_used(tmp_path):
    """Each option changes where the same steps end; a weight that stays is no change."""
    ends = [
        go(Stage("s", plfs=("JD",), encoder="frozen", **fields, **SMALL), tmp_path / str(number))
        for number, fields in enumerate(
            (
                {}, {"critic_betas": (0.0, 0.9)}, {"mismatched": 1.0}, {"realism_end": 0.1},
                {"realism_end": 2.0}, {"window": 1}, {"window": len(RATES)},
            )
        )
    ]  # fmt: skip
    assert [same(end, ends[0]) for end in ends] == [True, False, False, False, True, False, True]


def test_a_checkpoint_without_the_newer_fields_of_a_stage_is_taken(tmp_path):
    stage = STAGES["mmse"]
    whole = go(stage, tmp_path)
    path = tmp_path / "checkpoint.pt"
    state = load(path)
    for name in ("critic_betas", "critic_warmup", "mismatched", "window", "realism_end"):
        del state["stage"][name]
    save(path, state)
    assert same(go(stage, tmp_path), whole)


def test_another_seed_is_another_run(tmp_path):
    one = go(STAGES["mmse"], tmp_path / "a")
    other = go(Stage("mmse", rates=RATES, seed=1, **SMALL), tmp_path / "b")
    assert not same(one, other)


class Normed(BlockCodec):
    """Encoder with batch normalisation, whose statistics move when it is in training mode."""

    def __init__(self):
        super().__init__(BlockShape(frames=2, block=2, latents=2, hidden=8))
        self.decoders.add("FMD")
        for network in self.encoder:
            network.skip = nn.Sequential(network.skip, nn.BatchNorm1d(2))


@pytest.mark.parametrize("encoder", ["frozen", "train"])
def test_a_frozen_encoder_is_the_same_to_the_last_bit(encoder, tmp_path):
    codec = Normed()
    codec.tabulate()
    before = copy.deepcopy(codec)
    stage = Stage("s", plfs=("FMD",), encoder=encoder, rates=RATES, **SMALL)
    go(stage, tmp_path, codec.train())
    for name in ("encoder", "entropy"):
        assert same(getattr(codec, name), getattr(before, name)) == (encoder == "frozen")
    assert same(codec.decoders["MMSE"], before.decoders["MMSE"])
    assert not same(codec.decoders["FMD"], before.decoders["FMD"])
    buffers = codec.encoder[0].skip[1].running_mean, before.encoder[0].skip[1].running_mean
    assert torch.equal(*buffers) == (encoder == "frozen")


@pytest.mark.parametrize("plf", ["FMD", "JD", "SA"])
def test_the_adversarial_part_moves_the_decoder(plf, tmp_path):
    """With and without the weight of realism, the same steps end elsewhere, at every frame."""
    ends = [
        go(Stage("s", plfs=(plf,), encoder="frozen", realism=weight, **SMALL), tmp_path / name)
        for name, weight in (("with", 2.0), ("without", 0.0))
    ]
    for t in range(2):
        assert not same(ends[0].decoders[plf][t], ends[1].decoders[plf][t])


def test_the_rates_asked_for_are_reached():
    x = task().batch(torch.Generator().manual_seed(0), 20_000)
    codec, rng = trained(), torch.Generator().manual_seed(1)
    with torch.no_grad():
        latents = codec.represent(x, lambda t, y: codec.quantisers[t].noisy(y, rng))
        rates = codec.bits(latents).mean(0).tolist()
    assert rates == pytest.approx(RATES, abs=0.08)


def test_a_checkpoint_of_another_stage_is_refused(tmp_path):
    go(STAGES["mmse"], tmp_path)
    with pytest.raises(ValueError, match="made with another lr"):
        go(Stage("mmse", rates=RATES, lr=0.1, **SMALL), tmp_path)


class Harmful:
    def __reduce__(self):
        return exec, ("raise SystemExit('code from a checkpoint ran')",)


def test_a_checkpoint_cannot_run_code(tmp_path):
    buffer = io.BytesIO()
    torch.save({"stage": Harmful()}, buffer)
    (tmp_path / "checkpoint.pt").write_bytes(sealed(buffer.getvalue()))
    with pytest.raises(ValueError, match=r"checkpoint\.pt: .* more than tensors"):
        go(STAGES["mmse"], tmp_path)


def test_a_damaged_checkpoint_is_one_line_that_says_what_to_do(tmp_path):
    go(STAGES["mmse"], tmp_path)
    path = tmp_path / "checkpoint.pt"
    whole, state = path.read_bytes(), load(path)
    contents = [b"", whole[:100], whole[:-1], whole[:500] + b"!" + whole[501:]]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=ADVICE) as caught:
            go(STAGES["mmse"], tmp_path)
        assert "\n" not in str(caught.value)
    steps = [{"step": step} for step in ([3], -1, True, 2.0, 10**12)]
    for change in ({"step": None}, {"codec": {}}, {"average": []}, {"optimiser": 3}, *steps):
        save(path, state | change)
        if change == {"step": None}:
            save(path, {k: v for k, v in state.items() if k != "step"})
        with pytest.raises(ValueError, match=ADVICE) as caught:
            go(STAGES["mmse"], tmp_path)
        assert "\n" not in str(caught.value)


ADVICE = r"checkpoint\.pt: .*; delete checkpoint\.pt to train the stage from its beginning$"


def test_a_torn_log_does_not_end_a_training(tmp_path):
    whole = go(STAGES["mmse"], tmp_path / "whole")
    cut = tmp_path / "cut"
    with pytest.raises(Killed):
        go(STAGES["mmse"], cut, batch=killing(8), checkpoint_seconds=0)
    (cut / ".checkpoint.pt.x7.part").write_text("half of a checkpoint")
    with (cut / "log.jsonl").open("a") as log:
        log.write('{"step": 7, "sec{"step"')
    with pytest.warns(RuntimeWarning, match=r"log\.jsonl: left out 1 damaged"):
        assert same(go(STAGES["mmse"], cut), whole)
    steps = [json.loads(line)["step"] for line in (cut / "log.jsonl").read_text().splitlines()]
    assert steps == [*range(1, 13)]
    assert sorted(item.name for item in cut.iterdir()) == ["checkpoint.pt", "lock", "log.jsonl"]


def killing(count):
    made, calls = task(), []

    def batch(generator, n):
        calls.append(n)
        if len(calls) == count:
            raise Killed
        return made.batch(generator, n)

    return batch


@pytest.mark.parametrize("after", range(0, 12, 3))
def test_a_full_disk_keeps_the_last_checkpoint(tmp_path, monkeypatch, after):
    """Room for some files more, then none; with room again the same command ends the same."""
    whole, cut = go(STAGES["mmse"], tmp_path / "whole"), tmp_path / "cut"
    cut.mkdir()
    calls, sync = [], os.fsync

    def full(handle):
        calls.append(handle)
        if len(calls) > after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=r"No space left .*'.*(log\.jsonl|\.pt)'") as caught:
            go(STAGES["mmse"], cut, checkpoint_seconds=0)
    assert "\n" not in str(caught.value)
    assert {item.name for item in cut.iterdir()} <= {"checkpoint.pt", "log.jsonl", "lock"}
    assert same(go(STAGES["mmse"], cut), whole)


def test_two_trainers_do_not_share_a_folder(tmp_path):
    made = task()

    def batch(generator, n):
        with pytest.raises(ValueError, match=r"lock: expected a folder that no other process"):
            go(STAGES["mmse"], tmp_path)
        return made.batch(generator, n)

    go(STAGES["mmse"], tmp_path, batch=batch)
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [*range(1, 13)]


def test_a_training_that_diverges_keeps_its_last_checkpoint(tmp_path):
    made, calls = task(), []

    def batch(generator, n):
        calls.append(n)
        return made.batch(generator, n) * (float("nan") if len(calls) > 5 else 1.0)

    with pytest.raises(ValueError, match=r"checkpoint\.pt: training diverged before step 6"):
        go(STAGES["mmse"], tmp_path, batch=batch, checkpoint_seconds=0)
    assert load(tmp_path / "checkpoint.pt")["step"] == 5


def test_half_precision_runs(tmp_path):
    stage = Stage("s", plfs=("JD",), rates=RATES, precision="bfloat16", **SMALL)
    codec = go(stage, tmp_path)
    assert all(p.isfinite().all() for p in codec.parameters())


def test_rates_must_match_the_frames():
    made = task()
    with pytest.raises(ValueError, match="rates: expected 2 values, got 3"):
        Run(
            Stage("s", rates=(1.0, 1.0, 1.0)), made.make_codec(RATES), made.make_critic,
            torch.device("cpu"),
        )  # fmt: skip
