"""The records of claims, their pages, the choice of rates, the verdicts."""

import json
import os
import pathlib
import sys

import experiment_scripts
import fake_sweeps
import numpy as np
import pytest
from scipy import stats

from jaxvision import sweeps
from jaxvision.data.transforms.host import make_host_transform

FOLDER = experiment_scripts.FOLDER / "papers"
DOCS = experiment_scripts.FOLDER.parent / "docs"


@pytest.fixture(scope="module", autouse=True)
def _importable():
  """The scripts import each other, as in `python experiments/papers/x.py`."""
  with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(FOLDER))
    yield


def _load(name):
  return experiment_scripts.load(f"papers/{name}.py")


def _scripts():
  paths = sorted(FOLDER.glob("*.py"))
  return [p.stem for p in paths if "\nCLAIM = " in p.read_text("utf-8")]


def _finding(claims, verdict="holds"):
  made, _ = claims.figure()
  return claims.Finding("1 ± 2 | 3", verdict, seeds=3, figure=made)


def _claim(claims):
  return claims.Claim("A is <b>.", "paper, Table 1", "", "noise", "the rest")


def test_a_record_has_claim_finding_and_picture(tmp_path):
  claims = _load("claims")
  script = str(FOLDER / "initial_loss.py")
  measured = []

  def measure(quick):
    measured.append(quick)
    return _finding(claims)

  output = f"--output={tmp_path}"
  claims.run(script, _claim(claims), measure, [output, "--quick"])
  assert measured == [True]
  record = json.loads((tmp_path / "initial_loss.json").read_text("utf-8"))
  assert record["sentence"] == "A is <b>." and record["verdict"] == "holds"
  assert record["seeds"] == 3
  assert record["commands"] == ["python experiments/papers/initial_loss.py"]
  assert (tmp_path / "initial_loss.png").stat().st_size > 1000
  with pytest.raises(ValueError, match=r"'true' is not one of holds, holds in"):
    claims.run(
      *(script, _claim(claims), lambda quick: _finding(claims, "true")),
      [output],
    )


def test_a_sweep_is_judged_by_its_folder(tmp_path):
  claims = _load("claims")
  folders = []

  def judge(folder):
    folders.append(folder)
    return _finding(claims)

  claims.run(
    *(str(FOLDER / "initial_loss.py"), _claim(claims), judge),
    ["runs/x", f"--output={tmp_path}"],
    of_sweep=True,
  )
  assert folders == [pathlib.Path("runs/x")]
  record = json.loads((tmp_path / "initial_loss.json").read_text())
  assert record["commands"] == [
    "jaxvision sweep experiments/papers/initial_loss.py --workdir "
    "runs/claims/initial_loss --vectorize auto",
    "python experiments/papers/initial_loss.py runs/claims/initial_loss",
  ]


def test_the_page_is_that_of_the_records():
  gallery, claims = _load("gallery"), _load("claims")
  records = gallery.read(claims.RESULTS)
  text = gallery.markdown(records)
  assert (DOCS / "claims.md").read_text("utf-8") == text, (
    "run python experiments/papers/gallery.py"
  )
  for name, record in records.items():
    assert record["verdict"] in claims.VERDICTS
    assert f"## {name}\n" in text
    assert (claims.RESULTS / f"{name}.png").exists()


def test_the_gallery_contains_its_pictures_and_escapes_text(tmp_path):
  gallery, claims = _load("gallery"), _load("claims")
  claims.run(
    *(str(FOLDER / "initial_loss.py"), _claim(claims)),
    *(lambda quick: _finding(claims), [f"--output={tmp_path}"]),
  )
  page = tmp_path / "page.html"
  gallery.main([str(page), f"--results={tmp_path}"])
  text = page.read_text("utf-8")
  assert "A is &lt;b&gt;." in text and "data:image/png;base64," in text
  assert "python experiments/papers/initial_loss.py" in text
  assert r"1 ± 2 \| 3" in gallery.markdown(gallery.read(tmp_path))
  (tmp_path / "other.json").write_text(json.dumps({"script": "no_such.py"}))
  with pytest.raises(ValueError, match=r"no_such\.py, which does not exist"):
    gallery.read(tmp_path)


