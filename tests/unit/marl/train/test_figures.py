"""The bar shows rate and time left, also where it is captured; speed is counted from a start."""

import re
import time

import pytest

from marl.train.figures import Speedometer, move_bar, progress_bar
from marl.train.loop import train
from tests.unit.marl.train.conftest import BASELINE, make_env, small_config


def test_the_bar_shows_rate_and_time_left_where_it_is_captured(capsys, tmp_path):
    train(small_config(), make_env, BASELINE, tmp_path)
    shown = capsys.readouterr().err
    assert "maddpg seed 0: 100%" in shown
    assert re.search(r"1\.20k/1\.20k \[\d\d:\d\d<\d\d:\d\d, .*step/s, held-in gain [+-]", shown)
    # Captured, it is a line now and then, not one an epoch.
    assert shown.count("maddpg seed 0:") <= 3


def test_the_bar_goes_back_with_the_run(capsys):
    with progress_bar("run", 100, 20) as bar:
        move_bar(bar, 60)
        move_bar(bar, 40)
        assert bar.n == 40
        move_bar(bar, 100)
    assert "run: 100%" in capsys.readouterr().err


def test_speed_is_what_came_since():
    speed = Speedometer(1000, 10)
    time.sleep(0.01)
    figures = speed.read(3000, 20)
    rate = figures["speed/env_steps_per_s"] / figures["speed/updates_per_s"]
    assert rate == pytest.approx(200)
    assert 0 < figures["speed/updates_per_s"] < 1000
    assert figures["resources/cpu_s"] > 0
