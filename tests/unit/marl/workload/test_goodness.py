"""Goodness of fit: right models pass, wrong ones fail; figures by hand; the report's page."""

import hashlib
import json

import numpy as np
import polars as pl
import pytest
from scipy import stats

from marl.workload.distances import (
    effective_size,
    kaplan_meier,
    ks_censored,
    ks_two_samples,
    quantile_pairs,
)
from marl.workload.evidence import gather
from marl.workload.goodness import Thresholds, goodness
from marl.workload.noise import ArNoise
from marl.workload.pictures import render, series_picture
from marl.workload.report import escape, write_report


def failures(report, workload_class, quantity):
    (one,) = [
        c
        for c in report.comparisons
        if (c.workload_class, c.quantity) == (workload_class, quantity)
    ]
    return {check.name for check in one.checks if not check.is_passed}


def altered(model, name, **parts):
    one = model.classes[name].model_copy(update=parts)
    return model.model_copy(update={"classes": {**model.classes, name: one}})


def test_the_true_kind_of_model_passes(fitted):
    report = goodness(fitted)
    assert report.passed / report.total > 0.95
    assert report.is_synthetic
    assert report.not_compared == ()
    assert {c.workload_class for c in report.comparisons} == {"web", "batch", "ml", "total"}


def test_a_wrong_rate_fails(fitted):
    arrivals = fitted.classes["batch"].arrivals
    wrong = altered(fitted, "batch", arrivals=arrivals.model_copy(update={"rate": 40.0}))
    assert {"mean", "p95", "Kolmogorov–Smirnov distance"} <= failures(
        goodness(wrong), "batch", "collection_arrivals"
    )


def test_missing_over_dispersion_and_memory_fail(fitted):
    plain = fitted.classes["batch"].arrivals.model_copy(update={"sigma": 0.0, "family": "poisson"})
    found = failures(
        goodness(altered(fitted, "batch", arrivals=plain)), "batch", "collection_arrivals"
    )
    assert "index of dispersion" in found
    assert {"autocorrelation, lag 12", "autocorrelation, lag 288"} <= found


def test_a_wrong_daily_cycle_fails(fitted):
    arrivals = fitted.classes["batch"].arrivals
    turned = arrivals.model_copy(update={"daily": (-0.8, 0.3), "sigma": 0.05})
    found = failures(
        goodness(altered(fitted, "batch", arrivals=turned)), "batch", "collection_arrivals"
    )
    assert "daily cycle, RMS ÷ mean" in found


def test_wrong_lifetimes_and_requests_fail(fitted):
    lives = fitted.classes["batch"].lifetimes
    longer = lives.model_copy(update={"parameters": {"mu": 7.0, "sigma": 1.2}})
    report = goodness(altered(fitted, "batch", lifetimes=longer))
    assert failures(report, "batch", "lifetime_s")
    other = altered(fitted, "batch", requests=fitted.classes["ml"].requests)
    assert failures(goodness(other), "batch", "cpu_request_ncu")


def test_the_same_seed_gives_the_same_figures_and_thresholds_decide(fitted):
    assert goodness(fitted).model_dump_json() == goodness(fitted).model_dump_json()
    strict = Thresholds(ks_distance=1e-6, ks_alpha=0.999)
    assert goodness(fitted, strict).passed < goodness(fitted).passed


def test_effective_size_of_autocorrelated_values():
    """AR(1): n (1 − φ) / (1 + φ)."""
    path = ArNoise(phis=(0.8,)).sample(1, 50_000, np.random.default_rng(0))[0].astype(float)
    assert effective_size(path) == pytest.approx(50_000 * 0.2 / 1.8, rel=0.15)
    white = np.random.default_rng(1).standard_normal(5000)
    assert effective_size(white) == pytest.approx(5000, rel=0.1)
    assert effective_size(np.ones(10)) == 10
    assert effective_size(np.array([1.0])) == 1


def test_ks_on_independent_data_is_scipys():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(300), rng.standard_normal(50_000) + 0.1
    found = ks_two_samples(a, b, 300, 0.01)
    reference = stats.ks_2samp(a, b, method="asymp")
    assert found.distance == pytest.approx(reference.statistic)
    assert found.p_value == pytest.approx(reference.pvalue, rel=0.1)
    assert (found.distance > found.critical) == (found.p_value < 0.01)


def test_kaplan_meier_by_hand():
    # Ends at 1, 2, 4; censored at 2 and 3: S = 4/5, 4/5·3/4, then 1 at risk: 0.
    values = np.array([1.0, 2.0, 2.0, 3.0, 4.0])
    is_censored = np.array([False, False, True, True, False])
    times, survival = kaplan_meier(values, is_censored)
    assert times.tolist() == [1.0, 2.0, 4.0]
    assert survival == pytest.approx([0.8, 0.6, 0.0])
    pairs = quantile_pairs(values, np.array([1.0, 2.0, 3.0, 4.0]), is_censored)
    assert {p: real for p, real, _ in pairs}[0.4] == 2.0


def test_censored_distance_is_the_plain_one_without_censoring():
    rng = np.random.default_rng(0)
    real, fitted_sample = rng.exponential(1, 400), rng.exponential(1.3, 20_000)
    none = np.zeros(400, bool)
    found = ks_censored(real, none, fitted_sample, 0.01)
    assert found.distance == pytest.approx(stats.ks_2samp(real, fitted_sample).statistic)


def test_report_folder(fitted, tmp_path):
    classes = pl.DataFrame(
        {
            "collection_id": [1, 2],
            "workload_class": ["web", "batch"],
            "rule": ["serving_tier", "rest"],
        }
    )
    into = tmp_path / "workload_report"
    found = write_report(fitted, into, classes)
    page = (into / "report.md").read_text(encoding="utf-8")
    assert "**Synthetic:**" in page
    assert f"{found.passed} of {found.total} checks pass" in page
    document = json.loads((into / "report.json").read_text(encoding="utf-8"))
    assert document["goodness"]["is_synthetic"] is True
    for name in document["pictures"]:
        assert (into / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert f"]({name})" in page
    assert len(document["pictures"]) == 10
    assert "web.requests_per_vcpu_s" in page
    # Written again it is byte for byte the same.
    before = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in into.iterdir()}
    write_report(fitted, into, classes)
    after = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in into.iterdir()}
    assert before == after


def test_a_real_trace_is_not_called_synthetic_and_texts_are_escaped(fitted, tmp_path):
    evil = "bucket <script>alert(1)</script> | x\n# heading"
    model = fitted.model_copy(
        update={"is_synthetic": False, "source": evil, "notes": ("a | b <i>",)}
    )
    write_report(model, tmp_path / "r")
    page = (tmp_path / "r" / "report.md").read_text(encoding="utf-8")
    assert "Synthetic" not in page
    assert "<script>" not in page
    assert "<i>" not in page
    assert "\n# heading" not in page
    assert escape("a|b\n<c>") == "a\\|b &lt;c&gt;"


def test_svg_pictures_are_deterministic_and_leave_matplotlib_alone(fitted):
    import matplotlib

    before = dict(matplotlib.rcParams)
    evidence = gather(fitted)
    report = goodness(fitted, evidence=evidence)
    one, compared = evidence.series[0], report.comparisons[0]
    pictures = [render(series_picture(one, compared, True), "svg") for _ in range(2)]
    assert pictures[0] == pictures[1]
    assert b"SYNTHETIC TRACE" in pictures[0] or b"<svg" in pictures[0]
    assert dict(matplotlib.rcParams) == before
