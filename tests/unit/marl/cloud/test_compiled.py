"""`marl.cloud.compiled`: the fused function gives what the plain one gives, and says what it costs.

The slow tests compile for real (some seconds each with torch's cache warm, tens without).
"""

import logging
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from marl.cloud.compiled import (
    CompiledStep,
    CompilerMissingError,
    checked_mode,
    cpp_compiler,
    mode_here,
)

needs_compiler = pytest.mark.skipif(
    cpp_compiler() is None, reason="no C++ compiler (g++ or clang++): nothing can be compiled here"
)


@dataclass(frozen=True)
class Tank:
    level: Tensor  # (2, B)
    hour: Tensor  # ()


@dataclass(frozen=True)
class Pump:
    lift: float
    weight: Tensor  # (2, 1)


def fill(tank: Tank, inflow: Tensor, pump: Pump) -> tuple[Tank, Tensor]:
    """Whole units pumped, a power, a running sum: the operations a cloud's step is made of."""
    level = tank.level + torch.ceil(inflow * pump.lift - 1e-4) * pump.weight
    level = torch.where(tank.hour > 0.5, level.flip(0), level)
    total = torch.stack((level[0], level[0] + level[1]))
    return Tank(level, tank.hour), torch.exp2(-(total.clamp_min(1e-6) ** 0.3))


def pump(lift: float = 2.0) -> Pump:
    return Pump(lift, torch.tensor([[1.0], [3.0]]))


def tank(batch: int, hour: float = 0.0) -> Tank:
    return Tank(torch.zeros(2, batch), torch.tensor(hour))


def test_an_unknown_mode_is_refused_with_the_known_ones():
    assert checked_mode("eager") == "eager"
    with pytest.raises(ValueError, match=r"eager, compiled; got 'fast'"):
        checked_mode("fast")


def test_without_a_compiler_the_user_is_told_what_to_do(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert cpp_compiler() is None
    with pytest.raises(CompilerMissingError, match=r'CXX, or use mode="eager"'):
        CompiledStep(fill, pump())


def test_work_goes_on_eagerly_where_nothing_can_be_compiled_and_says_so(monkeypatch, caplog):
    monkeypatch.setenv("CXX", "no-such-compiler")
    mode_here.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert mode_here("compiled") == "eager"
    assert "cannot compile on this machine (mode" in caplog.text
    assert "Python's headers" in caplog.text
    assert mode_here("eager") == "eager"
    mode_here.cache_clear()
    with pytest.raises(ValueError, match="eager, compiled"):
        mode_here("fast")


@pytest.mark.slow
@needs_compiler
def test_a_machine_that_compiles_is_found_out():
    mode_here.cache_clear()
    assert mode_here("compiled") == "compiled"


@pytest.mark.slow
@needs_compiler
def test_the_way_back_is_compiled_too_where_gradients_are_wanted():
    def flow(level: Tensor, weight: Tensor) -> Tensor:
        return torch.exp2(-((level * weight).clamp_min(1e-6) ** 0.3)).cumsum(0)

    weight = torch.tensor([[1.0], [3.0]])
    step = CompiledStep(flow, weight, has_gradients=True)
    found, want = (torch.rand(2, 5).requires_grad_() for _ in range(2))
    with torch.no_grad():
        want.copy_(found)
    step(found).sum().backward()
    flow(want, weight).sum().backward()
    torch.testing.assert_close(found.grad, want.grad)
    assert want.grad.abs().min() > 0


@needs_compiler
def test_nothing_is_compiled_before_the_first_call_and_gradients_are_refused():
    step = CompiledStep(fill, pump())
    assert (step.compilations, step.compile_s) == (0, 0.0)
    with pytest.raises(ValueError, match="no gradients"):
        step(tank(3), torch.ones(2, 3, requires_grad=True))
    assert step.compilations == 0


@pytest.mark.slow
@needs_compiler
def test_a_chain_of_compiled_steps_equals_the_plain_one_and_compiles_once(caplog):
    step, rng = CompiledStep(fill, pump()), torch.Generator().manual_seed(1)
    ours = plain = tank(37)
    with caplog.at_level(logging.WARNING):
        for t in range(12):
            inflow = torch.rand((2, 37), generator=rng)
            hour = torch.tensor(float(t % 4 == 3))
            ours, out = step(Tank(ours.level, hour), inflow)
            plain, expected = fill(Tank(plain.level, hour), inflow, pump())
            torch.testing.assert_close(out, expected, rtol=1e-6, atol=1e-7)
            assert torch.equal(ours.level, plain.level)
    assert step.compilations == 1
    assert step.compile_s > 0
    told = [record.message for record in caplog.records if "fill" in record.message]
    assert len(told) == 2
    assert told[0].startswith("compiling fill")
    assert told[1].startswith("compiled fill in ")


@pytest.mark.slow
@needs_compiler
def test_two_instances_do_not_share_their_constants():
    inflow = torch.full((2, 8), 0.9)
    weak, strong = CompiledStep(fill, pump(1.0)), CompiledStep(fill, pump(10.0))
    for step, lift in ((weak, 1.0), (strong, 10.0), (weak, 1.0)):
        after, _ = step(tank(8), inflow)
        assert torch.equal(after.level, fill(tank(8), inflow, pump(lift))[0].level)
    assert (weak.compilations, strong.compilations) == (1, 1)


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("layout", ["another batch", "another order in memory"])
def test_another_shape_or_layout_compiles_again_instead_of_reading_wrong_memory(layout):
    step = CompiledStep(fill, pump())
    step(tank(8), torch.rand(2, 8))
    batch = 5 if layout == "another batch" else 8
    inflow = torch.rand(batch, 2).T if layout != "another batch" else torch.rand(2, batch)
    after, out = step(tank(batch), inflow)
    plain, expected = fill(tank(batch), inflow, pump())
    assert torch.equal(after.level, plain.level)
    torch.testing.assert_close(out, expected)
    assert step.compilations == 2
