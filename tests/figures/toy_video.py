"""Invented results of video codecs in the format of the real ones, for tests of their figures."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from matplotlib.figure import Figure

from figures import _video
from neural.evaluation.record import (
    LABELS,
    Bounds,
    Distance,
    FreshCritic,
    Mixtures,
    Permanence,
    Record,
    Training,
    UniversalGap,
    to_provenance,
)
from rdp.operating_point import OperatingPoint, save_points

PLFS = ("FMD", "JD", "SA")
SHARED, OWN = LABELS["shared"], LABELS["own"]
HALF = 2e-4
# Distortion of the MMSE decoder by rate, and the factor that each loss multiplies it by.
MMSE = {2.0: 0.014, 8.0: 0.011, 16.0: 0.008}
DEFECT = {"MMSE": 0.004, "FMD": 0.014, "JD": 0.0001, "SA": 0.01}
FACTOR = {"MMSE": 1.0, "FMD": 1.6, "JD": 2.2, "SA": 1.8}


def point(label, plf, rates, seed=1, kind="reduced", weight=1.0, stage="universal", name="toy"):
    """One point whose numbers follow from the tables above."""
    frames = len(rates)
    factor = FACTOR[plf] if plf == "MMSE" else weight * FACTOR[plf]
    distortion = np.array([0.012, *(MMSE[rate] * factor for rate in rates[1:])])
    perception = np.full(frames, 0.008 if plf == "MMSE" else 0.0005)
    record = Record(
        encoder="shared" if label == SHARED else "own",
        training=Training(name, stage, tuple(rates), seed),
        gaussian_reference=(0.018,) * frames if np.isfinite(rates[0]) else None,
        losses={plf: Distance(tuple(perception.tolist()), (HALF,) * frames)},
        fresh_w1={plf: FreshCritic(0.3 / weight, 0.02, (0.1, 0.3))},
        shift_defect=Distance((0.0, *[DEFECT[plf]] * (frames - 1)), (DEFECT[plf] / 10,) * frames),
        digits=Permanence(0.95, 0.1, 0.1, stay_wrong=0.4),
    )
    if label == SHARED:
        record = replace(record, bounds=bounds(plf, rates, distortion))
        if plf != "MMSE":
            record = replace(record, mixtures=mixtures(distortion))
    else:
        gap = UniversalGap((frames,), (1e-4,), (2e-4,), False, (-1e-4,), (1e-4,))
        record = replace(record, universal_gap=gap)
    return OperatingPoint(
        label, plf, np.array(rates), distortion, perception, metric="gelbrich", kind=kind,
        units="mean squared error of a pixel", seed=7, samples=2000,
        provenance=to_provenance(record),
        intervals={
            name: np.stack([np.maximum(value - HALF, 0), value + HALF], 1)
            for name, value in (("distortion", distortion), ("perception", perception))
        },
    )  # fmt: skip


def bounds(plf, rates, distortion):
    """Bounds of a decoder of a shared encoder."""
    later = len(rates) - 1
    mmse = np.array([0.012, *(MMSE[rate] for rate in rates[1:])])
    joint = plf == "JD"
    return Bounds(
        repeated_frame=(0.04, *[0.02] * later),
        factor_two=tuple((2 * mmse).tolist()),
        excess=tuple((distortion - mmse).tolist()),
        excess_half=(HALF,) * len(rates),
        shared_encoder_gap=(0.0, *[0.001] * later),
        joint_support=(0.0, *[0.015] * later) if joint else None,
        joint_support_half=(HALF,) * len(rates) if joint else None,
        known_shift=(0.0, *[0.017] * later) if joint else None,
        nearest_known=(1.0, *[0.25] * later) if joint else None,
    )


def mixtures(distortion):
    """Mixtures of the MMSE decoder and one for realism."""
    shares = (0.0, 0.5, 1.0)
    return Mixtures(
        shares,
        tuple(tuple((distortion * (0.8 + 0.2 * share)).tolist()) for share in shares),
        tuple((0.008 * (1 - share) + 0.0005,) * len(distortion) for share in shares),
    )


def cell(rates, own=True, **options):
    """All points of a cell."""
    shared = [point(SHARED, plf, rates, **options) for plf in ("MMSE", *PLFS)]
    return shared + [point(OWN, plf, rates, **options) for plf in PLFS if own]


def pictures(rates, clips=4):
    """Samples of a cell: the source, and decoders that add a constant."""
    name = "-".join(f"{rate:g}" for rate in rates)
    source = np.full((clips, len(rates), 64, 64), 100, np.uint8)
    source[:, :, 20:40, 20:40] = 200
    steps = {"source": 0, "MMSE": 5, "FMD": 10, "JD": 15, "SA": 20}
    return {f"{name}/{key}": source + np.uint8(step) for key, step in steps.items()}


def write(folder, *, kind="reduced", seeds=(1, 2), recovery=True, published=True):
    """Fill a folder with results."""
    size = "-reduced" if kind == "reduced" else ""
    for seed in seeds:
        ending = "" if seed == 1 else f"-seed{seed}"
        points = [p for r in MMSE for p in cell((12.0, r), seed=seed, kind=kind)]
        save_points(folder / f"digits{size}{ending}.json", points)
    samples = pictures((12.0, 2.0)) | pictures((12.0, 16.0))
    np.savez_compressed(folder / f"digits{size}-samples.npz", **samples)
    if recovery:
        name = "digits-reduced-recovery" if size else "digits-inf-2-recovery"
        rates = [(np.inf, 2.0, 2.0), (np.inf, 2.0, 16.0)]
        points = [p for r in rates for p in cell(r, own=False, seed=seeds[0], kind=kind)]
        save_points(folder / f"{name}.json", points)
        np.savez_compressed(folder / f"{name}-samples.npz", **pictures(rates[1]))
    curves = [
        OperatingPoint("Gauss-Markov model", plf, [12.0, r], [0.02, m * FACTOR[plf] * 1.5],
                       kind="computed", seed=7)
        for plf in ("MMSE", *PLFS)
        for r, m in MMSE.items()
    ]  # fmt: skip
    save_points(folder / "model-digits.json", curves)
    if published:
        head = "rate1_bits,rate2_bits,plf,lambda,epochs,critic_w1,mse\n"
        rows = "12,2,MMSE,0,50,,0.0143\n12,2,FMD,0.01,80,0.7,0.024\n12,2,FMD,0.001,50,5.1,0.015\n"
        (folder / "published_moving_mnist.csv").write_text(head + rows)
    (folder / "digits-reduced-learning.csv").write_text(
        "experiment,rates,stage,seed,plf,frame,after_steps,to_steps,clips,distortion,distortion_half,w1\n"
        "toy,12-8,mmse,1,MMSE,2,50,100,6400,0.0125,0.0001,\n"
        "toy,12-8,mmse,1,MMSE,2,25,50,3200,0.013,0.0002,\n"
        "toy,12-8,mmse,1,MMSE,2,2,5,320,0.5,0.1,\n"
        "toy,12-8,universal,1,JD,2,50,100,6400,0.02,0.0001,0.4\n"
    )
    (folder / "checks.csv").write_text(
        "experiment,rates,stage,seed,point,label,plf,frame,bound,relation,measured,low,high,"
        "limit,limit_low,limit_high,verdict\n"
        "toy,12-2,universal,1,1,x,FMD,2,factor two,<=,0.02,0.02,0.02,0.03,0.03,0.03,pass\n"
        "other,12-2,universal,1,1,x,JD,2,one of another page,>=,0,0,0,1,1,1,fail\n"
        "toy,12-2,universal,1,1,x,FMD,,split,>=,0.02,0.02,0.02,0.03,0.03,0.03,fail\n"
    )


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Folder to put results in, which the figures then read."""
    folder = tmp_path / "results"
    folder.mkdir()
    monkeypatch.setattr(_video, "RESULTS", folder)
    return folder


@pytest.fixture
def toy(results):
    write(results)
    return results


def computed(name):
    """Table of a figure."""
    return import_module(f"figures.{name}").compute()


def drawn(name):
    """Figure of a name, and all text in it outside the axes."""
    module = import_module(f"figures.{name}")
    figure = Figure(figsize=module.SIZE)
    module.draw(module.compute(), figure)
    found = [legend.get_title().get_text() for legend in figure.legends]
    found += [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    found += [figure.get_suptitle(), figure.get_supxlabel()]
    return figure, " ".join(found)
