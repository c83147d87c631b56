"""A grid within seconds: planned, trained, measured, cut and continued elsewhere."""

import json
import math
import shutil
import time
import zipfile
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import neural  # noqa: E402
from neural.__main__ import main  # noqa: E402
from neural.evaluation.record import trained  # noqa: E402
from neural.experiment import Experiment, name_of  # noqa: E402
from neural.grid.plan import Cost  # noqa: E402
from neural.grid.run import Grid, Settings, works  # noqa: E402
from neural.tasks.blocks import BlockTask  # noqa: E402
from neural.training.log import read_log  # noqa: E402
from rdp.operating_point import load_points  # noqa: E402

BLOCKS = """
task = "blocks"
seed = 1
rates = {rates}
[options.source]
sigma = [1.0, 2.0]
rho = [0.8]
[options.codec]
block = 2
latents = 2
hidden = 8
[options.critic]
hidden = 8
[options.evaluation]
n = 400
repeats = 2
seed = 5
[[stage]]
name = "first"
frames = [1]
steps = {steps}
batch = 16
[[stage]]
name = "mmse"
start = "first"
steps = {steps}
batch = 16
[[stage]]
name = "universal"
start = "mmse"
plfs = ["FMD", "JD"]
encoder = "frozen"
steps = {steps}
batch = 16
"""
GRID = """
calls = 2
first = ["0.7-1.2"]
[experiments]
cpu = ["one", "two"]
[least]
cpu = 0.05
cuda = 0.5
[export]
experiment = "one"
cell = "0.7-1.2"
stage = "universal"
"""


@pytest.fixture
def config(tmp_path):
    one = BLOCKS.format(rates="[[0.7, 0.9], [0.7, 1.2]]", steps=20)
    (tmp_path / "one.toml").write_text(one)
    (tmp_path / "two.toml").write_text(BLOCKS.format(rates="[[0.5, 0.5]]", steps=20))
    (tmp_path / "grid.toml").write_text(GRID)
    return tmp_path / "grid.toml"


def points_of(results, name):
    with zipfile.ZipFile(results / "results.zip") as archive:
        archive.extract(f"{name}.json", results)
    return load_points(results / f"{name}.json")


def test_jobs_are_in_order_and_shared_stages_are_there_once(config):
    found = works(Settings.load(config, "cpu"))
    assert list(found) == [
        "one/0.7/first", "one/0.7-1.2/mmse", "one/0.7-1.2/universal", "one 0.7-1.2 measured",
        "one/0.7-0.9/mmse", "one/0.7-0.9/universal", "one 0.7-0.9 measured",
        "two/0.5/first", "two/0.5-0.5/mmse", "two/0.5-0.5/universal", "two 0.5-0.5 measured",
    ]  # fmt: skip
    seen = set()
    for name, work in found.items():
        assert set(work.after) <= seen
        seen.add(name)
    # cells that share a stage use the seed of the first of them
    assert found["one/0.7/first"].cell == 0
    assert found["one/0.7-1.2/mmse"].cell == 1


FULL = Path(__file__).parents[3] / "neural" / "configs" / "digits-full.toml"


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_the_full_grid_has_all_cells_and_all_losses(device):
    settings = Settings.load(FULL, device)
    cells = {cell for experiment in settings.experiments for cell in experiment.cells}
    inf = float("inf")
    assert cells >= {(12.0, r) for r in (2, 4, 8, 12, 16, 24)} | {(inf, 2.0)}
    assert cells >= {(inf, 2.0, r) for r in (2, 8, 16)}
    found = works(settings)
    assert settings.least == {"cuda": 0.05, "cpu": 0.25}[device]
    names = [experiment.name for experiment in settings.experiments]
    assert next(iter(found.values())).job.group == f"{names[0]} 12-16"
    for plf in ("FMD", "JD", "SA"):
        assert sum(name.endswith(f"own-{plf}") for name in found) >= 6
    if device == "cuda":
        export = settings.export
        assert "/".join(export[key] for key in ("experiment", "cell", "stage")) in found


def test_a_grid_ends_in_two_calls_on_two_machines(config, tmp_path, capsys, monkeypatch):
    results = tmp_path / "results"
    arguments = ["grid", str(config), "--budget", "60s", "--results", str(results)]
    with monkeypatch.context() as patch:  # else a call that has time does more than its part
        patch.setattr(Grid, "_next_group", lambda self: set())
        assert main([*arguments, "--runs", str(tmp_path / "here")]) == 0
    said = capsys.readouterr().out
    assert "left: " in said
    record = json.loads((results / "grid.json").read_text())
    assert record["calls"] == 1
    assert 4 <= len(record["done"]) < 11
    # another machine has the folder of results only
    assert main([*arguments, "--runs", str(tmp_path / "there")]) == 0
    assert "nothing is left" in capsys.readouterr().out
    assert {p.plf for p in points_of(results, "two")} == {"MMSE", "FMD", "JD"}
    points = points_of(results, "one")
    assert sorted({trained(p).rates for p in points}) == [(0.7, 0.9), (0.7, 1.2)]
    assert all(trained(p).steps == 20 for p in points)
    assert not list(results.glob("models-*"))  # nothing starts from them any more
    assert len([p for p in results.iterdir() if p.suffix != ".json"]) == 3
    codec = neural.load_codec(results / "codec.pt")
    x = torch.randn(4, 2, 2, generator=torch.Generator().manual_seed(0))
    assert neural.decode(codec, neural.encode(codec, x, 1), "JD").shape == x.shape


