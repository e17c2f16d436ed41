"""Tests of jaxvision.processes.progress: the lines on screen."""

import io
import re

from jaxvision.processes import progress


class Terminal(io.StringIO):
  """A stream that reports to be a terminal."""

  def isatty(self):
    return True


def _show(stream, shown, *, first_step=0, total_steps=10):
  with progress.open_progress(
    first_step=first_step, total_steps=total_steps, stream=stream
  ) as show:
    for step, values in shown:
      show(step, values)
  return stream.getvalue()


_TRAINING = {"train/loss": 0.5, "train/top1": 0.25, "images_per_second": 1234.0}


def test_plain_lines_when_piped():
  text = _show(io.StringIO(), [(5, _TRAINING), (10, _TRAINING)])
  first, second = text.splitlines()
  expected = "  train/loss 0.5000  train/top1 25.00%  images/s 1,234"
  assert first.startswith("step 5/10" + expected)
  assert re.search(r"  0:00:0\d left$", first)
  assert second == "step 10/10" + expected
  assert "\x1b" not in text and "\r" not in text


def test_only_important_metrics_are_shown():
  values = {"gradient_norm": 1.0, "epoch": 2.0, "validation/f1_macro": 0.5}
  text = _show(io.StringIO(), [(10, values | {"validation_ema/top1": 1.0})])
  assert text == "step 10/10  validation_ema/top1 100.00%\n"


def test_one_live_line_in_a_terminal(monkeypatch):
  monkeypatch.setenv("TERM", "xterm")
  monkeypatch.setenv("COLUMNS", "120")
  text = _show(Terminal(), [(5, _TRAINING), (10, _TRAINING)])
  assert "\x1b[" in text
  assert "train/loss 0.5000" in text
  assert "10/10" in text
  # Only the last form of the line is followed by a line break.
  assert text.count("\n") == 1


def test_evaluations_stay_in_a_terminal(monkeypatch):
  monkeypatch.setenv("TERM", "xterm")
  monkeypatch.setenv("COLUMNS", "120")
  shown = [(s, {"validation/top1": s / 10}) for s in (1, 2, 3)]
  text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", _show(Terminal(), shown))
  for step in (1, 2, 3):
    assert f"step {step}  validation/top1 {step}0.00%" in text
