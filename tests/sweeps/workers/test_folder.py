"""The folder of a sweep belongs to one sweep."""

import pytest
import sweep_cases

from jaxvision import sweeps
from jaxvision.sweeps.workers import folder

_ASKED = sweep_cases.experiment({sweep_cases.RATE: sweeps.grid(0.1, 0.2)})


def _claim(workdir, asked=_ASKED, **how):
  how = {"searcher": "grid", "trials": 2, **how}
  return folder.claim(workdir, asked, file="asked.py", **how)


def test_a_folder_accepts_its_own_sweep_only(tmp_path):
  made = _claim(tmp_path, draws=3)
  assert _claim(tmp_path, draws=3) == made
  with pytest.raises(ValueError, match="draws: 3 there, 4 here"):
    _claim(tmp_path, draws=4)
  other = sweep_cases.experiment({sweep_cases.RATE: sweeps.grid(0.1, 0.3)})
  with pytest.raises(ValueError, match="belongs to another sweep"):
    _claim(tmp_path, other, draws=3)


def test_two_sweeps_have_two_names_in_a_storage(tmp_path):
  names = set()
  for parent in ("a", "b"):
    workdir = tmp_path / parent / "rates"
    workdir.mkdir(parents=True)
    names.add(_claim(workdir)["study"])
  assert len(names) == 2 and all(name.startswith("rates-") for name in names)


def test_trial_json_is_read_back(tmp_path):
  assert folder.read_trial(tmp_path, 7) == {}
  known = {"state": "running", "settings": {}, "overrides": {"seed": 1}}
  folder.write_trial(tmp_path, 7, known)
  assert folder.read_trial(tmp_path, 7) == {"number": 7, **known}
  assert folder.trial_folder(tmp_path, 7).name == "0007"


@pytest.mark.parametrize(
  "content",
  ["", "[]", "null", '{"number": 7', "{}", '{"number": 7, "state": "eaten"}'],
)
def test_a_damaged_trial_is_reported_and_ignored(tmp_path, content):
  path = folder.trial_folder(tmp_path, 7) / "trial.json"
  path.parent.mkdir(parents=True)
  path.write_text(content)
  warnings = []
  assert folder.read_trial(tmp_path, 7, warn=warnings.append) == {}
  assert len(warnings) == 1
  assert warnings[0].startswith(f"{path} is damaged: ")


@pytest.mark.parametrize(
  ("content", "message"),
  [
    ("", "it is empty"),
    ("[]", "it contains []"),
    ("{}", "'study' is missing"),
    ('{"study": 3}', "'study' is 3, not text"),
  ],
)
def test_a_damaged_sweep_json_is_named_with_a_remedy(
  tmp_path, content, message
):
  _claim(tmp_path)
  (tmp_path / "sweep.json").write_text(content)
  with pytest.raises(ValueError, match="restore it from a copy") as caught:
    _claim(tmp_path)
  assert str(caught.value).startswith(f"{tmp_path}/sweep.json is damaged: ")
  assert message in str(caught.value)
