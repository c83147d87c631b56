"""What is asked: a source, rates, a perception loss and an objective, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rdp import _check
from rdp.linear_source import LinearFrames, LinearSource, need_first_order
from rdp.perception import Perception
from rdp.perception import perception as as_perception
from rdp.source import GaussMarkov

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Array = np.ndarray

_LARGEST = 1e307  # of the variance of all frames, so that a few times as much is a number


@dataclass(frozen=True, eq=False)
class Problem:
    r"""Least distortion at given rates and perception thresholds.

    Minimise :math:`\sum_t w_t D_t`, or :math:`D_1`, then :math:`D_2` given that, and so on, over
    causal encoders of rates :math:`R_t` and causal decoders with common randomness, subject to
    the perception loss being at most :math:`P_t` at every frame;
    :math:`D_t = E\|X_t - \hat X_t\|^2`.

    Parameters
    ----------
    source : GaussMarkov, AutoRegressive, StateSpace or LinearFrames
        T frames, scalar or with d modes; scalar for sources of higher order. An AutoRegressive or
        a StateSpace has no T of its own: the rates (or thresholds, or weights) give it, and the
        field holds the :class:`rdp.LinearFrames`.
    rates : float or (T,) array, >= 0, bits per frame
        Rate of each frame; a scalar holds for all frames; inf allowed. For vector frames, the
        total over the modes.
    perception : FMD, JD, SA, CP, str or None
        Perception loss with its thresholds, such as JD(0.1). A name in any case, such as "JD", is
        the loss at threshold 0; None and "MMSE" ask for the least distortion alone.
    weights : (T,) array, >= 0, or None
        Weights of the distortions; None is the sequential objective of the papers.
    encoder : {"optimal", "mmse"}
        Encoder designed for this problem, or the encoder designed for mean squared error alone.
        For sources of higher order "mmse" measures the frame itself, which gives the least m_1,
        then the least m_2, and so on. The long run has another encoder of that name: that of the
        least mean m_t (`solvers.steady_state`).
    common_randomness : float or (T,) array, >= 0, bits per frame
        Random bits that encoder and decoder share, for each frame. inf is no limit; a finite number
        is for scalar frames, PLF-FMD and PLF-JD, at threshold 0.

    Raises
    ------
    ValueError
        Negative or NaN rates, shapes that do not match the source, an unknown encoder, a source
        without a number of frames where no argument gives one.

    Examples
    --------
    >>> from rdp import JD
    >>> problem = Problem(GaussMarkov.stationary(rho=0.9, frames=2), rates=0.5, perception=JD(0.1))
    >>> problem.rates
    array([0.5, 0.5])
    """

    # Declared as what nearly all methods take: the registry gives them nothing else, and other
    # functions ask `need_first_order`. At run time it may be a LinearFrames.
    source: GaussMarkov
    rates: Array
    perception: Perception | None = None
    weights: Array | None = None
    encoder: str = "optimal"
    common_randomness: Array = field(default_factory=lambda: np.array(np.inf))

    if TYPE_CHECKING:  # what may be given; the fields say what is kept

        def __init__(
            self,
            source: GaussMarkov | LinearFrames | LinearSource,
            rates: ArrayLike,
            perception: Perception | str | None = None,
            weights: ArrayLike | None = None,
            encoder: str = "optimal",
            common_randomness: ArrayLike = np.inf,
        ) -> None: ...

    def __post_init__(self) -> None:
        """Validate everything against the source and freeze it."""
        object.__setattr__(self, "perception", as_perception(self.perception))
        object.__setattr__(self, "source", self._with_frames(self.source))
        if self.perception is not None:
            self.perception.thresholds(self.source.frames)
        if self.encoder not in ("optimal", "mmse"):
            raise ValueError(f"encoder: expected 'optimal' or 'mmse', got {self.encoder!r}")
        object.__setattr__(self, "rates", self._per_frame("rates", self.rates))
        if self.weights is not None:
            weights = _check.finite("weights", self._per_frame("weights", self.weights))
            if not weights.any():
                raise ValueError("weights: expected at least one weight > 0, got all zero")
            object.__setattr__(self, "weights", weights)
        self._check_size()
        shared = self._per_frame("common_randomness", self.common_randomness)
        object.__setattr__(self, "common_randomness", shared)
        if self.limited:
            self._check_shared_bits()

    def _with_frames(self, source: object) -> GaussMarkov | LinearFrames:
        """The source with its number of frames, which the other arguments may have to give."""
        if isinstance(source, (GaussMarkov, LinearFrames)):
            return source
        if not isinstance(source, LinearSource):
            raise ValueError(
                f"source: expected a GaussMarkov, got {type(source).__name__}; an AutoRegressive "
                "or a StateSpace is taken too"
            )
        levels = None if self.perception is None else self.perception.levels
        for value in (self.rates, levels, self.weights, self.common_randomness):
            if np.ndim(value) == 1 and len(value) > 0:  # type: ignore[arg-type]
                return LinearFrames(source, len(value))  # type: ignore[arg-type]
        kind = type(source).__name__
        raise ValueError(
            f"rates: expected one for each frame, as {kind} has no number of frames; or give the "
            f"source as LinearFrames(source, frames)"
        )

    def _check_size(self) -> None:
        """Sums of variances are numbers: tolerances are relative to them."""
        if not isinstance(self.source, GaussMarkov):
            return
        with np.errstate(over="ignore"):
            spread = np.square(self.source.sigma).reshape(self.source.frames, -1).sum(axis=1)
            totals = {"sigma": spread.sum(), "weights": self.frame_weights @ spread}
        for name, total in totals.items():
            if total > _LARGEST:
                kind = "weighted variances" if name == "weights" else "variances"
                raise ValueError(
                    f"{name}: expected {kind} whose sum is at most {_LARGEST:g}, got {total:.3g}"
                )

    def _check_shared_bits(self) -> None:
        """Limited common randomness is defined for PLF-FMD and PLF-JD at threshold 0."""
        name = "common_randomness: expected inf for"
        self.need_first_order("limited common randomness")
        if self.source.modes is not None:
            raise ValueError(f"{name} vector frames")
        if self.simplest().plf not in ("FMD", "JD"):
            raise ValueError(f"{name} {self.plf}; a limit is defined for PLF-FMD and PLF-JD")
        if self.thresholds.any():
            raise ValueError(f"{name} positive thresholds; a limit is defined at threshold 0")

    def _per_frame(self, name: str, value: object) -> Array:
        out = _check.nonnegative(name, value)
        return _check.frozen(_check.per_frame(name, out, self.source.frames))

    @property
    def first_order(self) -> bool:
        """Whether the source is a GaussMarkov, which most methods need."""
        return isinstance(self.source, GaussMarkov)

    @property
    def markov(self) -> bool:
        """Whether a frame says all about the later ones: a GaussMarkov, or one state."""
        source: object = self.source
        return not isinstance(source, LinearFrames) or source.order == 1

    def need_first_order(self, what: str) -> None:
        """Raise ValueError unless the source is a GaussMarkov.

        Parameters
        ----------
        what : str
            What needs it, for the message.
        """
        need_first_order(what, self.source)

    @property
    def scheme_and_bound(self) -> bool:
        """Whether what is best may lie between a scheme and a bound: the status "achievable".

        So it is with limited common randomness, and with weights and the optimal encoder for
        sources of more than one state.
        """
        free = self.weights is not None and self.encoder == "optimal"
        return self.limited or (free and not self.markov)

    @property
    def limited(self) -> bool:
        """Whether the common randomness of any frame is limited."""
        return bool(np.isfinite(self.common_randomness).any())

    @property
    def frame_weights(self) -> Array:
        """Weights of the distortions in the objective (T,); 1 for the sequential objective."""
        return np.ones(self.source.frames) if self.weights is None else self.weights

    @property
    def plf(self) -> str:
        """Name of the loss: "MMSE" (none), "FMD", "JD", "JD(w)" with a window, "SA" or "CP"."""
        return "MMSE" if self.perception is None else self.perception.name

    @property
    def thresholds(self) -> Array:
        """Perception thresholds (T,); inf where there is no constraint."""
        frames = self.source.frames
        return (
            np.full(frames, np.inf)
            if self.perception is None
            else self.perception.thresholds(frames)
        )

    def simplest(self) -> Problem:
        """Return the same problem with the plainest loss: a window of 1 is PLF-FMD, of T PLF-JD."""
        if self.perception is None:
            return self
        loss = self.perception.simplest(self.source.frames)
        return self if loss is self.perception else replace(self, perception=loss)

    def first_seen(self, t: int) -> int:
        """Return the first of the frames that the constraint on frame t compares, both from 0.

        Parameters
        ----------
        t : int
            Position of the frame, from 0.
        """
        return 0 if self.perception is None else self.perception.first_seen(t)

    def with_(self, **changes: Any) -> Problem:
        """Return a copy with some fields replaced.

        Parameters
        ----------
        **changes : Any
            Fields of Problem and their new values.
        """
        return replace(self, **changes)
