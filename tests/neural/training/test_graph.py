"""A step is a function of fixed tensors, so it can be recorded and replayed.

CUDA is not needed: here a recorder of operations takes the place of its graphs. As a graph does,
it replays the same operations on the same tensors, and knows nothing of the Python around them.
"""

import contextlib
import copy
import types

import pytest

torch = pytest.importorskip("torch")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils._pytree import tree_leaves  # noqa: E402

from neural.tasks.clips import ClipTask  # noqa: E402
from neural.training.graph import WARM, CapturedStep  # noqa: E402
from neural.training.loop import Run  # noqa: E402
from neural.training.stage import Stage  # noqa: E402
from neural.training.step import Step  # noqa: E402
from tests.neural.small import RATES, task  # noqa: E402

CPU = torch.device("cpu")
STEPS = 12
aten = torch.ops.aten
# They make tensors from numbers of Python, or numbers of Python from tensors.
WAITING = (aten.lift_fresh, aten._local_scalar_dense, aten.nonzero, aten.is_nonzero)


def clips(explicit=False, **codec):
    return ClipTask(
        {"kind": "digits"},
        {"width": 4, "noise": 2, **codec},
        {"width": 4, "explicit_slope": explicit},
    )


CASES = {
    "clips, MMSE": (clips, (12, 8), {"plfs": ("MMSE",)}),
    "clips, all losses": (
        clips, (12, 8), {"plfs": ("FMD", "JD", "SA"), "encoder": "frozen", "frames": (2,)}
    ),
    "clips, own encoder": (lambda: clips(True), (12, 8), {"plfs": ("JD",), "frames": (2,)}),
    "clips, joint": (
        lambda: clips(joint="shift"), (12, 8),
        {"plfs": ("JD",), "frames": (2,), "critic_warmup": 2, "mismatched": 0.5,
         "realism_end": 0.01},
    ),
    "clips, lossless": (clips, (float("inf"), 2), {"plfs": ("SA",), "frames": (2,)}),
    "blocks, priced": (task, RATES, {"plfs": ("JD",), "rates": RATES}),
}  # fmt: skip


def start(case):
    make, rates, options = CASES[case]
    made = make()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        codec = made.make_codec(rates)
    stage = Stage("s", steps=STEPS, batch=4, realism=0.1, **options)
    codec.decoders.prepare(stage.plfs, stage.trained_frames)
    return made, stage, codec


