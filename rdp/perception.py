"""Perception loss functions: which distribution the reconstruction keeps, and how closely."""

from __future__ import annotations

from dataclasses import dataclass
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
        return type(self)(levels)


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

    def at(self, levels: ArrayLike) -> FMD:
        """Return the same loss function with other thresholds.

        Parameters
        ----------
        levels : float or (T,) array, >= 0
            The new thresholds.
        """
        return FMD(levels, metric=self.metric)


@dataclass(frozen=True, eq=False)
class JD(Perception):
    r"""PLF-JD, joint: :math:`W_2^2(P_{X_1..X_t}, P_{\hat X_1..\hat X_t}) \le P_t`.

    Parameters
    ----------
    levels : float or (T,) array, >= 0
        Threshold P_t of each frame; a scalar holds for all. 0 is perfect realism, inf is free.

    Notes
    -----
    Defined in Salehkalaibar et al., arXiv:2305.19301.
    """

    name: ClassVar[str] = "JD"


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


PLFS: dict[str, type[Perception]] = {"FMD": FMD, "JD": JD, "SA": SA}
LOSSES = ("MMSE", *PLFS)  # "MMSE" is the name of no perception loss


def perception(
    loss: Perception | str | None, levels: ArrayLike | None = None, metric: str | None = None
) -> Perception | None:
    """Return a perception loss function from any way of writing it; None for no loss.

    Parameters
    ----------
    loss : FMD, JD, SA, {"MMSE", "FMD", "JD", "SA"} or None
        The loss function or its name in any case; "MMSE" and None are no perception loss.
    levels : float or (T,) array, >= 0, or None
        Thresholds; None is 0 for a name, and those of the loss function for a loss function.
    metric : {"w2", "kl"} or None
        Divergence, "w2" if None; "kl" is for FMD alone.

    Raises
    ------
    ValueError
        Unknown name, bad thresholds, or a metric the loss function does not take.

    Examples
    --------
    >>> perception("jd")
    JD(levels=0.0)
    >>> perception(JD(0.1)).levels
    0.1
    """
    if isinstance(loss, Perception):
        if metric is not None and metric != loss.metric:
            raise ValueError(f"metric: expected {loss.metric!r} like {loss!r}, got {metric!r}")
        return loss if levels is None else loss.at(levels)
    key = "MMSE" if loss is None else loss.upper() if isinstance(loss, str) else ""
    if key not in LOSSES:
        raise ValueError(f"perception: expected one of {', '.join(LOSSES)}, got {loss!r}")
    given = FMD(0.0 if levels is None else levels, metric="w2" if metric is None else metric)
    if key in ("MMSE", "FMD"):
        return given if key == "FMD" else None
    if given.metric != "w2":
        raise ValueError(f"metric: expected 'w2' for {key}, got {metric!r}")
    return PLFS[key](given.levels)


def loss_name(loss: Perception | str | None) -> str:
    """Return the name of a perception loss: "MMSE" (none), "FMD", "JD" or "SA".

    Parameters
    ----------
    loss : FMD, JD, SA, {"MMSE", "FMD", "JD", "SA"} or None
        The loss function, whose thresholds play no role, or its name in any case.

    Examples
    --------
    >>> loss_name("jd"), loss_name(JD(0.1)), loss_name(None)
    ('JD', 'JD', 'MMSE')
    """
    given = perception(loss)
    return "MMSE" if given is None else given.name


def zero_loss_name(loss: Perception | str | None) -> str:
    """Return the name of a perception loss at threshold 0, and refuse any other threshold.

    Parameters
    ----------
    loss : FMD, JD, SA, {"MMSE", "FMD", "JD", "SA"} or None
        The loss function or its name in any case.

    Raises
    ------
    ValueError
        Unknown name, or a positive threshold.
    """
    given = perception(loss)
    if given is not None and np.any(given.levels):
        raise ValueError(f"perception: expected {given.name} at threshold 0, got {given!r}")
    return loss_name(given)
