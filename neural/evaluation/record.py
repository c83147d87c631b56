"""Record of a measurement: what was measured of one decoder of one trained codec.

An `rdp.OperatingPoint` holds what every codec has: rate, distortion, perception, their intervals.
A `Record` holds the rest. `to_provenance` and `record_of` are the one place where it becomes JSON
and is read again. In the file, ``provenance`` of a point is

- ``encoder``: "shared" or "own", which `solvers.validate` reads;
- ``record``: the other fields of `Record` by name, and ``version``, the version of this format.

Version 1 had no ``record``: all fields stood side by side in ``provenance``. It is still read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from neural.evaluation.intervals import share_ends
from rdp.perception import PLFS

if TYPE_CHECKING:
    from rdp.operating_point import OperatingPoint

VERSION = 2
LABELS = {"shared": "neural, shared encoder", "own": "neural, own encoder", None: "neural"}
Values = tuple[float, ...]
T = TypeVar("T")


@dataclass(frozen=True)
class Training:
    """How a codec was trained.

    Parameters
    ----------
    experiment, stage : str
        Names of the experiment and of the stage.
    rates : (T,) tuple of float
        Bits for each frame that the experiment asks for; inf is a lossless frame.
    seed : int
        Seed of the experiment.
    frames : tuple of int
        Frames that the stage trained, from 1; empty if that was not kept.
    steps : int or None
        Steps of the stage.
    seconds : float or None
        Time that the stage took.
    device : str or None
        Processor on which the codec was measured.
    """

    experiment: str
    stage: str
    rates: Values
    seed: int
    frames: tuple[int, ...] = ()
    steps: int | None = None
    seconds: float | None = None
    device: str | None = None


@dataclass(frozen=True)
class Distance:
    """Distance between two distributions at each frame, and half the width of its interval."""

    value: Values
    half: Values


@dataclass(frozen=True)
class Bounds:
    """Bounds on the distortion of a decoder, evaluated on the clips it was measured on.

    The fields about the MMSE decoder are None for a codec that has none. ``joint_support`` and
    ``known_shift`` are None for losses other than JD. Each field has one value for each frame.

    Parameters
    ----------
    excess, excess_half
        Distortion minus that of the MMSE decoder of the same bytes, and half the width of its
        interval.
    shared_encoder_gap
        Lower bound on ``excess`` that holds if the MMSE decoder is optimal.
    factor_two
        Twice the MMSE distortion, which is enough for perfect realism under FMD and SA.
    repeated_frame
        Error of the MMSE reconstruction of the frame before when it is repeated for this frame, at
        no bits; for frame 1 the error of a black frame.
    joint_support, joint_support_half
        Lower bound on the distortion under perfect JD realism: distance of the source from the
        nearest shift of the reconstruction of the frame before.
    known_shift, known_shift_half
        Lower bound on the distortion under perfect JD realism that holds if the MMSE decoder is
        optimal: distance of the source from the shift that is nearest to the MMSE reconstruction.
    nearest_known
        Share of clips in which that shift is also the nearest one to the source.
    """

    excess: Values | None = None
    excess_half: Values | None = None
    shared_encoder_gap: Values | None = None
    factor_two: Values | None = None
    repeated_frame: Values | None = None
    joint_support: Values | None = None
    joint_support_half: Values | None = None
    known_shift: Values | None = None
    known_shift_half: Values | None = None
    nearest_known: Values | None = None


@dataclass(frozen=True)
class Exact:
    """Distortions on the exact source of the clips, at the rates of the codec.

    Parameters
    ----------
    optimal, shared : (T,) tuple of float
        Least distortion under the loss of the decoder at perfect realism, frame after frame, with
        the encoder that is best for the loss, and with that for mean squared error.
    bound : (T,) tuple of float
        Least error of each frame if all bits so far are spent on it alone: a bound for every code.
    """

    optimal: Values
    shared: Values
    bound: Values


@dataclass(frozen=True)
class Mixtures:
    """Distortion and perception of the decoders between MMSE and one for realism.

    Parameters
    ----------
    share : (k,) tuple
        Share of the decoder for realism, from 0 to 1.
    distortion, perception : (k, T) tuples
        For each share the values of all frames.
    """

    share: Values
    distortion: tuple[Values, ...]
    perception: tuple[Values, ...]


@dataclass(frozen=True)
class UniversalGap:
    """Distortion of an encoder trained for one loss minus that of the shared encoder.

    Parameters
    ----------
    frames : tuple of int
        Frames that are compared, from 1.
    gap, half : tuple of float
        Difference at equal perception, for each of them, and half the width of its interval;
        negative if the encoder trained for the loss is better.
    outside : bool
        Whether the perception lies outside the curve of the shared encoder at any frame, so that
        the nearer end of the curve is taken.
    unmixed, unmixed_half : tuple of float
        Difference between the two decoders themselves, whatever their perception.
    """

    frames: tuple[int, ...]
    gap: Values
    half: Values
    outside: bool
    unmixed: Values
    unmixed_half: Values


@dataclass(frozen=True)
class FreshCritic:
    """W1 at the last frame from a critic that was trained for this measurement alone.

    Parameters
    ----------
    value, half : float
        W1 on held-out clips, and half the width of its interval.
    path : tuple of float
        W1 on some held-out clips after each quarter of the steps, which shows convergence.
    """

    value: float
    half: float
    path: Values


@dataclass(frozen=True)
class Permanence:
    """How often a digit that is wrong in the last frame but one stays wrong, by a classifier.

    Parameters
    ----------
    accuracy : float
        Share of source frames that the classifier reads correctly.
    wrong_before, wrong_now : float
        Share of clips with a wrong digit in the last frame but one, and in the last.
    stay_wrong, same_digit : float or None
        Of the clips wrong before, the share that is wrong in the last frame too, and the share
        that repeats the same wrong digit; None if no clip was wrong.
    """

    accuracy: float
    wrong_before: float
    wrong_now: float
    stay_wrong: float | None = None
    same_digit: float | None = None

    def stay_wrong_ends(self, clips: int | None) -> tuple[float, float] | tuple[None, None]:
        """Return the ends of the 95% interval of ``stay_wrong``, measured on so many clips."""
        if self.stay_wrong is None or clips is None:
            return None, None
        return share_ends(self.stay_wrong, round(self.wrong_before * clips))


@dataclass(frozen=True)
class BlockSamples:
    """Sample size of a codec of blocks, and squared W2 between whole samples.

    Parameters
    ----------
    block : int
        Sequences in a block.
    sequences : int
        Sequences in a stream.
    sample_w2 : dict of tuples
        Squared W2 between samples of source and reconstruction, by the name of the comparison.
    """

    block: int
    sequences: int
    sample_w2: Mapping[str, Values]


@dataclass(frozen=True)
class Record:
    """What was measured of one decoder besides the numbers of its operating point.

    A field is None if it was not measured.

    Parameters
    ----------
    encoder : {"shared", "own"} or None
        Whether the encoder serves decoders of several losses or was trained for one loss.
    training : Training or None
    features : str or None
        Features behind the Gelbrich distances.
    losses : dict of Distance, or None
        Gelbrich distance under each perception loss.
    coded_bits : (T,) tuple or None
        Bits of each frame in the file, container included.
    diversity : (T,) tuple or None
        Variance of a pixel over draws of the common randomness.
    gaussian_reference : (T,) tuple or None
        MMSE distortion that long codes reach on a Gaussian source with the same second moments.
    bounds : Bounds or None
    exact : Exact or None
        For clips whose source is known.
    mixtures : Mixtures or None
    universal_gap : UniversalGap or None
    fresh_w1 : dict of FreshCritic, or None
        By perception loss.
    digits : Permanence or None
    shift_defect : Distance or None
        Mean squared error of each frame and the nearest shift of the reconstruction before it, for
        sources whose next frame is a shift; zero for frame 1.
    blocks : BlockSamples or None
    """

    encoder: str | None = None
    training: Training | None = None
    features: str | None = None
    losses: Mapping[str, Distance] | None = None
    coded_bits: Values | None = None
    diversity: Values | None = None
    gaussian_reference: Values | None = None
    bounds: Bounds | None = None
    exact: Exact | None = None
    mixtures: Mixtures | None = None
    universal_gap: UniversalGap | None = None
    fresh_w1: Mapping[str, FreshCritic] | None = None
    digits: Permanence | None = None
    shift_defect: Distance | None = None
    blocks: BlockSamples | None = None


def own_loss(point: OperatingPoint) -> str:
    """Loss under which the perception of a point is measured: FMD for the MMSE decoder."""
    return point.plf if point.plf in PLFS else "FMD"


def trained(point: OperatingPoint) -> Training:
    """How the codec behind a point was trained; ValueError if the point does not say."""
    training = record_of(point).training
    if training is None:
        raise ValueError(f"training: missing from the record of {point.label}, {point.plf}")
    return training


def to_provenance(record: Record) -> dict[str, Any]:
    """The ``provenance`` of a point that holds this record."""
    out = _without_none(asdict(record))
    encoder = out.pop("encoder", None)
    if record.training is not None:
        out["training"]["rates"] = [r if math.isfinite(r) else "inf" for r in record.training.rates]
    return {"encoder": encoder, "record": {"version": VERSION, **out}}


def record_of(point: OperatingPoint) -> Record:
    """Read the record of a point; a point of another origin has an empty one.

    Raises
    ------
    ValueError
        The record has an unknown version, or a malformed or unknown field, which is named.
    """
    given = point.provenance
    content = given.get("record")
    if content is None:
        content = _from_version_1(given)
    elif not isinstance(content, Mapping) or content.get("version") != VERSION:
        found = content.get("version") if isinstance(content, Mapping) else content
        raise ValueError(f"record: version: expected {VERSION}, got {found!r}")
    values = {name: value for name, value in content.items() if name != "version"}
    _check_names("record", Record, values)
    read = {name: _read(f"record: {name}", READERS[name], value) for name, value in values.items()}
    return Record(encoder=given.get("encoder"), **read)


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value


def _read(where: str, reader: Callable[[Any], T], value: Any) -> T:
    try:
        return reader(value)
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{where}: {error}") from None


def _check_names(where: str, kind: type, values: Mapping[str, Any]) -> None:
    known = {field.name for field in fields(kind)}
    if unknown := sorted(set(values) - known):
        raise ValueError(f"{where}: {unknown[0]}: unknown field")


def _tuples(value: Any) -> Any:
    """Lists as tuples, at every depth; the text "inf" as the number."""
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    return math.inf if value == "inf" else value


def _fields_of(kind: Callable[..., T]) -> Callable[[Mapping[str, Any]], T]:
    return lambda value: kind(**{name: _tuples(item) for name, item in value.items()})


def _by_name(reader: Callable[[Any], T]) -> Callable[[Mapping[str, Any]], dict[str, T]]:
    return lambda value: {name: reader(item) for name, item in value.items()}


def _permanence(value: Mapping[str, Any]) -> Permanence:
    """Older records have intervals too, which depended on the share alone."""
    old = ("stay_wrong_half", "same_digit_half")
    return Permanence(**{name: item for name, item in value.items() if name not in old})


def _blocks(value: Mapping[str, Any]) -> BlockSamples:
    return BlockSamples(**{**value, "sample_w2": _by_name(_tuples)(value["sample_w2"])})


READERS: dict[str, Callable[[Any], Any]] = {
    "training": _fields_of(Training),
    "features": str,
    "losses": _by_name(_fields_of(Distance)),
    "coded_bits": _tuples,
    "diversity": _tuples,
    "gaussian_reference": _tuples,
    "bounds": _fields_of(Bounds),
    "exact": _fields_of(Exact),
    "mixtures": _fields_of(Mixtures),
    "universal_gap": _fields_of(UniversalGap),
    "fresh_w1": _by_name(_fields_of(FreshCritic)),
    "digits": _permanence,
    "shift_defect": _fields_of(Distance),
    "blocks": _blocks,
}


def _from_version_1(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of version 1 under the names of now; what another program wrote is left alone."""
    same = ("features", "coded_bits", "diversity", "gaussian_reference", "mixtures",
            "universal_gap", "digits")  # fmt: skip
    out = {name: given[name] for name in same if given.get(name) is not None}
    if "experiment" in given and "stage" in given:
        names = {"experiment": "experiment", "stage": "stage", "rates": "rates",
                 "training_seed": "seed", "frames": "frames", "steps": "steps",
                 "training_seconds": "seconds", "device": "device"}  # fmt: skip
        out["training"] = {new: given[old] for old, new in names.items() if old in given}
    if "losses" in given:
        out["losses"] = {
            loss: {"value": [value for value, _ in rows], "half": [half for _, half in rows]}
            for loss, rows in given["losses"].items()
        }
    if isinstance(given.get("bounds"), Mapping):
        bounds = dict(given["bounds"])
        if "reference" in bounds:
            bounds["repeated_frame"] = bounds.pop("reference")
        out["bounds"] = bounds
    if "fresh_w1" in given:
        out["fresh_w1"] = {
            loss: {"value": found["value"][0], "half": found["interval"][0], "path": found["path"]}
            for loss, found in given["fresh_w1"].items()
        }
    if "sample_w2" in given:
        out["blocks"] = {
            "block": given["block"], "sequences": given["n"], "sample_w2": given["sample_w2"]
        }  # fmt: skip
    return out
