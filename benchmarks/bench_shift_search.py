"""What limits a JD decoder: the shared encoder or the bits.

The shared encoder is trained for squared error. `neural.codecs.shift_search` chooses the bits of
the same codec for the JD decoder. Both are measured on the same held-out digits, decoded from real
bytes by the same trained decoders: distortion of frame 2, its bounds, shift defect, and wrong
digits that stay wrong. The table goes to neural/results/joint-search.csv, or with ``--csv``
elsewhere.

    MNIST_FOLDER=... python -m benchmarks.bench_shift_search --runs neural-runs
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

from benchmarks.report import provenance
from neural.codecs.shift_search import encode_for_shift
from neural.codecs.video import VideoCodec
from neural.evaluation.classifier import permanence, train_classifier
from neural.evaluation.intervals import half_width
from neural.evaluation.reconstructions import decode_heldout
from neural.evaluation.shift_defect import known_shift, mean_distance_to_shifts, shift_defect
from neural.evaluation.tables import write_csv
from neural.experiment import Experiment, one_thread
from neural.progress import MODEL

CONFIG = Path(__file__).resolve().parents[1] / "neural" / "configs" / "digits-reduced-joint.toml"
STAGE, PASSES = "universal-JD", 2
ENCODERS: dict[str, Callable[..., bytes]] = {
    "shared": VideoCodec.encode,
    "search": partial(encode_for_shift, passes=PASSES),
}


def row(experiment: Experiment, runs: Path, cell: int, encoder: str, clips: int) -> dict[str, Any]:
    """Measure the JD decoder of a cell with one encoder."""
    task, options = experiment.task, experiment.evaluation
    codec = cast(VideoCodec, experiment.model(runs, experiment.stage(STAGE), cell))
    made = decode_heldout(
        codec, task, ["MMSE", "JD"], clips, options.seed, encode=ENCODERS[encoder]
    )
    error, jd = made.error("JD")[:, 1], made.decoded["JD"]
    support = mean_distance_to_shifts(made.source, jd)
    known = known_shift(made.source, jd, made.decoded["MMSE"])
    defect = shift_defect(jd)
    classifier = train_classifier(task.source("train"), options.classifier_steps, options.seed)
    digits = permanence(classifier, made, "JD")
    low, high = digits.stay_wrong_ends(clips)
    return {
        "experiment": experiment.name, "seed": experiment.seed, "encoder": encoder,
        "rate_bits": experiment.cells[cell][1], "coded_bits": made.coded_bits[1], "clips": clips,
        "distortion": error.mean(), "distortion_half": half_width(error),
        "joint_support": support.value[1], "joint_support_half": support.half[1],
        "known_shift": known.distortion.value[1], "known_shift_half": known.distortion.half[1],
        "nearest_known": known.share[1],
        "shift_defect": defect.value[1], "shift_defect_half": defect.half[1],
        "mmse": made.error("MMSE")[:, 1].mean(),
        "wrong_before": digits.wrong_before, "stay_wrong": digits.stay_wrong,
        "stay_wrong_low": low, "stay_wrong_high": high,
    }  # fmt: skip


def main() -> None:
    """Measure the cells with both encoders, and write the table after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True, help="folder of all experiments")
    parser.add_argument("--csv", type=Path, default=Path("neural/results/joint-search.csv"))
    parser.add_argument("--cell", type=int, action="append", help="all that are trained by default")
    parser.add_argument("--clips", type=int, default=2000)
    given = parser.parse_args()
    one_thread()
    about = provenance(("torch",))
    origin = {key: about[key] for key in ("commit", "date")}
    rows: list[dict[str, Any]] = []
    for seed in (None, 2):
        experiment = Experiment.load(CONFIG, seed)
        for cell in experiment.chosen(given.cell):
            folder = experiment.folder(given.runs, experiment.stage(STAGE), cell)
            if not (folder / MODEL).exists():
                print(f"{folder}: not trained")
                continue
            for encoder in ENCODERS:
                rows.append(row(experiment, given.runs, cell, encoder, given.clips) | origin)
                print(rows[-1], flush=True)
                write_csv(given.csv, rows)


if __name__ == "__main__":
    main()
