"""`python -m solvers.cli`: the command `rdp`, from a clone that is not installed."""

from solvers.cli import main

main()
