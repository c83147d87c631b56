"""Measurement of a codec of clips on held-out clips, from real bytes.

Distortion is the mean squared error of a pixel. Perception is measured in four ways:

- the Gelbrich distance of the lowest DCT coefficients (`neural.evaluation.gelbrich`), a lower bound
  on squared W2 in the units of distortion;
- W1 from a critic trained for the measurement alone (`neural.evaluation.fresh_critics`);
- for digits, how often a wrong digit stays wrong (`neural.evaluation.classifier`);
- for digits, how far a frame is from the shifts of the one before
  (`neural.evaluation.shift_defect`).

Bounds (`neural.evaluation.bounds`) and mixtures of decoders (`neural.evaluation.mixtures`) are
evaluated on the same clips.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from neural.codecs.video import VideoCodec
from neural.evaluation.bounds import bounds_of
from neural.evaluation.classifier import permanence, train_classifier
from neural.evaluation.exact import exact_curves
from neural.evaluation.fresh_critics import fresh_w1
from neural.evaluation.gaussian_model import gaussian_reference
from neural.evaluation.gelbrich import Features, compared_features, dct_features, gelbrich_interval
from neural.evaluation.intervals import ends, half_width
from neural.evaluation.mixtures import mixtures, universal_gap
from neural.evaluation.options import ClipEvaluation
from neural.evaluation.reconstructions import (
    Reconstructions,
    decode_heldout,
    diversity,
    reconstruct_training,
)
from neural.evaluation.record import (
    LABELS,
    Distance,
    Exact,
    FreshCritic,
    Permanence,
    Record,
    UniversalGap,
    own_loss,
    to_provenance,
)
from neural.evaluation.shift_defect import shift_defect
from neural.tasks.clips import ClipTask
from rdp.operating_point import OperatingPoint
from rdp.perception import PLFS

UNITS = "mean squared error of a pixel, values in [0, 1]"


def evaluate(
    codec: VideoCodec,
    task: ClipTask,
    plfs: tuple[str, ...],
    options: ClipEvaluation,
    origin: Record,
    shared: Reconstructions | None = None,
    **fields: Any,
) -> tuple[list[OperatingPoint], Reconstructions]:
    """Measure a trained codec on held-out clips: one point for each decoder, from the same bytes.

    Parameters
    ----------
    codec : VideoCodec
        Trained codec.
    task : ClipTask
        Source of the clips.
    plfs : tuple of str
        Decoders to measure.
    options : ClipEvaluation
    origin : Record
        Encoder and training of the codec; the other fields are filled in. An encoder of its own
        has no MMSE decoder to compare with.
    shared : Reconstructions or None
        Of the same clips by a shared encoder at the same rates, for the universal gap.
    **fields : Any
        Commit and versions of `OperatingPoint`.

    Returns
    -------
    points : list of OperatingPoint
        With metric "gelbrich" under the loss of each decoder (FMD for MMSE), and the record.
    clips : Reconstructions
        The clips that were measured.
    """
    evaluation = _Evaluation.prepare(codec, task, plfs, options, origin, shared)
    return [evaluation.point(plf, fields) for plf in plfs], evaluation.clips


@dataclass(frozen=True, eq=False)
class _Evaluation:
    """What the points of all decoders of one codec have in common."""

    codec: VideoCodec
    task: ClipTask
    options: ClipEvaluation
    origin: Record
    clips: Reconstructions
    features: Features
    shared: Reconstructions | None
    diversity: dict[str, tuple[float, ...]]
    training: Reconstructions | None  # clips that fresh critics are trained on
    classifier: nn.Module | None

    @classmethod
    def prepare(
        cls,
        codec: VideoCodec,
        task: ClipTask,
        plfs: tuple[str, ...],
        options: ClipEvaluation,
        origin: Record,
        shared: Reconstructions | None,
    ) -> _Evaluation:
        """Decode the clips, and train the classifier."""
        seed = options.seed
        needed = plfs if origin.encoder == "own" else tuple(dict.fromkeys(("MMSE", *plfs)))
        clips = decode_heldout(codec, task, needed, options.clips, seed)
        training = classifier = None
        if options.critic_steps:
            training = reconstruct_training(codec, task, plfs, options.critic_clips, seed)
        if options.classifier_steps and clips.labels is not None:
            classifier = train_classifier(task.source("train"), options.classifier_steps, seed)
        return cls(
            codec, task, options, origin, clips, _features(clips, options.frequencies), shared,
            diversity(codec, task, plfs, options.draws, seed) if options.draws > 1 else {},
            training, classifier,
        )  # fmt: skip

    def point(self, plf: str, fields: dict[str, Any]) -> OperatingPoint:
        """Operating point of one decoder."""
        record = self._record(plf)
        error = self.clips.error(plf)
        distortion, half = error.mean(axis=0), half_width(error)
        point = OperatingPoint(
            LABELS[self.origin.encoder], plf, np.array(self.codec.shape.rates), distortion,
            metric="gelbrich", kind=self.options.kind, units=UNITS, source=_describe(self.task),
            seed=self.options.seed, samples=self.options.clips, provenance=to_provenance(record),
            intervals={"distortion": ends(distortion, half)}, **fields,
        )  # fmt: skip
        assert record.losses is not None
        perception = record.losses[own_loss(point)]
        value, width = np.array(perception.value), np.array(perception.half)
        intervals = {**point.intervals, "perception": ends(value, width)}
        return replace(point, perception=value, intervals=intervals)

    def _record(self, plf: str) -> Record:
        realism, own = plf != "MMSE", self.origin.encoder == "own"
        return replace(
            self.origin,
            features=f"DCT {self.options.frequencies} x {self.options.frequencies}",
            losses={loss: self._distance(plf, loss) for loss in PLFS},
            coded_bits=tuple(self.clips.coded_bits.tolist()),
            diversity=self.diversity.get(plf),
            gaussian_reference=self._gaussian_reference(),
            bounds=bounds_of(self.clips, self.features, plf),
            exact=self._exact(plf),
            mixtures=mixtures(self.clips, self.features, plf) if realism and not own else None,
            universal_gap=self._universal_gap(plf) if realism and own else None,
            fresh_w1=self._fresh_w1(plf),
            digits=self._permanence(plf),
            shift_defect=self._shift_defect(plf),
        )

    def _permanence(self, plf: str) -> Permanence | None:
        return permanence(self.classifier, self.clips, plf) if self.classifier else None

    def _shift_defect(self, plf: str) -> Distance | None:
        """For digits only: the next frame of other clips is no shift."""
        if self.clips.labels is None:
            return None
        return shift_defect(self.clips.decoded[plf])

    def _distance(self, plf: str, loss: str) -> Distance:
        """Gelbrich distance of a decoder at each frame, under one loss."""
        x, xhat = self.features["source"], self.features[plf]
        found = [
            gelbrich_interval(*compared_features(loss, t, x, xhat)) for t in range(x.shape[1])
        ]
        return Distance(tuple(value for value, _ in found), tuple(half for _, half in found))

    def _gaussian_reference(self) -> tuple[float, ...] | None:
        clips, rates = self.options.reference_clips, self.codec.shape.rates
        if not clips or not math.isfinite(rates[0]):
            return None
        return gaussian_reference(self.task, rates, clips, self.options.seed)

    def _exact(self, plf: str) -> Exact | None:
        source, rates = self.task.model(), self.codec.shape.rates
        if source is None or not math.isfinite(rates[0]):
            return None
        return exact_curves(source, rates, plf)

    def _universal_gap(self, plf: str) -> UniversalGap | None:
        shared = self.shared
        if shared is None or plf not in shared.decoded:
            return None
        trained = self.origin.training.frames if self.origin.training else ()
        features = self.features | _features(
            replace(shared, decoded={name: shared.decoded[name] for name in ("MMSE", plf)}),
            self.options.frequencies,
        )
        frames = trained or range(1, self.codec.shape.frames + 1)
        return universal_gap(self.clips, self.features, shared, features, plf, frames)

    def _fresh_w1(self, plf: str) -> dict[str, FreshCritic] | None:
        """For the MMSE decoder under every loss, else under its own."""
        if self.training is None:
            return None
        options = self.options
        return {
            loss: fresh_w1(
                self.task, self.training, self.clips, plf, loss,
                options.critic_steps, options.seed, options.critic_batch,
            )
            for loss in (PLFS if plf == "MMSE" else (plf,))
        }  # fmt: skip


def _features(clips: Reconstructions, frequencies: int) -> Features:
    return {name: dct_features(x, frequencies) for name, x in clips.clips().items()}


def _describe(task: ClipTask) -> str:
    options = ", ".join(f"{k}={v}" for k, v in task.data.items() if k not in ("kind", "folder"))
    return f"held-out {task.data['kind']} ({options})"
