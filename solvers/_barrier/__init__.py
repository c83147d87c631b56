"""Compiled kernels of the barrier method.

`batch` runs many points with `two_frames` (JD, weighted, two frames), `weighted` or `sequential`.
The general method is in `path`, with one module for each operation of a step.
"""
