"""Perception loss functions: which law the reconstruction has to keep, and how closely."""

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
    """Base of the perception loss functions: thresholds P_t on a divergence between laws.

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
        levels = np.asarray(self.levels)
        if levels.ndim == 1 and levels.shape != (frames,):
            raise ValueError(
                f"levels: expected shape ({frames},) for {frames} frames, got {levels.shape}"
            )
        return np.array(np.broadcast_to(levels, (frames,)), dtype=np.float64)

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
    r"""PLF-SA, self-adaptive: the new frame is compared given the frames already shown.

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
LOSSES = ("MMSE", *PLFS)  # with the name of no perception loss


def perception(name: str, levels: ArrayLike = 0.0, metric: str = "w2") -> Perception | None:
    """Return a perception loss function by name; "MMSE" (no perception loss) is None.

    Parameters
    ----------
    name : {"MMSE", "FMD", "JD", "SA"}
        Which loss function; case does not matter.
    levels : float or (T,) array, >= 0
        Thresholds.
    metric : {"w2", "kl"}
        Divergence; "kl" is for FMD alone.

    Raises
    ------
    ValueError
        Unknown name, or a metric the loss function does not take.
    """
    key = name.upper() if isinstance(name, str) else name
    if key not in LOSSES:
        raise ValueError(f"perception: expected one of {', '.join(LOSSES)}, got {name!r}")
    if key in ("MMSE", "FMD"):
        loss = FMD(levels, metric=metric)  # what MMSE has no use for is checked all the same
        return loss if key == "FMD" else None
    if metric != "w2":
        raise ValueError(f"metric: expected 'w2' for {key}, got {metric!r}")
    return PLFS[key](levels)
