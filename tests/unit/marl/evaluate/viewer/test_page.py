"""The page: whole, escaped, the same twice; its script runs in a browser where there is one."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import polars as pl
import pytest

from marl.evaluate.viewer.charts import charts, knob_table, series_of
from marl.evaluate.viewer.command import main
from marl.evaluate.viewer.events import LANES
from marl.evaluate.viewer.page import embedded, page_data, render_page, summary, write_page
from tests.unit.marl.evaluate.viewer.episodes import STEPS, pair

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")


class Reader(HTMLParser):
    """Tags with attributes, and the text of the data block."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.data, self._is_data = [], "", False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._is_data = dict(attrs).get("id") == "data"

    def handle_endtag(self, tag):
        self._is_data = False

    def handle_data(self, data):
        self.data += data if self._is_data else ""


def test_a_page_holds_both_policies_and_says_what_it_shows():
    page = render_page(pair())
    reader = Reader(page)
    assert "<title>reactive against static_peak · everything_at_once · synthetic</title>" in page
    assert json.loads(reader.data) == json.loads(json.dumps(page_data(pair())))
    (slider,) = [attrs for tag, attrs in reader.tags if attrs.get("id") == "time"]
    assert (slider["min"], slider["max"]) == ("0", str(STEPS - 1))
    assert slider["aria-label"]
    fetched = [a for _, a in reader.tags if "src" in a or not a.get("href", "#").startswith("#")]
    assert fetched == []
    assert "<noscript>" in page
    real = replace(pair()[0], labels=replace(pair()[0].labels, is_synthetic=False))
    assert "<title>reactive · everything_at_once · real trace</title>" in render_page([real])


def test_a_day_is_under_two_megabytes(tmp_path):
    out = tmp_path / "page.html"
    asked = ["--policy", "random", "--against", "reactive", "--scenario", "everything_at_once"]
    assert main([*asked, "--out", str(out)]) == 0
    assert out.stat().st_size < 2_000_000
    assert json.loads(Reader(out.read_text()).data)["steps"] == 288


def test_every_line_of_every_chart_has_a_series_and_an_event_a_lane():
    data = page_data(pair())
    keys = {line["key"] for chart in data["charts"] for line in chart["lines"]}
    keys |= {knob["key"] for knob in data["knobs"]} | set(data["figures"])
    for series in data["series"]:
        assert keys <= set(series)
        assert all(len(values) == STEPS for values in series.values())
    lanes = {lane["kind"] for lane in data["lanes"]}
    assert {event["kind"] for event in data["events"]} == lanes <= set(LANES)
    of_second = {event["origin"] for event in data["events"] if event["who"] == 1}
    assert "weather" not in of_second, "the weather is told once"
    assert all(chart.unit and len(chart.lines) <= 4 for chart in charts(3))
    assert len(knob_table()) == 29


def test_derived_series_by_hand():
    one = pair()[0]
    series, steps = series_of(one), one.steps
    assert series["spent_usd"][2] == pytest.approx(steps["cost_usd"][:3].sum())
    assert series["budget_to_date_usd"][2] == pytest.approx(3 * one.budget_usd)
    assert series["usd_per_h_network"][4] == pytest.approx(12 * steps["cost_network_usd"][4])
    assert series["kg_per_h"][4] == pytest.approx(0.012 * steps["carbon_gco2"][4])
    assert series["lost_per_s"][4] == pytest.approx(steps["dropped"][4] / 300)
    assert series["in_time_percent"][4] == pytest.approx(100 * steps["slo_attainment"][4])


def test_key_figures_are_those_of_the_steps():
    cells = {row["label"]: row["cells"] for row in summary(pair())}
    for who, one in enumerate(pair()):
        assert cells["Cost, USD"][who] == f"{one.steps['cost_usd'].sum():,.2f}"
        weights = one.steps["requests"]
        p95 = (one.steps["latency_p95_ms"] * weights).sum() / weights.sum()
        assert cells["Latency p95, ms (by requests)"][who] == f"{p95:,.0f}"


