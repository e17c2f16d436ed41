"""The section on speed of the page."""

import json

import fake_runs
import parsed_page
import pytest

from jaxvision import report

_SPENT = {
  "starting": 30.0,
  "steps": 90.0,
  "evaluating": 12.0,
  "saving": 3.0,
  "other": 45.0,
}


@pytest.fixture
def bare(tmp_path):
  """A run that has written its config and nothing else."""
  fake_runs.write_json(
    tmp_path / "config.json",
    {"recipe": "r.py", "overrides": {}, "config": fake_runs.CONFIG},
  )
  return tmp_path


def _page(folder, lines, result):
  text = "".join(json.dumps(line) + "\n" for line in lines)
  (folder / "metrics.jsonl").write_text(text)
  fake_runs.write_json(folder / "result.json", result)
  return parsed_page.Page(report.write_report(folder))


def _line(step, **values):
  return {
    "step": step,
    "images_per_second": 1000.0,
    "step_seconds_p50": 0.01 * step,
    "step_seconds_p95": 0.02 * step,
    "data_wait": 0.125,
    "saving_seconds": 0.001 * step,
    **values,
  }


def test_speeds_are_medians_and_checkpoints_a_mean(bare):
  lines = [_line(step, mfu=0.25) for step in (1, 2, 6)]
  page = _page(bare, lines, {"goodput": 0.5, "seconds_spent": _SPENT})
  tiles = {
    "step, median": "20 ms",
    "step, 95th percentile": "40 ms",
    "waiting for data": "12.50%",
    "checkpoints, per step": "3 ms",
    "MFU": "25.00%",
    "goodput": "50.00%",
  }
  for name, value in tiles.items():
    assert f"<dt>{name}</dt><dd>{value}</dd>" in page.source
  assert "Goodput is the fraction" in page.text
  assert "MFU is the FLOPs" in page.text
  rows = page.table("time", "spent", "share")
  assert ["training steps", "1 min 30 s", "50.00%"] in rows
  assert [row[2] for row in rows][1:] == ["6.67%", "1.67%", "16.67%", "25.00%"]


def test_unknown_figures_are_left_out(bare):
  page = _page(bare, [_line(1), _line(2)], {})
  assert "Step time" in page.text
  for name in ("MFU", "goodput", "Goodput"):
    assert name not in page.text


def test_a_run_without_step_times_has_no_section(bare):
  page = _page(bare, [{"step": 1, "images_per_second": 5.0}], {})
  assert "Speed" not in page.text
