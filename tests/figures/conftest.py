"""Fixtures of the figures of video codecs."""

from tests.figures.toy_video import results, toy

__all__ = ["results", "toy"]
