"""Tests of regression, trained on angle and ink of rotated digits."""

import json

import jax
import jax.export
import labelled_digits
import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as theirs

from jaxvision import cli, data, inference
from jaxvision.inference import export

NAMES = labelled_digits.NUMBERS
TASK = {"data__labels": "numbers", "task__name": "regression"}


@pytest.fixture(
  scope="module",
  params=["squared_error", pytest.param("huber", marks=[pytest.mark.slow])],
)
def trained(request, tmp_path_factory):
  """The folder of a run, and the data."""
  folder = tmp_path_factory.mktemp("numbers")
  path = labelled_digits.write_numbers(folder / "digits.npz")
  labelled_digits.train(path, folder / "run", loss__name=request.param, **TASK)
  return folder / "run", path


def test_it_learns_the_angle_and_the_ink_of_digits(trained):
  workdir, _ = trained
  result = json.loads((workdir / "result.json").read_text())
  assert result["class_names"] == list(NAMES)
  assert result["final"]["metrics"]["r2"] > 0.7
  with np.load(workdir / "evaluation.npz") as arrays:
    angle, ink = arrays["r2"]
    assert angle > 0.6 and ink > 0.6


def test_evaluation_is_that_of_scikit_learn(trained):
  workdir, path = trained
  run = inference.load_run(workdir)
  found = inference.evaluate(run).metrics
  with np.load(path) as arrays:
    images, labels = arrays["test_images"], arrays["test_labels"]
  pixels = data.normalize(images[..., None], data.Normalization((0.5,), (0.5,)))
  outputs = np.asarray(run.model.apply(run.variables, pixels, train=False))
  assert found["r2"] == pytest.approx(
    theirs.r2_score(labels, outputs), rel=1e-4
  )
  assert found["mean_absolute_error"] == pytest.approx(
    theirs.mean_absolute_error(labels, outputs), rel=1e-4
  )


def test_the_report_shows_the_numbers_and_the_largest_errors(trained):
  workdir, _ = trained
  page = (workdir / "report.html").read_text()
  assert "angle" in page and "Largest errors" in page and "output:" in page


def test_predictions_and_the_exported_model_are_the_numbers(
  trained, tmp_path, capsys
):
  workdir, path = trained
  with np.load(path) as arrays:
    image = arrays["test_images"][0]
  Image.fromarray(image).save(tmp_path / "digit.png")
  run = inference.load_run(workdir)
  (found,) = inference.predict(run, [tmp_path / "digit.png"])
  export.save(
    tmp_path / "model.jax",
    run.model,
    run.variables,
    image_shape=run.input_shape,
    normalization=run.normalization,
    answer=run.task.answer,
  )
  artifact = jax.export.deserialize((tmp_path / "model.jax").read_bytes())
  exported = np.asarray(artifact.call(image[None, ..., None]))[0]
  assert [each["class"] for each in found["top"]] == list(NAMES)
  values = [each["value"] for each in found["top"]]
  np.testing.assert_allclose(values, exported, atol=1e-5)
  command = ["predict", "--workdir", str(workdir)]
  assert cli.main([*command, str(tmp_path / "digit.png")]) == 0
  assert "angle" in capsys.readouterr().out


def test_numbers_cannot_be_trained_as_classes(tmp_path):
  path = labelled_digits.write_numbers(tmp_path / "digits.npz")
  with pytest.raises(
    ValueError, match=r"labels are 'classes', and data\.labels is"
  ):
    labelled_digits.train(path, tmp_path / "run", data__labels="numbers")
