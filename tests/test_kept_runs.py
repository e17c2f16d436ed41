"""Folders and files of an earlier commit still work: see kept/README.md.

Training runs in processes of one device, like the kept runs. On the same
machine and with the same jax, the numbers must be equal bit for bit. Otherwise
they must agree up to the rounding of float32, which the steps of a training
amplify.
"""

import json
import pathlib
import shutil

import jax
import jax.export
import numpy as np
import pytest
import spawned
from kept import make

import jaxvision
from jaxvision import cli

_KEPT = pathlib.Path(__file__).parent / "kept"
_EXPECTED = json.loads((_KEPT / "expected.json").read_text())
_OUTPUTS = dict(np.load(_KEPT / "expected.npz"))
_EXACT = _EXPECTED["machine"] == make.machine()
_ONE_PASS = 1e-5  # Relative, after one forward pass.
_TRAINED = 1e-3  # Relative, after the steps of a training.


@pytest.fixture
def kept(tmp_path, monkeypatch):
  """A copy of the kept files, in which the commands run.

  It belongs to an account that trusts no code so far.
  """
  monkeypatch.setenv("JAXVISION_CACHE", str(tmp_path / "account"))
  monkeypatch.setenv("TFDS_DATA_DIR", spawned.prepared_digits())
  folder = shutil.copytree(_KEPT, tmp_path / "kept")
  monkeypatch.chdir(folder)
  return folder


def _train(*words):
  """Runs a command in a process like those that created the kept files."""
  output = pathlib.Path("output.txt").absolute()
  variables = {"JAX_NUM_CPU_DEVICES": "1", "XLA_FLAGS": make.XLA_FLAGS}
  command = spawned.start(words, output=output, variables=variables)
  assert command.wait() == 0, output.read_text()


def _agree(ours, theirs, *, rounding):
  """Compares two trees of text and numbers; to rounding on other machines."""
  leaves, structure = jax.tree.flatten(ours)
  expected, its = jax.tree.flatten(theirs)
  assert structure == its
  for leaf, value in zip(leaves, expected, strict=True):
    if not isinstance(value, str):
      assert leaf == pytest.approx(value, rel=rounding, abs=rounding)
    else:
      assert leaf == value


def _resumed_from(workdir):
  """The steps from which a run was resumed."""
  starts = json.loads((workdir / "environment.json").read_text())
  return [start["step"] for start in starts[1:]]


def _same_result(workdir, result):
  ours = spawned.result(workdir)
  assert ours["status"] == result["status"] == "finished"
  assert ours["step"] == result["step"]
  if _EXACT:
    for key in ("fingerprint", "best", "final"):
      assert ours[key] == result[key]
  _agree(ours["final"], result["final"], rounding=_TRAINED)


def _printed(*words, capsys):
  """The JSON output of a command."""
  assert cli.main([*words, "--json"]) == 0
  return json.loads(capsys.readouterr().out)


def test_interrupted_run_resumes_to_the_end_of_the_whole_run(kept):
  _train("train", "--config", "recipe.py:mlp", "--workdir", "interrupted")
  assert _resumed_from(kept / "interrupted") == [100]
  _same_result(kept / "interrupted", spawned.result(kept / "whole"))
  lines, expected = map(
    spawned.measured, (kept / "interrupted", kept / "whole")
  )
  if _EXACT:
    assert lines == expected
  _agree(lines, expected, rounding=_TRAINED)


@pytest.mark.slow
def test_finished_run_is_extended(kept):
  _train("train", "--workdir", "finished", "--extend", "120 steps")
  _same_result(kept / "finished", _EXPECTED["extended"])


@pytest.mark.slow
def test_sweep_resumes_and_all_trials_complete(kept):
  words = ("question.py", "--workdir", "sweep", "--vectorize", "2", "--trust")
  _train("sweep", *words)
  folders = sorted((kept / "sweep" / "trials").iterdir())
  trials = [json.loads((path / "trial.json").read_text()) for path in folders]
  assert [trial["state"] for trial in trials] == ["complete"] * 6
  values = [trial["value"] for trial in trials]
  # Trials that train together are equal to others up to rounding only.
  _agree(values, _EXPECTED["trials"], rounding=_TRAINED)
  assert [_resumed_from(path) for path in folders[2:4]] == [[21], [21]]
  assert (kept / "sweep" / "report.html").exists()


def test_unfinished_sweep_is_reported(kept):
  assert cli.main(["report", "sweep"]) == 0
  page = (kept / "sweep" / "report.html").read_text("utf-8")
  assert "Which learning rate?" in page
  rows = (kept / "sweep" / "trials.csv").read_text("utf-8").splitlines()
  assert sum("complete" in row for row in rows) == 2


