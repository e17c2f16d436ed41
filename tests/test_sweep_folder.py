"""The folder of a sweep belongs to one sweep."""

import pytest
import sweeps

from jaxvision import sweep
from jaxvision.sweep import folder

_ASKED = sweeps.experiment({sweeps.RATE: sweep.grid(0.1, 0.2)})


def _claim(workdir, asked=_ASKED, **how):
  return folder.claim(workdir, asked, file="asked.py", searcher="grid", **how)


def test_the_same_sweep_finds_its_folder_and_another_is_refused(tmp_path):
  made = _claim(tmp_path, draws=3)
  assert _claim(tmp_path, draws=3) == made
  with pytest.raises(ValueError, match="draws: 3 there, 4 here"):
    _claim(tmp_path, draws=4)
  other = sweeps.experiment({sweeps.RATE: sweep.grid(0.1, 0.3)})
  with pytest.raises(ValueError, match="belongs to another sweep"):
    _claim(tmp_path, other, draws=3)


def test_two_sweeps_have_two_names_in_a_storage(tmp_path):
  names = set()
  for parent in ("a", "b"):
    workdir = tmp_path / parent / "rates"
    workdir.mkdir(parents=True)
    names.add(_claim(workdir)["study"])
  assert len(names) == 2 and all(name.startswith("rates-") for name in names)


def test_what_is_known_of_a_trial_is_read_back(tmp_path):
  assert folder.read_trial(tmp_path, 7) == {}
  folder.write_trial(tmp_path, 7, {"state": "running"})
  assert folder.read_trial(tmp_path, 7) == {"number": 7, "state": "running"}
  assert folder.trial_folder(tmp_path, 7).name == "0007"
