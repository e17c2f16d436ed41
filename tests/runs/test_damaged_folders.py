"""Folders with damaged files: other files are shown, and damage is named."""

import functools
import json

import fake_runs
import fake_sweeps
import pytest

from jaxvision import report
from jaxvision.runs import reading, sweep_folder

# Each case writes a report, half a second; the slow cases repeat the kinds of
# the others.
_slow = functools.partial(pytest.param, marks=[pytest.mark.slow])
_DAMAGES = [
  *("", "[]", "{}", '{"step": '),
  *map(_slow, ("null", "3", '"text"', "[[]]", "[3]")),
]
_LINES = [
  "null",
  _slow("{}"),
  _slow("[]"),
  '{"step": "7"}',
  _slow('{"step": true}'),
  _slow('{"step": 7, "train/loss": "high"}'),
  '{"step": 7, "train/loss": [1]}',
  '{"step": 1e400}',
  "[" * 5000,
]
_WRONG = {
  "status": 3,
  "step": "7",
  "seconds": [],
  "best": "best",
  "final": {"split": "test", "metrics": [1]},
  "class_names": "0123456789",
  "image_shape": {},
  "seconds_spent": [1],
  "parameters": {},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  """A finished run; a test that changes its files restores them."""
  return fake_runs.write_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def changed(run):
  """changed(name, content) -> the page of the run with that file."""
  before = {}

  def change(name, content):
    path = run / name
    before[path] = path.read_bytes()
    path.write_bytes(content)
    return report.write_report(run).read_text("utf-8")

  yield change
  for path, content in before.items():
    path.write_bytes(content)


@pytest.mark.matrix(every=3)
@pytest.mark.parametrize("content", _DAMAGES)
@pytest.mark.parametrize("name", ["result.json", "environment.json"])
def test_a_report_names_a_damaged_record(changed, name, content):
  page = changed(name, content.encode())
  emptiness = {"result.json": "{}", "environment.json": "[]"}[name]
  assert (f"{name} " in page) == (content != emptiness)
  assert page.rstrip().endswith("</html>")


@pytest.mark.matrix(every=3)
@pytest.mark.parametrize("key", _WRONG)
def test_a_report_leaves_out_a_field_of_the_wrong_type(run, changed, key):
  record = json.loads((run / "result.json").read_text())
  damaged = json.dumps({**record, key: _WRONG[key]})
  page = changed("result.json", damaged.encode())
  assert f"In result.json &#x27;{key}" in page


@pytest.mark.parametrize("line", _LINES)
def test_a_report_counts_the_lines_that_it_leaves_out(run, changed, line):
  lines = (run / "metrics.jsonl").read_text()
  page = changed("metrics.jsonl", f"{line}\n{lines}".encode())
  assert "1 incomplete line of metrics.jsonl skipped" in page
  assert "validation" in page


@pytest.mark.matrix(every=4)
@pytest.mark.parametrize(
  "name", ["evaluation.npz", "first_layer.npz", "predictions.npz"]
)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_report_names_damaged_arrays(run, changed, name, share):
  content = (run / name).read_bytes()
  page = changed(name, content[: int(share * len(content))])
  assert f"{name} is damaged" in page
  assert reading.damaged_arrays(run) == [name]


@pytest.mark.parametrize("content", ["", "[]", "null", '{"config": 3}', "{}"])
def test_a_damaged_config_is_named(changed, content):
  with pytest.raises(ValueError, match=r"config.json is damaged: .*restore"):
    changed("config.json", content.encode())


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"number": 0', "null"])
def test_one_damaged_trial_does_not_hide_a_sweep(tmp_path, content):
  rows = [
    {"settings": {"rate": rate}, "value": rate} for rate in (0.1, 0.2, 0.3)
  ]
  folder = fake_sweeps.write(tmp_path / "s", rows)
  path = folder / "trials" / "0001" / "trial.json"
  path.write_text(content)
  page = report.write_sweep(folder).read_text("utf-8")
  assert f"{path} is damaged" in page
  table = (folder / "trials.csv").read_text().splitlines()
  assert [line.split(",")[0] for line in table[1:]] == ["0", "2"]


def test_a_trial_whose_config_is_damaged_keeps_its_value(tmp_path):
  rows = [{"settings": {"rate": rate}, "value": rate} for rate in (0.1, 0.2)]
  folder = fake_sweeps.write(tmp_path / "s", rows)
  path = folder / "trials" / "0001" / "config.json"
  path.write_text("")
  sweep = sweep_folder.read_sweep(folder)
  assert [trial.value for trial in sweep.trials] == [0.1, 0.2]
  assert len(sweep.problems) == 1
  assert sweep.problems[0].startswith(f"{path} is damaged")


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", '{"study": 1}'])
def test_a_damaged_sweep_is_named(tmp_path, content):
  folder = fake_sweeps.write(tmp_path / "s", [])
  (folder / "sweep.json").write_text(content)
  with pytest.raises(ValueError, match=r"s/sweep.json is damaged: .*restore"):
    report.write_sweep(folder)
