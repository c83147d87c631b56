"""Parts of kernels: compiled functions that only other compiled functions call.

Numba optimises each compiled function together with all that it calls, and makes machine code of
it, although only the outermost function runs: what lies ten calls deep is made ten times. A part
stops before that. It is typed and translated to LLVM's code once. Whoever calls it takes this code
in; the outermost function is optimised and becomes machine code as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from numba import config, version_info
from numba.core import compiler, typed_passes
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_machinery import register_pass
from numba.core.registry import CPUDispatcher

from solvers._compiled import njit

NEWEST = (0, 68)  # release of numba up to which its compiler is known to be taken apart like this


class PartLibrary(JITCodeLibrary):
    """Code of a part and of all that it calls, neither optimised nor made into machine code."""

    def _optimize_final_module(self) -> None:
        """Leave the code as it is."""

    def _finalize_final_module(self) -> None:
        """Make no machine code."""
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class PartLowering(typed_passes.NativeLowering):
    """Translate a part to LLVM's code, for other functions that are compiled."""

    _name = "part_lowering"

    def run_pass(self, state: Any) -> bool:
        """Lower without wrappers and without machine code; then tell numba of the function."""
        state.library = PartLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        flags, state.flags = state.flags, state.flags.copy()
        state.flags.no_compile = state.flags.no_cpython_wrapper = True
        state.flags.no_cfunc_wrapper = True
        super().run_pass(state)
        state.flags = flags
        name = object()  # by which callers ask for the function
        state.targetctx.insert_user_function(name, state["cr"].fndesc, [state.library])
        state.reload_init.extend(getattr(state.library, "_reload_init", ()))  # numba 0.61 has none
        state["cr"] = state["cr"]._replace(cfunc=name)
        return True


class PartCompiler(compiler.CompilerBase):
    """Numba's compiler with the lowering of parts."""

    def define_pipelines(self) -> list[Any]:
        """Return numba's passes, the one that lowers replaced."""
        usual = compiler.DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes = compiler.PassManager("part")
        for step, what in usual.passes:
            lowers = step is typed_passes.NativeLowering
            passes.add_pass(PartLowering if lowers else step, what)
        passes.finalize()
        return [passes]


class Part(CPUDispatcher):
    """A part; called from Python, it is compiled once more, as a function of its own."""

    def add_overload(self, compiled: Any) -> None:
        """Keep what was compiled for other functions; nothing of it can be called from Python."""
        self.overloads[tuple(compiled.signature.args)] = compiled

    @cached_property
    def whole(self) -> Any:
        """The same function with machine code, for Python."""
        return njit(cache=True, error_model="numpy")(self.py_func)

    def __call__(self, *args: Any) -> Any:
        """Run the function."""
        return self.whole(*args)


def part(function: Callable[..., Any]) -> Any:
    """Return a part. It divides by zero as numpy does, and is kept with the kernel that calls it.

    Under a newer numba than `NEWEST` it is a compiled function like any other: compilation takes
    twice as long, and the answers are the same.

    Parameters
    ----------
    function : function
        What kernels call.

    Examples
    --------
    >>> import numba
    >>> @part
    ... def half(x):
    ...     return x / 2
    >>> @numba.njit
    ... def quarter(x):
    ...     return half(half(x))
    >>> quarter(1.0)
    0.25
    """
    if config.DISABLE_JIT:  # type: ignore[attr-defined]  # set from the environment
        return function
    if version_info.short > NEWEST:
        return njit(cache=True, error_model="numpy")(function)
    options = {"nopython": True, "error_model": "numpy"}
    return Part(function, targetoptions=options, pipeline_class=PartCompiler)