def test_two_policies_that_did_the_same_are_named():
    one, other = pair()
    assert "did the same at every step" in render_page([one, replace(one, policy="twin")])
    assert "did the same" not in render_page([one, other])
    assert "did the same" not in render_page([one])


def test_names_of_other_people_stay_text():
    evil = "</script><img src=x onerror=alert(1)>"
    one = replace(pair()[0], policy=evil, labels=replace(pair()[0].labels, source=evil))
    page = render_page([one])
    assert "<img" not in page
    reader = Reader(page)
    assert json.loads(reader.data)["policies"] == [evil]
    assert sum(tag == "script" for tag, _ in reader.tags) == 2
    assert embedded({"a": "<!--\u2028&"}) == '{"a":"\\u003c!--\\u2028\\u0026"}'


def test_the_same_records_give_the_same_bytes(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        folder.mkdir()
        write_page(pair(), folder)
    for name in ("index.html", "steps.parquet", "events.parquet"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert pl.read_parquet(first / "steps.parquet").height == 2 * STEPS


def test_what_cannot_be_shown_is_refused():
    one, other = pair()
    broken = one.steps.with_columns(cost_usd=pl.lit(float("nan")))
    with pytest.raises(ValueError, match=r"not finite: .*cost_usd"):
        render_page([replace(one, steps=broken)])
    with pytest.raises(ValueError, match="one or two records; got 0"):
        render_page([])
    elsewhere = replace(other, labels=replace(other.labels, episode=7))
    with pytest.raises(ValueError, match="different episodes"):
        render_page([one, elsewhere])


def test_the_command_names_what_there_is(capsys, tmp_path):
    with pytest.raises(SystemExit):
        main(["--policy", "clever", "--out", str(tmp_path / "x.html")])
    assert (
        "no policy 'clever'; there are: static_peak, expert, reactive, random"
        in capsys.readouterr().err
    )
    with pytest.raises(SystemExit):
        main(["--scenario", "rain", "--out", str(tmp_path / "x.html")])
    assert "no scenario 'rain'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--episode", "-1", "--out", str(tmp_path / "x.html")])
    assert "--episode must be at least 0" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--data", str(tmp_path / "none"), "--out", str(tmp_path / "x.html")])
    assert "holds no workload_model" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")
def test_the_script_draws_and_keys_move_the_cursor(tmp_path):
    page = render_page(pair())
    # A test's own script, which the page's policy would stop: keys, then a mark of what is shown.
    press = """<script>
      const press = (key) => document.dispatchEvent(new KeyboardEvent("keydown", {key}));
      Object.defineProperty(KeyboardEvent.prototype, "target", {value: document.body});
      const at = () => document.getElementById("time").value;
      const seen = [];
      for (const key of ["ArrowRight", "ArrowRight", "ArrowLeft", "End", "ArrowRight", "Home"]) {
        press(key); seen.push(at());
      }
      press(" ");
      seen.push(document.getElementById("play").textContent);
      press("ArrowRight");
      seen.push(document.getElementById("play").textContent);
      document.title = seen.join(" ");
    </script>"""
    page = re.sub(r"<meta http-equiv[^>]*>", "", page).replace("</body>", press + "</body>")
    path = tmp_path / "page.html"
    path.write_text(page)
    dumped = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
         "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}",
         "--virtual-time-budget=2000", "--dump-dom", path.as_uri()],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    assert f"<title>1 2 1 {STEPS - 1} {STEPS - 1} 0 Pause Play</title>" in dumped
    assert f"0:05 h · step 1 of {STEPS - 1}" in dumped
    drawn = len(re.findall(r'<svg[^>]*role="img"', dumped))
    assert drawn == len(charts(3)) + len(knob_table()) + 1, "each chart, each knob, the ribbon"
    assert "NaN" not in dumped
