"""Evaluation images of another size than the training images."""

import json

import cv2
import numpy as np
import pytest
import tiny_runs

from jaxvision import inference, training

CONV = {"blocks": (1,), "features": 8, "stem": "small"}
VIT = {"patch_size": 2, "width": 8, "depth": 1, "mlp_dim": 8, "num_heads": 2}
LARGER = {"data__eval_transforms": ("resize(6)",)}


@pytest.fixture
def folder(tmp_path):
  tiny_runs.write_data(tmp_path)
  return tmp_path


@pytest.mark.parametrize(
  ("name", "options"),
  [("mlp", {"hidden": (8,)}), ("linear", {}), ("vit_ti16", VIT)],
)
def test_a_model_of_one_size_is_refused_before_the_training(
  folder, name, options
):
  with pytest.raises(ValueError) as caught:
    tiny_runs.prepare(
      folder, model__name=name, model__options=options, **LARGER
    )
  message = str(caught.value)
  assert message.startswith("the images of data.validation are 6x6x1, those of")
  assert "let data.eval_transforms end with the size of" in message


@pytest.mark.parametrize(
  ("name", "options"),
  [
    ("resnet18", CONV),
    ("vit_ti16", VIT | {"positions": "rotary", "pool": "mean"}),
    ("vit_ti16", VIT | {"positions": "sincos2d"}),
  ],
)
def test_a_model_of_any_size_is_prepared(folder, name, options):
  parts = tiny_runs.prepare(
    folder, model__name=name, model__options=options, **LARGER
  )
  assert parts.image_shape == (4, 4, 1)
  assert parts.batches["validation"].image_shape == (6, 6, 1)


@pytest.mark.slow
def test_a_run_trains_evaluates_and_predicts_at_both_sizes(folder):
  """The prediction is for the enlarged image, as in evaluation."""
  overrides = {
    "model__name": "resnet18",
    "model__options": CONV,
    "evaluate__probes": ("knn(k=3)",),
    **LARGER,
  }
  tiny_runs.load_config(folder, **overrides)
  workdir = folder / "run"
  dotted = {key.replace("__", "."): each for key, each in overrides.items()}
  training.train(
    str(folder / "recipe.py"), workdir=str(workdir), overrides=dotted
  )
  result = json.loads((workdir / "result.json").read_text("utf-8"))
  assert result["image_shape"] == [4, 4, 1]
  assert result["evaluated_shape"] == [6, 6, 1]
  run = inference.load_run(workdir)
  measured = inference.evaluate(run, role="validation").metrics
  assert measured["loss"] == pytest.approx(
    result["final"]["metrics"]["loss"], rel=1e-6
  )
  image = np.random.default_rng(0).integers(0, 256, (4, 4), np.uint8)
  cv2.imwrite(str(folder / "image.png"), image)
  (found,) = inference.predict(run, [folder / "image.png"], top=3)
  larger = cv2.resize(image, (6, 6), interpolation=cv2.INTER_LINEAR)
  pixels = (larger[None, ..., None] / 255 - 0.5) / 0.5
  logits = run.model.apply(run.variables, np.float32(pixels), train=False)[0]
  shares = np.exp(logits) / np.exp(logits).sum()
  probabilities = [each["probability"] for each in found["top"]]
  np.testing.assert_allclose(probabilities, np.sort(shares)[::-1], rtol=1e-4)