@pytest.mark.parametrize("name", _scripts())
def test_a_script_states_its_claim_and_its_rule(name):
  module, gallery = _load(name), _load("gallery")
  assert module.CLAIM.sentence.endswith(".")
  rule = gallery.how_to_read({"script": f"{name}.py"})
  assert '"holds"' in rule


@pytest.mark.slow
@pytest.mark.parametrize("name", _scripts())
def test_the_space_of_a_sweep_fits_its_config(name):
  if "SPACE" not in _load("all").constants(FOLDER / f"{name}.py"):
    pytest.skip("it measures by itself")
  experiment = sweeps.load(FOLDER / f"{name}.py")
  assert sweeps.plan(experiment.space, searcher="grid", draws=1)


def _arms(arms, values):
  """Arms of {(name, rate): (validation, test)}, both by seed."""
  return [
    arms.Arm(name, rate, np.array(v), np.array(t), ())
    for (name, rate), (v, t) in values.items()
  ]


def test_the_best_rate_is_that_of_the_validation_split():
  arms = _load("arms")
  chosen = arms.best(
    _arms(
      arms,
      {
        ("a", 0.1): ([90, 92], [80, 82]),
        ("a", 1.0): ([91, 92], [70, 72]),  # validates best, tests worse
        ("b", 0.1): ([50, 52], [99, 99]),
      },
    )
  )
  assert {name: arm.rate for name, arm in chosen.items()} == {
    "a": 1.0,
    "b": 0.1,
  }


def test_differences_are_paired_and_corrected():
  arms, rng = _load("arms"), np.random.default_rng(0)
  base = rng.normal(90, 5, size=5)
  better = base + rng.normal(1.0, 0.2, size=5)
  same = base + rng.normal(0.0, 1.0, size=5)
  found = arms.compare(
    {"better": (better, base), "worse": (base, better), "same": (same, base)}
  )
  p = stats.ttest_rel(better, base).pvalue
  assert found["better"].p == pytest.approx(3 * p)
  assert found["better"].is_positive and not found["better"].is_negative
  assert found["worse"].is_negative and not found["same"].is_positive
  equal = arms.compare({"x": (base, base), "y": (base + 1, base)})
  assert not equal["x"].is_positive and equal["x"].p == 1
  assert equal["y"].is_positive and str(equal["y"]) == "+1.00 ± 0.00"


def test_arms_are_read_from_a_sweep(tmp_path):
  arms = _load("arms")
  trials = [
    {
      "settings": {"kind": kind, arms.RATE: rate, "seed": seed},
      "value": value + seed / 100,
    }
    for kind, rate, value in (("a", 0.1, 0.5), ("a", 1.0, 0.6), ("b", 0.1, 0.7))
    for seed in (1, 0)
  ]
  trials[2]["state"] = "failed"
  found = arms.read(fake_sweeps.write(tmp_path / "W", trials), "kind")
  rows = {(arm.name, arm.rate): arm for arm in found}
  assert rows["a", 0.1].validation == pytest.approx([50, 51])
  assert rows["a", 0.1].test == pytest.approx([49, 50])
  assert rows["a", 1.0].test == pytest.approx([59, 10])  # it has diverged
  trials = [{"settings": {"k": [1, 2], "n": "x", "seed": 0}, "value": 0.5}]
  (arm,) = arms.read(fake_sweeps.write(tmp_path / "U", trials), "k", "n")
  assert arm.name == ((1, 2), "x") and arm.rate == 0
  trials[0]["state"] = "running"
  with pytest.raises(ValueError, match="trial 0 is running"):
    arms.read(fake_sweeps.write(tmp_path / "V", trials), "kind")