class Recorder(TorchDispatchMode):
    """Keeps the operations that run under it, and runs them again on the same tensors."""

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func._overloadpacket not in WAITING, f"{func} in a step"
        out = func(*args, **(kwargs or {}))
        self.operations.append((func, args, kwargs or {}, out))
        return out

    @torch.no_grad()
    def replay(self):
        for func, args, kwargs, out in self.operations:
            again = func(*args, **kwargs)
            for old, new in zip(tree_leaves(out), tree_leaves(again), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


def tensors(step):
    """All that a step changes."""
    optimisers = [o for o in (step.optimiser, step.critic_optimiser) if o is not None]
    moments = [v for o in optimisers for state in o.state.values() for v in state.values()]
    codec = [v for v in step.codec.state_dict().values() if isinstance(v, torch.Tensor)]
    return [*codec, *step.critics.state_dict().values(), *step.average, *moments]


class Graph(Recorder):
    """Stands in for torch.cuda.CUDAGraph; recording changes nothing, as on CUDA."""

    def register_generator_state(self, generator):
        self.generator = generator


@pytest.fixture
def cuda(monkeypatch):
    """torch.cuda as `CapturedStep` uses it, with operations on the CPU."""
    recording = {}

    @contextlib.contextmanager
    def graph(recorder):
        step = recording["step"]
        kept, state = [t.clone() for t in tensors(step)], recorder.generator.get_state()
        with recorder:
            yield
        with torch.no_grad():
            for now, before in zip(tensors(step), kept, strict=True):
                now.copy_(before)
        recorder.generator.set_state(state)

    stream = types.SimpleNamespace(wait_stream=lambda other: None)
    for name, stand_in in {
        "Stream": lambda device: stream,
        "current_stream": lambda: stream,
        "stream": lambda side: contextlib.nullcontext(),
        "synchronize": lambda device: None,
        "CUDAGraph": Graph,
        "graph": graph,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)

    def adam(parameters, lr, betas, device):
        return torch.optim.Adam(parameters, torch.tensor(lr), betas, fused=True)

    # a tensor for the learning rate, as on CUDA
    monkeypatch.setattr("neural.training.step.adam", adam)
    return recording


def same(one, other):
    first, second = one.state_dict(), other.state_dict()
    return all(
        torch.equal(a, b) for a, b in zip(first.values(), second.values(), strict=True)
        if isinstance(a, torch.Tensor)
    )  # fmt: skip


def run(case, captured, recording=None, moves=None):
    made, stage, codec = start(case)
    run = Run(stage, codec, made.make_critic, CPU)
    if moves is not None:
        run.one.moves = moves
    if captured:
        recording["step"] = run.one
        run._make = CapturedStep(run.one)
    numbers = [run.advance(made.batch)() for _ in range(STEPS)]
    return codec, numbers


@pytest.mark.parametrize("case", CASES)
def test_replayed_steps_are_the_steps(case, cuda):
    plain, seen = run(case, captured=False)
    replayed, seen_too = run(case, True, cuda)
    assert same(plain, replayed)
    assert seen == seen_too
    assert STEPS > 2 + 2 * WARM


def test_steps_of_the_critics_alone_are_recorded_on_their_own(cuda):
    moves = [False] * 6 + [True] * 6
    plain, seen = run("clips, all losses", False, moves=moves.__getitem__)
    replayed, seen_too = run("clips, all losses", True, cuda, moves.__getitem__)
    assert same(plain, replayed)
    assert seen == seen_too


def test_the_codec_stands_still_while_the_critics_step():
    made, stage, codec = start("clips, all losses")
    step = Step(stage, codec, made.make_critic, CPU)
    codec_before, critics_before = copy.deepcopy(codec), copy.deepcopy(step.critics)
    step.schedule(0)
    step(made.batch, moves=False)
    assert same(codec, codec_before)
    assert not same(step.critics, critics_before)


def test_the_recorder_finds_what_a_graph_cannot_hold():
    values = torch.arange(3.0)
    for forbidden in (lambda: values.new_tensor([1.0]), lambda: values.sum().item()):
        with Recorder(), pytest.raises(AssertionError, match="in a step"):
            forbidden()


class MetaGenerator:
    """Stands in for a generator on the device without data."""

    device = torch.device("meta")

    def __init__(self, device):
        pass

    def manual_seed(self, seed):
        return self


@pytest.mark.parametrize("case", [name for name in CASES if name.startswith("clips")])
def test_a_step_stays_on_its_device(case, monkeypatch):
    """On a device without data, a tensor elsewhere and a number for Python are both errors."""
    for name in ("rand", "randn"):
        draw = getattr(torch, name)

        def without(*args, draw=draw, generator=None, **options):
            return draw(*args, **options)

        monkeypatch.setattr(torch, name, without)
    made, stage, codec = start(case)
    monkeypatch.setattr(torch, "Generator", MetaGenerator)
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: contextlib.nullcontext())
    monkeypatch.setattr(
        "neural.training.step.adam",
        lambda parameters, lr, betas, device: torch.optim.Adam(parameters, lr, betas),
    )
    made.to("meta")
    step = Step(stage, codec, made.make_critic, torch.device("meta"))
    for number in range(stage.critic_warmup + 2):
        step.schedule(number)
        seen = step(made.batch, step.moves(number))
    for frames in (seen.x, *seen.made.values()):
        assert frames.device.type == "meta"
        assert frames.shape[0] == stage.batch


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:The AccumulateGrad node's stream")  # of the first steps
@pytest.mark.parametrize("case", CASES)
def test_a_graph_on_the_device_trains_as_steps_one_by_one_do(case):
    ends = []
    for captured in (False, True):
        made, stage, codec = start(case)
        made.to("cuda")
        run = Run(stage, codec, made.make_critic, torch.device("cuda"), captured=captured)
        ends.append([run.advance(made.batch)() for _ in range(STEPS)])
    for one, other in zip(*ends, strict=True):
        for plf, values in one["distortion"].items():
            assert values == pytest.approx(other["distortion"][plf], rel=0.02)


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:The AccumulateGrad node's stream")
def test_a_run_on_the_device_goes_on_where_it_stopped():
    made, stage, codec = start("clips, own encoder")
    made.to("cuda")
    first = Run(stage, codec, made.make_critic, torch.device("cuda"))
    for _ in range(STEPS // 2):
        first.advance(made.batch)
    state = copy.deepcopy(first.state())
    whole = [first.advance(made.batch)() for _ in range(STEPS - STEPS // 2)]
    second = Run(stage, start("clips, own encoder")[2], made.make_critic, torch.device("cuda"))
    second.load_state(state)
    rest = [second.advance(made.batch)() for _ in range(STEPS - STEPS // 2)]
    for one, other in zip(whole, rest, strict=True):
        assert one["distortion"]["JD"] == pytest.approx(other["distortion"]["JD"], rel=0.02)
