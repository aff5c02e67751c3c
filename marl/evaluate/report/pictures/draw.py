"""Every picture the report has data for, in the order a reader meets them."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from marl.evaluate.report.drawing import Picture
from marl.evaluate.report.inputs import ReportInputs
from marl.evaluate.report.pictures.episode import draw_capacity, draw_outcome
from marl.evaluate.report.pictures.learning import draw_learning
from marl.evaluate.report.pictures.money import draw_bill, draw_trade_offs
from marl.evaluate.report.pictures.outcome import draw_forest, draw_profile, draw_scenarios
from marl.evaluate.report.pictures.robustness import draw_degradation, draw_lead
from marl.evaluate.report.pictures.slices import draw_boundaries, draw_evolution
from marl.evaluate.robustness.pictures import recovery


def draw_all(inputs: ReportInputs, content: Mapping[str, Any]) -> list[Picture]:
    """The pictures; those without data are left out.

    Args:
        inputs: of the report.
        content: from `build_content`.
    """
    pictures = [draw_forest(content), draw_trade_offs(inputs, content), draw_bill(content)]
    if content["against_strongest"]:
        pictures.insert(0, draw_scenarios(content))
    if content["profile_of_gains"]["policies"]:
        pictures.append(draw_profile(content))
    if inputs.learning.height:
        pictures.append(draw_learning(inputs, content))
    if inputs.slices:
        pictures.append(draw_boundaries(inputs.slices, content))
        if len(inputs.slices[0].stages) > 1:
            pictures.append(draw_evolution(inputs.slices, content))
    if content["robustness"]:
        pictures += [draw_degradation(content), draw_lead(content)]
        if inputs.robustness["recovery_steps"].count():
            # In the order of the other pictures, which gives policies their colours.
            pictures.append(recovery(pl.DataFrame(content["robustness"], inputs.robustness.schema)))
    if inputs.trajectories:
        pictures += [draw_capacity(inputs, content), draw_outcome(inputs, content)]
    return pictures
