"""Options of an evaluation: the table ``[options.evaluation]`` of a configuration file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeVar

from rdp.operating_point import KINDS

T = TypeVar("T")


@dataclass(frozen=True)
class ClipEvaluation:
    """How a codec of clips is measured.

    Parameters
    ----------
    clips : int, >= 2
        Held-out clips.
    seed : int
        Seed of clips, streams, fresh critics and classifier.
    critic_steps : int
        Steps of each fresh critic; 0 leaves W1 out.
    critic_batch, critic_clips : int
        Clips in each of these steps, and training clips in all.
    classifier_steps : int
        Steps of the classifier of digits; 0 leaves it out.
    draws : int
        Draws of the common randomness behind the diversity; fewer than 2 leave it out.
    frequencies : int
        DCT coefficients in each direction, for the Gelbrich distance.
    reference_clips : int
        Training clips that the Gaussian reference is fitted to; 0 leaves it out.
    kind : {"measured", "reduced"}
        "reduced" for a codec of less than full size.
    """

    clips: int = 2000
    seed: int = 7
    critic_steps: int = 0
    critic_batch: int = 64
    critic_clips: int = 2000
    classifier_steps: int = 0
    draws: int = 8
    frequencies: int = 12
    reference_clips: int = 0
    kind: str = "measured"

    def __post_init__(self) -> None:
        """Refuse values that cannot be measured with."""
        _at_least(2, clips=self.clips)
        _at_least(1, critic_batch=self.critic_batch, critic_clips=self.critic_clips)
        _at_least(1, frequencies=self.frequencies)
        _at_least(0, seed=self.seed, critic_steps=self.critic_steps, draws=self.draws)
        _at_least(0, classifier_steps=self.classifier_steps, reference_clips=self.reference_clips)
        _check_kind(self.kind)


@dataclass(frozen=True)
class BlockEvaluation:
    """How a codec of blocks of a known source is measured.

    Parameters
    ----------
    n : int
        Sequences in each stream, a multiple of the size of a block.
    seed : int
        Seed of the samples; stream number i, from 0, uses seed + i.
    repeats : int, >= 2
        Independent streams, from which the interval of the rate follows.
    kind : {"measured", "reduced"}
        "reduced" for a codec of less than full size.
    """

    n: int
    seed: int
    repeats: int = 8
    kind: str = "measured"

    def __post_init__(self) -> None:
        """Refuse values that cannot be measured with."""
        _at_least(2, repeats=self.repeats)
        _at_least(1, n=self.n)
        _at_least(0, seed=self.seed)
        _check_kind(self.kind)


def read_options(kind: type[T], table: Mapping[str, Any]) -> T:
    """Build options from a table of a configuration file.

    Raises
    ------
    ValueError
        An option is unknown, missing or malformed; the message names it.
    """
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    for name in table:
        if name not in known:
            raise ValueError(f"evaluation: expected options {', '.join(known)}, got {name!r}")
    for name, field in known.items():
        if field.default is MISSING and name not in table:
            raise ValueError(f"evaluation: {name}: missing")
    try:
        return kind(**table)
    except ValueError as error:
        raise ValueError(f"evaluation: {error}") from None


def _at_least(least: int, **values: Any) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name}: expected an integer >= {least}, got {value!r}")


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
