"""`rdp warm-up`: compile the kernels of the solvers ahead of their first use."""

from __future__ import annotations

import typer


def warm_up() -> None:
    """Compile the solvers now; each command then starts at once. Needed once after an install.

    Without it, single problems are answered at once by slower methods, and the first large sweep
    compiles. NUMBA_CACHE_DIR names the folder of the compiled code.

    rdp warm-up
    """
    from solvers.methods.waiting import warm_up as run

    for name, seconds in run():
        typer.echo(f"{name}: ready ({seconds:.1f} s)")
