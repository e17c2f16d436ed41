"""What a tracker receives of a trial, read from the folders."""

import fake_sweeps
import pytest

from jaxvision.runs.trackers import contract


def test_a_trial_has_its_sweep_as_group_and_its_axes(tmp_path):
  trial = {"settings": {"rate": 0.1, "width": "small"}, "value": 0.75}
  sweep = fake_sweeps.write(tmp_path / "rates", [trial, trial])
  run = contract.read_run(sweep / "trials" / "0001", id="a" * 32, sent=0)
  assert run.name == "rates/0001"
  assert run.group == "fake-0"
  assert run.axes == {"rate": 0.1, "width": "small"}


def test_a_folder_of_a_trial_outside_of_its_sweep_is_a_run(tmp_path):
  trial = {"settings": {"rate": 0.1}, "value": 0.75}
  sweep = fake_sweeps.write(tmp_path / "rates", [trial])
  (sweep / "trials" / "0000").rename(tmp_path / "mine")
  run = contract.read_run(tmp_path / "mine", id="a" * 32, sent=7)
  assert (run.name, run.group, run.axes) == ("mine", "", {})


def test_a_folder_without_a_config_is_no_run(tmp_path):
  with pytest.raises(FileNotFoundError, match=r"config\.json"):
    contract.read_run(tmp_path, id="a" * 32, sent=0)
