"""Rate, distortion and perception of sequential compression: what the quantities are."""

from rdp.autoregressive import AutoRegressive, AutoRegressiveFit, fit_modes
from rdp.linear_source import LinearFrames
from rdp.operating_point import OperatingPoint, load_points, save_points
from rdp.perception import CP, FMD, JD, SA, Perception, perception
from rdp.problem import Problem
from rdp.scalar import scalar_distortion, scalar_rate
from rdp.solution import Solution, Status
from rdp.source import GaussMarkov, SourceFit
from rdp.state_space import StateSpace

__all__ = [
    "CP",
    "FMD",
    "JD",
    "SA",
    "AutoRegressive",
    "AutoRegressiveFit",
    "GaussMarkov",
    "LinearFrames",
    "OperatingPoint",
    "Perception",
    "Problem",
    "Solution",
    "SourceFit",
    "StateSpace",
    "Status",
    "fit_modes",
    "load_points",
    "perception",
    "save_points",
    "scalar_distortion",
    "scalar_rate",
]