def test_a_call_that_has_time_does_more_than_its_part(config, tmp_path, capsys):
    folders = ["--results", str(tmp_path / "results"), "--runs", str(tmp_path / "runs")]
    assert main(["grid", str(config), "--budget", "120s", *folders]) == 0
    assert "nothing is left" in capsys.readouterr().out


def test_too_little_time_for_one_cell_is_said(config, tmp_path):
    said = []
    settings = Settings.load(config, "cpu")
    grid = Grid(settings, tmp_path / "runs", tmp_path / "r", "cpu", say=said.append)
    grid.costs = {work.job.kind: Cost(2.0, 1.0) for work in grid.works.values()}
    grid._announce(grid._plan_call(10.0, 10.0, 1), 0.0)
    # three stages of 20 steps, of which one, and a measurement
    assert said[1] == "too little time for one 0.7-1.2, which takes 12 s at least"


def test_a_stage_that_is_cut_goes_on_where_it_stopped(config, tmp_path, monkeypatch):
    single = tmp_path / "two.toml"
    single.write_text(BLOCKS.format(rates="[[0.5, 0.5]]", steps=150))

    def grid():
        said = []
        settings = Settings.load(single, "cpu")
        return Grid(settings, tmp_path / "runs", tmp_path / "results", "cpu", say=said.append), said

    first, said = grid()
    kinds = {work.job.kind for work in first.works.values()}
    first.costs = {kind: Cost(0.0, 1e-5) for kind in kinds}  # it takes longer than expected
    draw = BlockTask.batch

    def slow(self, generator, n):
        time.sleep(0.02)
        return draw(self, generator, n)

    with monkeypatch.context() as patch:
        patch.setattr(BlockTask, "batch", slow)
        first.run(1.5)
    assert any("out of time" in line for line in said)
    assert first.record["begun"] == {"two/0.5/first": 150}
    assert (tmp_path / "runs/two/0.5/first/checkpoint.pt").exists()
    second, said = grid()
    second.run(120)
    assert said[-1].endswith("nothing is left")
    # the same as without the interruption
    whole = Experiment.load(single)
    whole.train(tmp_path / "whole", 0, 0, progress=False)
    states = [
        torch.load(tmp_path / folder / "two/0.5/first/model.pt", weights_only=True)["state"]
        for folder in ("runs", "whole")
    ]
    for key, value in states[0].items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, states[1][key]), key
    assert read_log(tmp_path / "runs/two/0.5/first")[-1]["step"] == 150


def test_what_later_jobs_need_is_done_again_if_it_was_lost(config, tmp_path):
    settings = Settings.load(config, "cpu")
    folders = tmp_path / "runs", tmp_path / "results"
    grid = Grid(settings, *folders, "cpu", say=lambda line: None)
    grid.costs = {work.job.kind: Cost(0.0, 0.01) for work in grid.works.values()}
    grid.run(20)
    done = set(grid.record["done"])
    assert "one/0.7/first" in done
    shutil.rmtree(folders[0])
    for path in folders[1].glob("models-*"):
        path.unlink()
    again = Grid(settings, *folders, "cpu", say=lambda line: None)
    assert done - set(again.record["done"]) <= {"one/0.7/first"}


def test_step_times_are_kept_for_each_device(config, tmp_path):
    settings = Settings.load(tmp_path / "two.toml", "cpu")
    grid = Grid(settings, tmp_path / "runs", tmp_path / "results", "cpu", say=lambda line: None)
    grid._probe(math.inf)
    grid.write()
    kinds = {"two/first", "two/mmse", "two/universal", "two measured"}
    assert grid.record["costs"][name_of("cpu")].keys() == kinds
    again = Grid(settings, tmp_path / "runs", tmp_path / "results", "cpu", say=lambda line: None)
    assert again.costs == grid.costs


def test_without_time_costs_are_guessed_from_others_and_not_kept(config, tmp_path):
    settings = Settings.load(config, "cpu")
    said = []
    grid = Grid(settings, tmp_path / "runs", tmp_path / "results", "cpu", say=said.append)
    grid._probe(0.0)
    assert len(said) == 2  # one stage, one measurement
    assert grid.guessed == grid.costs.keys() - {"one/first", "one measured"}
    assert grid.costs["two/universal"] == grid.costs["one/first"]
    assert grid.costs["two measured"] == grid.costs["one measured"]
    grid.write()
    assert grid.record["costs"][name_of("cpu")].keys() == {"one/first", "one measured"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[experiments]\ncuda = ['one']", "'cpu'"),
        ("speed = 2\n[experiments]\ncpu = ['one']", "speed"),
    ],
)
def test_malformed_grids_are_named(config, tmp_path, text, message, capsys):
    config.write_text(text)
    assert main(["grid", str(config), "--budget", "1s", "--results", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


def test_unknown_cells_and_times_are_refused(config, tmp_path, capsys):
    config.write_text("first = ['3-3']\n[experiments]\ncpu = ['one']")
    assert main(["grid", str(config), "--budget", "1s", "--results", str(tmp_path)]) == 2
    assert "first: expected cells such as '0.7-0.9', got '3-3'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["grid", str(config), "--budget", "soon"])