def test_best_trials_of_a_sweep_run_again_after_consent(kept, capsys):
  words = ["sweep", "--rerun", "sweep", "--top=1", "--seeds=3", "--dry-run"]
  assert cli.main(words) == 2
  assert "--trust" in capsys.readouterr().err
  assert cli.main([*words, "--trust"]) == 0
  lines = capsys.readouterr().out.splitlines()
  assert len(lines) == 4 and lines[0].startswith("3 runs of ")
  assert all("learning_rate=0.01" in line for line in lines[1:])


def test_finished_run_is_left_as_it_is(kept, capsys):
  before = (kept / "finished" / "result.json").read_bytes()
  result = jaxvision.train("recipe.py:resnet", workdir="finished")
  assert result == json.loads(before)
  assert (kept / "finished" / "result.json").read_bytes() == before


def test_finished_run_is_evaluated(kept, capsys):
  found = _printed("evaluate", "--workdir", "finished", capsys=capsys)
  _agree(found, _EXPECTED["evaluate"], rounding=_ONE_PASS)
  final = spawned.result(kept / "finished")["final"]["metrics"]
  _agree({key: found[key] for key in final}, final, rounding=_ONE_PASS)


def test_best_checkpoint_of_an_interrupted_run_is_evaluated(kept, capsys):
  best = spawned.result(kept / "interrupted")["best"]
  words = ("--checkpoint", "best", "--split", "validation")
  found = _printed(
    "evaluate", "--workdir", "interrupted", *words, capsys=capsys
  )
  assert found["step"] == best["step"]
  assert found["top1"] == pytest.approx(best["value"], rel=_ONE_PASS)


def test_images_are_predicted(kept, capsys):
  found = _printed(
    "predict", "--workdir", "finished", "digit.png", capsys=capsys
  )
  _agree(found, _EXPECTED["predict"], rounding=_ONE_PASS)


def test_features_are_probed(kept, capsys):
  words = ("--data", "digits", "--probes", make.PROBES)
  found = _printed("probe", "--workdir", "finished", *words, capsys=capsys)
  _agree(found, _EXPECTED["probe"], rounding=_ONE_PASS)


def test_runs_are_reported_and_compared(kept):
  models = {"finished": "resnet18", "interrupted": "mlp"}
  models["own_code"] = "my_model.py:create"
  assert cli.main(["report", *models]) == 0
  for name, model in models.items():
    assert model in (kept / name / "report.html").read_text("utf-8")
  accuracy = spawned.result(kept / "finished")["final"]["metrics"]["top1"]
  page = (kept / "finished" / "report.html").read_text("utf-8")
  assert f"{accuracy:.2%}" in page


def test_own_code_is_run_after_consent(kept, capsys):
  words = ["evaluate", "--workdir", "own_code"]
  assert cli.main(words) == 2
  assert "--trust" in capsys.readouterr().err
  found = _printed(*words, "--trust", capsys=capsys)
  final = spawned.result(kept / "own_code")["final"]["metrics"]
  _agree({key: found[key] for key in final}, final, rounding=_ONE_PASS)
  extend = ["train", "--workdir", "own_code", "--extend", "24 steps"]
  assert cli.main(extend) == 0
  result = spawned.result(kept / "own_code")
  assert (result["status"], result["step"]) == ("finished", 24)


def _called(path):
  model = jax.export.deserialize(bytearray(path.read_bytes()))
  return np.asarray(model.call(_OUTPUTS["images"]))


def test_exported_model_runs_and_is_exported_again(kept):
  found = _called(kept / "model.jax")
  np.testing.assert_allclose(found, _OUTPUTS["exported"], rtol=_ONE_PASS)
  assert cli.main(["export", "again.jax", "--workdir", "finished"]) == 0
  again = _called(kept / "again.jax")
  np.testing.assert_allclose(again, _OUTPUTS["exported"], rtol=_ONE_PASS)
  assert (kept / "again.txt").read_text() == (kept / "model.txt").read_text()


@pytest.mark.parametrize(
  ("source", "name", "expected"),
  [
    ("vit.npz", "vit_ti16", "vit.npz"),
    ("resnet.safetensors", "resnet18", "resnet.safetensors"),
    ("finished", "resnet18", "resnet.safetensors"),
  ],
)
def test_weights_give_the_logits_of_before(kept, source, name, expected):
  model, variables = jaxvision.weights.load(source, name)
  pixels = np.float32(_OUTPUTS["images"] / 127.5 - 1)
  logits = jax.jit(model.apply, static_argnames="train")(
    variables, pixels, train=False
  )
  np.testing.assert_allclose(
    logits, _OUTPUTS[expected], rtol=_ONE_PASS, atol=_ONE_PASS
  )


def test_weights_are_predicted_with_as_the_file_beside_them_says(kept, capsys):
  words = ("--weights", "resnet.safetensors", "--model", "resnet18")
  found = _printed("predict", *words, "digit.png", capsys=capsys)
  _agree(found, _EXPECTED["predict"], rounding=_ONE_PASS)
