"""The benchmark of class activation maps measures each method."""

import experiment_scripts
import pytest


@pytest.mark.slow
def test_each_method_is_measured_in_forward_passes(capsys, monkeypatch):
  script = experiment_scripts.load("benchmarks/grad_cam.py")
  # The settings of the process belong to the command line.
  monkeypatch.setattr(script.settings, "tune_cpu", lambda: None)
  monkeypatch.setattr(script.cache, "cache_compilations", lambda: None)
  script.main(
    [
      *("--models", "mixer_s16", "--methods", "gradcam", "--batch_size", "1"),
      *("--size", "32", "--rounds", "1"),
    ]
  )
  rows = [
    [cell.strip() for cell in line.split("|")[1:-1]]
    for line in capsys.readouterr().out.splitlines()[2:]
  ]
  assert [row[:2] for row in rows] == [
    ["mixer_s16", "forward"],
    ["mixer_s16", "gradcam"],
  ]
  assert float(rows[0][3]) == 1 and float(rows[1][3]) > 0
