"""Rate, distortion and perception of sequential compression: what the quantities are."""

from rdp.operating_point import OperatingPoint, load_points, save_points
from rdp.perception import CP, FMD, JD, SA, Perception, perception
from rdp.problem import Problem
from rdp.scalar import scalar_distortion, scalar_rate
from rdp.solution import Solution, Status
from rdp.source import GaussMarkov, SourceFit

__all__ = [
    "CP",
    "FMD",
    "JD",
    "SA",
    "GaussMarkov",
    "OperatingPoint",
    "Perception",
    "Problem",
    "Solution",
    "SourceFit",
    "Status",
    "load_points",
    "perception",
    "save_points",
    "scalar_distortion",
    "scalar_rate",
]
