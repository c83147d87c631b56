"""The one error a solver raises."""

from rdp.solution import Status


class SolverError(RuntimeError):
    """A problem was not solved to tolerance, or the method does not cover it.

    Parameters
    ----------
    status : Status
        UNSUPPORTED, INFEASIBLE, INACCURATE or FAILED.
    message : str
        What happened and what to do instead.
    """

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status

    def __reduce__(self) -> tuple[type, tuple[Status, str]]:
        """Survive the way back from a worker process."""
        return type(self), (self.status, str(self).removeprefix(f"{self.status}: "))