def test_halved_digits_are_those_that_networks_see():
  """Up to the rounding to whole numbers."""
  small = _load("small_mnist")
  images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), np.uint8)
  transform = make_host_transform(small.HALF_SIZE["data.eval_transforms"])
  seen = np.stack([transform(None, image) for image in images])
  halved = small.halve(images)
  assert halved.shape == seen.shape and halved.dtype == np.uint8
  np.testing.assert_allclose(halved, seen, atol=1)


def test_all_commands_are_of_the_scripts(tmp_path):
  module = _load("all")
  assert [path.stem for path in module.scripts()] == _scripts()
  (own,) = module.commands(FOLDER / "initial_loss.py", tmp_path, quick=True)
  assert own[-2:] == [f"--output={tmp_path / 'results'}", "--quick"]
  sweep, judge = module.commands(FOLDER / "l1_l2.py", tmp_path, quick=False)
  assert sweep[1:4] == ["-m", "jaxvision", "sweep"] and "auto" in sweep
  assert judge[2] == str(tmp_path / "l1_l2")


def test_a_claim_with_a_record_is_not_measured_again(tmp_path, monkeypatch):
  module, claims = _load("all"), _load("claims")
  monkeypatch.setattr(
    module, "scripts", lambda: [FOLDER / f"{n}.py" for n in ("l1_l2", "tricks")]
  )
  monkeypatch.setattr(module, "write_inputs", lambda *, quick: None)
  started = []

  def commands(script, folder, *, quick):
    started.append(script.stem)
    return [[sys.executable, "-c", f"import sys; sys.exit({len(started)})"]]

  monkeypatch.setattr(module, "commands", commands)
  (tmp_path / "results").mkdir()
  claims.run(
    *(str(FOLDER / "l1_l2.py"), _claim(claims), lambda quick: _finding(claims)),
    [f"--output={tmp_path / 'results'}"],
  )
  assert module.main([str(tmp_path)]) == 1  # it failed
  assert started == ["tricks"]
  assert "A is &lt;b&gt;." in (tmp_path / "gallery.html").read_text("utf-8")
  monkeypatch.setattr(module, "commands", lambda *_, quick: [])
  assert module.main([str(tmp_path)]) == 0


def test_each_core_measures_one_claim_at_a_time(tmp_path, monkeypatch, capfd):
  module = _load("all")
  names = ("l1_l2", "tricks", "guidelines")
  monkeypatch.setattr(
    module, "scripts", lambda: [FOLDER / f"{n}.py" for n in names]
  )
  if len(cores := sorted(os.sched_getaffinity(0))[:2]) < 2:
    pytest.skip("one core")
  monkeypatch.setattr(module, "write_inputs", lambda *, quick: None)
  monkeypatch.setattr(module, "_cores", lambda: cores)
  code = "import os, time; time.sleep(.3); print(os.sched_getaffinity(0))"
  monkeypatch.setattr(
    module, "commands", lambda *_, quick: [[sys.executable, "-c", code]]
  )
  assert module.main([str(tmp_path)]) == 0
  on = {n: (tmp_path / f"{n}.log").read_text("utf-8").strip() for n in names}
  assert {on["l1_l2"], on["tricks"]} == {str({core}) for core in cores}
  # It measures times: alone, at the end.
  assert on["guidelines"] == str(set(cores))
  assert capfd.readouterr().out.splitlines()[2] == "guidelines: left out"


@pytest.mark.slow
def test_all_claims_are_measured_quickly(tmp_path, monkeypatch):
  """The smoke version; its verdicts mean nothing."""
  monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "1")  # as a user's
  monkeypatch.delenv("XLA_FLAGS")
  assert _load("all").main([str(tmp_path / "claims"), "--quick"]) == 0
  found = {p.stem for p in (tmp_path / "claims" / "results").glob("*.json")}
  constants = _load("all").constants
  own = (n for n in _scripts() if "BEFORE" not in constants(FOLDER / f"{n}.py"))
  assert found == set(own)
