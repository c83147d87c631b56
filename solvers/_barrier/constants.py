"""Tolerances, statuses and codes of the compiled solvers."""

from __future__ import annotations

# -- codes of the perception losses --------------------------------------------------------------
JD, SA = 1, 2

# -- statuses of a point -------------------------------------------------------------------------
SOLVED = 0  # the certified gap is within tolerance
UNCERTIFIED = 1
NO_START = 2  # the start is not an interior point

# -- statuses of a path, besides SOLVED ----------------------------------------------------------
STALLED, LIMIT = 1, 2

# -- tolerances ----------------------------------------------------------------------------------
TOLERANCE = 1e-8  # of the barrier method, relative to the objective
CERTIFIED = 1e-7  # gap, relative to the objective, that ends the search
ACCEPTED = 1e-6  # gap above which a point is reported as failed
# A frame that meets its threshold leaves to the next a slack of the order of rounding. The next
# distortion depends on the root of that slack: the certificate is no sharper.
ACCEPTED_SEQUENTIAL = 1e-5
ROUNDING = 1e-14  # of the root of squared W2, relative to the deviation of the frame
FLOOR_SEQUENTIAL = 1e-24  # of a frame, relative to its variance: a distortion of 0
FLOOR = 1e-13  # relative to the weighted variance: what double precision resolves

# -- start of the path ---------------------------------------------------------------------------
SHRINK = 0.9  # share of the gains of a perfect-realism decoder
START = 0.03  # barrier parameter, relative to the weighted variance of a constraint
