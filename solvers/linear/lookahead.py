"""The decoder with lookahead for scalar sources of any order, as a scheme that can be simulated."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rdp import _check
from rdp.linear_source import innovations, scalar
from solvers.linear.decoder import Reconstruction
from solvers.linear.held_back import demand, hold_back, innovations_of
from solvers.linear.measurement import Representation

Array = np.ndarray


class Plan(NamedTuple):
    """Best decoder for given weights.

    Parameters
    ----------
    reconstruction : Reconstruction
        The decoder.
    objective : float
        sum_t w_t D_t.
    lower_bound : float
        No decoder of this representation has a smaller objective.
    """

    reconstruction: Reconstruction
    objective: float
    lower_bound: float


def plan(representation: Representation, weights: object) -> Plan:
    r"""Least weighted distortion at perfect joint realism over the decoders of a representation.

    .. math:: \min \sum_t w_t D_t \quad\text{s.t.}\quad P_{\hat X_1..\hat X_T} = P_{X_1..X_T}.

    Parameters
    ----------
    representation : Representation
        Measurements of a scalar source of any order, see `represent`.
    weights : (T,) array, >= 0
        w_t.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError
        Weights of the wrong shape, negative or infinite.
    SolverError
        The solver failed.

    Notes
    -----
    Derived in this project, see `held_back`. The time is linear in T.

    Examples
    --------
    >>> from rdp.autoregressive import AutoRegressive
    >>> from solvers.linear.measurement import represent
    >>> sent = represent(AutoRegressive([0.9]), [0.05, 8, 8])
    >>> plan(sent, [0, 0, 1]).reconstruction.distortion.round(3)
    array([1.482, 0.947, 0.514])
    """
    source, frames = representation.source, len(representation.rates)
    w = _check.finite("weights", _check.nonnegative("weights", weights, ndim=1))
    if w.shape != (frames,):
        raise ValueError(f"weights: expected shape ({frames},), got {w.shape}")
    a, _, h = scalar(source)
    own = innovations(source, frames).gain[:, :, None]
    arriving = representation.gain[:, :, None]
    wanted, _ = demand(a, h[None], own, w)
    answer = hold_back(a, arriving, wanted)
    rows = innovations_of(a, arriving, answer)
    factor = source.factor(frames)
    made = Reconstruction(
        source.covariance(frames),
        representation.factor,
        np.tril(factor @ rows.from_estimate),
        np.tril(factor @ rows.from_noise),
    )
    objective = float(w @ made.distortion)
    return Plan(made, objective, objective - 2 * max(answer.gap, 0.0))
