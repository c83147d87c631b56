"""Perception loss functions: which distribution the reconstruction keeps, and how closely."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from rdp import _check

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Perception:
    """Base of the perception loss functions: thresholds P_t on a divergence of distributions.

    Parameters
    ----------
    levels : float or (T,) array, >= 0
        Threshold P_t of each frame; a scalar holds for all frames. 0 is perfect realism, inf no
        constraint. Squared units of the source for ``metric="w2"``, nats for ``"kl"``.
    """

    levels: ArrayLike = 0.0
    name: ClassVar[str] = ""
    metric: ClassVar[str] = "w2"

    def __post_init__(self) -> None:
        """Validate the thresholds and freeze them."""
        if type(self) is Perception:
            raise ValueError("Perception: expected FMD, JD or SA; the base class is no loss")
        levels = _check.nonnegative("levels", self.levels, ndim=(0, 1))
        object.__setattr__(
            self, "levels", float(levels) if levels.ndim == 0 else _check.frozen(levels)
        )

    def thresholds(self, frames: int) -> Array:
        """Return the thresholds of all frames, shape (frames,).

        Parameters
        ----------
        frames : int
            Number of frames T.

        Raises
        ------
        ValueError
            If levels is an array of another length.
        """
        return np.array(_check.per_frame("levels", np.asarray(self.levels), frames))

    def at(self, levels: ArrayLike) -> Perception:
        """Return the same loss function with other thresholds.

        Parameters
        ----------
        levels : float or (T,) array, >= 0
            The new thresholds.
        """
        return replace(self, levels=levels)

    def over(self, levels: Array) -> Perception:
        """Return the same loss function on len(levels) frames; a window is cut to their number.

        Parameters
        ----------
        levels : (n,) array, >= 0
            Thresholds of n frames.
        """
        return self.at(levels)

    def simplest(self, frames: int) -> Perception:
        """Return the plainest loss function with the same constraint on a number of frames.

        Parameters
        ----------
        frames : int
            Number of frames T. A window of 1 is PLF-FMD, a window of T is PLF-JD.
        """
        return self

    def first_seen(self, t: int) -> int:
        """Return the first of the frames that the constraint on frame t compares, both from 0.

        Parameters
        ----------
        t : int
            Position of the frame, from 0.
        """
        return 0


@dataclass(frozen=True, eq=False)
class FMD(Perception):
    r"""PLF-FMD, framewise marginal: :math:`\phi(P_{X_t}, P_{\hat X_t}) \le P_t`.

    Parameters
    ----------
    levels : float or (T,) array, >= 0
        Threshold P_t of each frame; a scalar holds for all. 0 is perfect realism, inf is free.
    metric : {"w2", "kl"}
        Squared Wasserstein-2 distance, or KL(reconstruction || source) in nats.

    Notes
    -----
    Defined in Salehkalaibar et al., arXiv:2305.19301.

    Examples
    --------
    >>> FMD(levels=0.1).thresholds(3)
    array([0.1, 0.1, 0.1])
    """

    metric: str = "w2"  # type: ignore[misc]
    name: ClassVar[str] = "FMD"

    def __post_init__(self) -> None:
        """Validate the metric too."""
        super().__post_init__()
        if self.metric not in ("w2", "kl"):
            raise ValueError(f"metric: expected 'w2' or 'kl', got {self.metric!r}")

    def first_seen(self, t: int) -> int:
        """Return t: each frame is compared by itself.

        Parameters
        ----------
        t : int
            Position of the frame, from 0.
        """
        return t


@dataclass(frozen=True, eq=False)
class JD(Perception):
    r"""PLF-JD, joint: :math:`W_2^2(P_{X_1..X_t}, P_{\hat X_1..\hat X_t}) \le P_t`.

    With a window of w frames, PLF-JD(w):
    :math:`W_2^2(P_{X_{t-w+1}..X_t}, P_{\hat X_{t-w+1}..\hat X_t}) \le P_t`.

    Parameters
    ----------
    levels : float or (T,) array, >= 0
        Threshold P_t of each frame; a scalar holds for all. 0 is perfect realism, inf is free.
    window : int or None
        Number w of consecutive frames that are compared, from 1 (PLF-FMD) to T; None is all frames
        up to frame t.

    Notes
    -----
    Defined in Salehkalaibar et al., arXiv:2305.19301; the window in this project.

    Examples
    --------
    >>> JD(0.1, window=2)
    JD(levels=0.1, window=2)
    >>> JD(0.1, window=2).name
    'JD(2)'
    """

    window: int | None = None
    name: ClassVar[str] = "JD"

    def __post_init__(self) -> None:
        """Validate the window too."""
        super().__post_init__()
        if self.window is not None:
            object.__setattr__(self, "window", _check.count("window", self.window))
            object.__setattr__(self, "name", f"JD({self.window})")

    def __repr__(self) -> str:
        window = "" if self.window is None else f", window={self.window}"
        return f"JD(levels={self.levels!r}{window})"

    def thresholds(self, frames: int) -> Array:
        """Return the thresholds of all frames, shape (frames,).

        Parameters
        ----------
        frames : int
            Number of frames T.

        Raises
        ------
        ValueError
            If levels is an array of another length, or the window is beyond T.
        """
        if self.window is not None and self.window > frames:
            raise ValueError(
                f"window: expected at most {frames}, the number of frames, got {self.window}"
            )
        return super().thresholds(frames)

    def over(self, levels: Array) -> JD:
        """Return the same loss function on len(levels) frames; a window is cut to their number.

        Parameters
        ----------
        levels : (n,) array, >= 0
            Thresholds of n frames.
        """
        window = None if self.window is None else min(self.window, len(levels))
        return JD(levels, window)

    def simplest(self, frames: int) -> Perception:
        """Return PLF-FMD for a window of 1, PLF-JD without window for one of all frames.

        Parameters
        ----------
        frames : int
            Number of frames T.
        """
        if self.window == frames:
            return JD(self.levels)
        return FMD(self.levels) if self.window == 1 else self

    def first_seen(self, t: int) -> int:
        """Return the first of the frames that the constraint on frame t compares, both from 0.

        Parameters
        ----------
        t : int
            Position of the frame, from 0.
        """
        return 0 if self.window is None else max(0, t + 1 - self.window)


@dataclass(frozen=True, eq=False)
class SA(Perception):
    r"""PLF-SA, self-adaptive: the new frame is compared given the earlier reconstructions.

    :math:`W_2^2(P_{\hat X_1..\hat X_{t-1}, X_t}, P_{\hat X_1..\hat X_t}) \le P_t`.

    Parameters
    ----------
    levels : float or (T,) array, >= 0
        Threshold P_t of each frame; a scalar holds for all. 0 is perfect realism, inf is free.

    Notes
    -----
    Defined in Salehkalaibar et al., arXiv:2502.10628.
    """

    name: ClassVar[str] = "SA"


@dataclass(frozen=True, eq=False)
class CP(Perception):
    r"""Conditional perception: a reconstruction that is likely given the bits received so far.

    :math:`E\, W_2^2(P_{X_t | X_r^t}, P_{\hat X_t | X_r^t}) \le P_t`, X_r the representation. At
    P = 0 the decoder samples the posterior, as diffusion decoders do.

    Parameters
    ----------
    levels : float or (T,) array, >= 0
        Threshold P_t of each frame; a scalar holds for all. 0 is perfect realism, inf is free.

    Notes
    -----
    Defined in Salehkalaibar et al., arXiv:2401.12207. It compares distributions given the bits,
    which cannot be measured from pairs of source and reconstruction: `LOSSES`, the losses
    that codecs have decoders and critics for, does not hold it.
    """

    name: ClassVar[str] = "CP"


PLFS: dict[str, type[Perception]] = {"FMD": FMD, "JD": JD, "SA": SA}
LOSSES = ("MMSE", *PLFS)  # "MMSE" is the name of no perception loss; CP has no samples to compare


_WINDOWED = re.compile(r"JD\((\d+)\)")


def perception(
    loss: Perception | str | None,
    levels: ArrayLike | None = None,
    metric: str | None = None,
    window: int | None = None,
) -> Perception | None:
    """Return a perception loss function from any way of writing it; None for no loss.

    Parameters
    ----------
    loss : FMD, JD, SA, CP, {"MMSE", "FMD", "JD", "JD(w)", "SA", "CP"} or None
        The loss function or its name in any case, also as "PLF-JD"; "MMSE" and None are no
        perception loss, "JD(2)" is PLF-JD with a window of 2 frames.
    levels : float or (T,) array, >= 0, or None
        Thresholds; None is 0 for a name, and those of the loss function for a loss function.
    metric : {"w2", "kl"} or None
        Divergence, "w2" if None; "kl" is for FMD alone.
    window : int or None
        Window of PLF-JD, if the loss does not bring one.

    Raises
    ------
    ValueError
        Unknown name, bad thresholds, or a metric or a window the loss function does not take.

    Examples
    --------
    >>> perception("jd")
    JD(levels=0.0)
    >>> perception("jd(2)")
    JD(levels=0.0, window=2)
    >>> perception(JD(0.1)).levels
    0.1
    """
    if isinstance(loss, Perception):
        if metric is not None and metric != loss.metric:
            raise ValueError(f"metric: expected {loss.metric!r} like {loss!r}, got {metric!r}")
        return _windowed(loss if levels is None else loss.at(levels), window)
    key = _key("perception", loss)
    given = FMD(0.0 if levels is None else levels, metric="w2" if metric is None else metric)
    if key in ("MMSE", "FMD"):
        return _windowed(given if key == "FMD" else None, window)
    if given.metric != "w2":
        raise ValueError(f"metric: expected 'w2' for {key}, got {metric!r}")
    return _windowed(_named(key, given.levels), window)


def _named(key: str, levels: ArrayLike) -> Perception:
    found = _WINDOWED.fullmatch(key)
    if found is not None:
        return JD(levels, int(found[1]))
    return CP(levels) if key == CP.name else PLFS[key](levels)


def _windowed(loss: Perception | None, window: int | None) -> Perception | None:
    """Loss with a window that is given beside it."""
    if window is None:
        return loss
    if not isinstance(loss, JD):
        name = "MMSE" if loss is None else loss.name
        raise ValueError(f"window: expected PLF-JD, the only loss with a window, got {name}")
    if loss.window not in (None, window):
        raise ValueError(f"window: expected {loss.window} like {loss!r}, got {window!r}")
    return replace(loss, window=window)


def _key(argument: str, loss: str | None) -> str:
    """Name of a loss in capitals, or ValueError naming the argument that holds it."""
    if isinstance(loss, type) and issubclass(loss, Perception):
        example = "JD" if loss is Perception else loss.__name__
        raise ValueError(
            f"{argument}: expected a loss with its thresholds, such as {example}(0), "
            f"got the class {loss.__name__}"
        )
    key = "MMSE" if loss is None else loss.upper() if isinstance(loss, str) else ""
    key = key.removeprefix("PLF-")
    if found := _WINDOWED.fullmatch(key):
        return JD(0.0, int(found[1])).name
    if key not in (*LOSSES, CP.name):
        raise ValueError(f"{argument}: expected one of {', '.join(LOSSES)}, got {loss!r}")
    return key


def loss_name(
    loss: Perception | str | None,
    argument: str = "plf",
    windows: bool = False,
    conditional: bool = False,
) -> str:
    """Return the name of a perception loss: "MMSE" (none), "FMD", "JD" or "SA".

    Parameters
    ----------
    loss : FMD, JD, SA, {"MMSE", "FMD", "JD", "SA"} or None
        The loss function, whose thresholds play no role, or its name in any case.
    argument : str
        Name of the argument, for the error message.
    windows : bool
        Accept PLF-JD with a window too, such as "JD(2)".
    conditional : bool
        Accept CP too.

    Raises
    ------
    ValueError
        Unknown name, or a window or CP where it is not accepted.

    Examples
    --------
    >>> loss_name("jd"), loss_name(JD(0.1)), loss_name(None)
    ('JD', 'JD', 'MMSE')
    """
    name = loss.name if isinstance(loss, Perception) else _key(argument, loss)
    accepted = conditional if name == CP.name else windows or name in LOSSES
    if not accepted:
        raise ValueError(f"{argument}: expected one of {', '.join(LOSSES)}, got {loss!r}")
    return name


def zero_loss_name(
    loss: Perception | str | None, argument: str = "plf", windows: bool = False
) -> str:
    """Return the name of a perception loss at threshold 0, and refuse any other threshold.

    Parameters
    ----------
    loss : FMD, JD, SA, {"MMSE", "FMD", "JD", "SA"} or None
        The loss function or its name in any case.
    argument : str
        Name of the argument, for the error message.
    windows : bool
        Accept PLF-JD with a window too, such as "JD(2)".

    Raises
    ------
    ValueError
        Unknown name, a positive threshold, or a window where none is accepted.
    """
    if isinstance(loss, Perception) and np.any(loss.levels):
        raise ValueError(f"{argument}: expected {loss.name} at threshold 0, got {loss!r}")
    return loss_name(loss, argument, windows)
