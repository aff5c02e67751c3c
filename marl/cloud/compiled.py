"""The step of the clouds fused by torch.compile into a few kernels, for speed.

Holds the compiler's settings and what the caller is told about the wait, nothing of the dynamics:
any pure function of tensors and dataclasses of tensors will do. Random draws stay outside. The
results are eager mode's up to the rounding of float32; whole-number decisions (VMs, proxies) fall
the same way unless a value lies within rounding of the border.
"""

import logging
import os
import shutil
import time
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, Final, Generic, TypeVar

import torch
from torch import Tensor

MODES: Final = ("eager", "compiled")

_BAKED_IN: Final = ("function", "constants")  # names of what `CompiledStep` closes over

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")


class CompilerMissingError(RuntimeError):
    """The step cannot be compiled on this machine."""


def checked_mode(mode: str) -> str:
    """`mode` itself.

    Raises:
        ValueError: not one of `MODES`.
    """
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}; got {mode!r}")
    return mode


def cpp_compiler() -> str | None:
    """Path of the C++ compiler that torch would use, or None. `CXX` names another one."""
    names = (os.environ["CXX"],) if os.environ.get("CXX") else ("g++", "clang++")
    return next((path for name in names if (path := shutil.which(name))), None)


@cache
def mode_here(mode: str) -> str:
    """`mode`; "eager", with a warning, where "compiled" is wanted and torch cannot compile here.

    For work that is only faster when it is compiled. A trivial kernel is tried: beside a compiler
    torch needs Python's headers.
    """
    if checked_mode(mode) == "eager":
        return mode
    try:
        CompiledStep(_trivial)(torch.zeros(8))
    except Exception as error:  # the compiler's, the linker's, torch's own: all mean the same here
        told = str(error).strip().splitlines() or [type(error).__name__]
        _log.warning(
            "torch cannot compile on this machine (%s): the work goes on operation by operation, "
            "with the same results up to rounding, several times slower. It needs g++ or clang++ "
            "and Python's headers",
            told[0],
        )
        return "eager"
    return mode


def _trivial(x: Tensor) -> Tensor:
    return x + 1.0


def in_standard_layout(value: Any) -> Any:
    """`value` with every tensor row-major, also along dimensions of size 1; copies what is not.

    A state that comes from elsewhere (the start of an episode) must look in memory like one that
    comes from a compiled step, or the step is compiled once more for it.

    Args:
        value: a tensor, or dataclasses, mappings, lists and tuples that hold tensors.
    """
    if isinstance(value, Tensor):
        expected, size = [], 1
        for length in reversed(value.shape):
            expected.append(size)
            size *= max(length, 1)
        if value.stride() == tuple(reversed(expected)):
            return value
        return value.clone(memory_format=torch.contiguous_format)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value,
            **{
                field.name: in_standard_layout(getattr(value, field.name))
                for field in fields(value)
            },
        )
    if isinstance(value, Mapping):
        return {name: in_standard_layout(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(in_standard_layout(part) for part in value)
    return value


class CompiledStep(Generic[_Result]):
    """A compiled pure function: call it with what the function takes.

    The first call compiles, which takes tens of seconds; later processes find the kernels in
    torch's own cache (`TORCHINDUCTOR_CACHE_DIR`) and need some seconds. Another batch size, dtype,
    device or memory layout of an argument (see `in_standard_layout`; results are in it) compiles
    again, as does another value of a Python number; at most eight times. The kernels run on as many
    threads as torch had then.

    Attributes:
        compilations: how often it has compiled so far.
        compile_s: seconds the first call took.
    """

    def __init__(
        self,
        function: Callable[..., _Result],
        *constants: object,
        device: torch.device | str = "cpu",
        has_gradients: bool = False,
    ) -> None:
        """Prepare; nothing is compiled yet.

        Args:
            function: pure, called as `function(*arguments, *constants)`. Data-dependent branches
                are not allowed in it.
            constants: baked into the kernels, so they must not change afterwards.
            device: where the arguments will live.
            has_gradients: compile the way back too. Which arguments want gradients is part of what
                is compiled: another choice compiles again.

        Raises:
            CompilerMissingError: there is no C++ compiler, which torch needs on the CPU.
        """
        device = torch.device(device)
        if device.type == "cpu" and cpp_compiler() is None:
            raise CompilerMissingError(
                'mode "compiled" needs a C++ compiler and found neither g++ nor clang++: install '
                'one, name it in CXX, or use mode="eager"'
            )
        self.compilations = 0
        self.compile_s = 0.0
        self._has_gradients = has_gradients
        self._name = getattr(function, "__name__", "step")

        def bound(*arguments: object) -> _Result:
            return in_standard_layout(function(*arguments, *constants))

        # Dynamo keeps what it compiled by code object and tells entries apart by guards. Ours do
        # not look at the constants, so every instance needs a code object of its own.
        own = types.FunctionType(
            bound.__code__.replace(co_name=f"compiled_{self._name}"),
            bound.__globals__,
            closure=bound.__closure__,
        )
        options: dict[str, Any] = {"guard_filter_fn": self._guards_to_keep}
        if device.type == "cpu":
            options["cpp_wrapper"] = True  # half the overhead of a call, which a batch of 1 feels
        self._call = torch.compile(own, dynamic=False, fullgraph=True, options=options)

    def __call__(self, *arguments: object) -> _Result:
        """What the function returns.

        Raises:
            ValueError: an argument asks for gradients, for which this step was not compiled.
        """
        for argument in arguments:
            if self._has_gradients:
                break
            if isinstance(argument, Tensor) and argument.requires_grad:
                raise ValueError('the compiled step has no gradients; use mode="eager"')
        if self.compilations:
            with torch.set_grad_enabled(self._has_gradients):
                return self._call(*arguments)
        return self._first(arguments)

    def _first(self, arguments: Sequence[object]) -> _Result:
        _log.warning("compiling %s: a minute or so, seconds if torch has it cached", self._name)
        begun_s = time.perf_counter()
        with torch.set_grad_enabled(self._has_gradients):
            result = self._call(*arguments)
        self.compile_s = time.perf_counter() - begun_s
        _log.warning("compiled %s in %.1f s", self._name, self.compile_s)
        return result

    def _guards_to_keep(self, guards: Sequence[Any]) -> list[bool]:
        """Called by dynamo once for each compilation: what each later call must look at.

        Only the arguments are (shapes, strides, dtypes, Python numbers) and torch's global state;
        looking at hundreds of constants in every call would take as long as a small step does.
        """
        self.compilations += 1
        if self.compilations > 1:
            _log.warning(
                "compiling %s again: a shape, layout or Python number among its arguments changed",
                self._name,
            )
        return [not (guard.is_global or guard.name.startswith(_BAKED_IN)) for guard in guards]
