"""Wrong metrics: old, missing, zero, noisy; the same whoever looks."""

import pytest
import torch

from marl.evaluate.robustness.senses import Moment, Senses, misread, older

NOW = Moment(seed=3, episode=0, step=5, clouds=20)


def read(values, before=None, moment=NOW, columns=slice(0, 4), width=4, **senses):
    return misread(values, before, columns, width, Senses(**senses), moment)


def test_a_history_of_k_steps_before_repeats_its_oldest():
    loads = torch.tensor([9.0, 8.0, 7.0, 6.0])[:, None]
    assert older(loads, 1).flatten().tolist() == [8, 7, 6, 6]
    assert older(loads, 3).flatten().tolist() == [6, 6, 6, 6]
    assert older(loads, 9).flatten().tolist() == [6, 6, 6, 6]
    assert torch.equal(older(loads, 0), loads)


def test_missing_metrics_keep_their_last_value_or_read_zero():
    values, before = torch.full((20, 4), 7.0), torch.full((20, 4), 3.0)
    gone = NOW.draw("missing", 4) < 0.3
    kept = read(values, before, missing_share=0.3)
    assert torch.equal(kept, torch.where(gone, 3.0, 7.0))
    assert torch.equal(read(values, None, missing_share=0.3), values)  # nothing to keep yet
    zero = read(values, before, missing_share=0.3, is_zeroed=True)
    assert torch.equal(zero, torch.where(gone, 0.0, 7.0))
    assert torch.equal(read(values, before, missing_share=1.0), before)


def test_noise_is_relative_and_of_the_stated_size():
    moment = Moment(seed=0, episode=0, step=0, clouds=4096)
    values = torch.tensor([1.0, 10.0, 0.0, -2.0]).expand(4096, 4)
    error = read(values, moment=moment, noise_sigma=0.2) - values
    assert error.std(0).tolist() == pytest.approx([0.2, 2.0, 0.0, 0.4], rel=0.05)
    assert error.mean(0).abs().max() < 0.1


def test_errors_follow_from_the_moment_alone():
    draw = NOW.draw("noise", 4)
    assert torch.equal(NOW.draw("noise", 4), draw)
    copied = Moment(3, 0, 5, clouds=20, copies=3).draw("noise", 4)
    assert torch.equal(copied, draw.repeat(3, 1))
    fewer = Moment(3, 0, 5, clouds=17).draw("noise", 4)
    assert torch.equal(fewer, draw[:17])  # cloud i's errors whatever runs beside it
    for other in (Moment(4, 0, 5, 20), Moment(3, 1, 5, 20), Moment(3, 0, 6, 20)):
        assert not torch.equal(other.draw("noise", 4), draw)


@pytest.mark.parametrize(
    "wrong", [{"stale_steps": -1}, {"missing_share": 1.1}, {"noise_sigma": -0.1}]
)
def test_impossible_senses_are_refused(wrong):
    with pytest.raises(ValueError, match="senses"):
        Senses(**wrong)
