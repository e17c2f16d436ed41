"""Explanations of image files by networks of each task."""

import dataclasses

import numpy as np
import pytest
from PIL import Image
from small_runs import NAMES, run_of

from jaxvision import inference
from jaxvision.inference import explanation

SIDE = 16


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
  folder = tmp_path_factory.mktemp("images")
  rng = np.random.default_rng(0)
  found = []
  for number in range(2):
    found.append(folder / f"{number}.png")
    pixels = rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    Image.fromarray(pixels).save(found[-1])
  broken = folder / "broken.png"
  broken.write_bytes(b"no image")
  return [*found, broken]


def test_the_gradient_of_a_linear_model_is_its_weights(paths):
  run = run_of("linear")
  found = inference.explain(run, paths, top=2)
  kernel = np.asarray(run.variables["params"]["head"]["kernel"])
  bias = np.asarray(run.variables["params"]["head"]["bias"])
  for each, path in zip(found[:2], paths, strict=False):
    pixels = np.asarray(Image.open(path))
    logits = (pixels / 255 - 0.5).ravel() / 0.25 @ kernel + bias
    best = int(logits.argmax())
    assert (each.path, each.error) == (str(path), "")
    assert (each.image == pixels).all()
    assert each.target == each.top[0]["class"] == NAMES[best]
    shares = np.exp(logits) / np.exp(logits).sum()
    assert each.top[0]["probability"] == pytest.approx(shares[best], rel=1e-4)
    assert len(each.top) == 2
    weights = kernel[:, best].reshape(SIDE, SIDE, 3)
    assert list(each.maps) == list(each.overlays) == ["gradient"]
    expected = np.abs(weights).max(axis=2)
    np.testing.assert_allclose(each.maps["gradient"], expected, rtol=1e-5)
    assert each.overlays["gradient"].shape == (SIDE, SIDE, 3)
  assert found[2].error.startswith("not an image")
  assert found[2].image is None and not found[2].maps


@pytest.mark.parametrize("target", ["cat", "3", 3, "2", 2])
def test_a_target_is_a_name_or_a_number(target, paths):
  """A name comes first: here "2" is the name of class 3."""
  run = run_of("linear")
  (found,) = inference.explain(run, paths[:1], target=target)
  number = {"cat": 2}.get(target, 3)
  assert found.target == NAMES[number]
  weights = np.asarray(run.variables["params"]["head"]["kernel"])[:, number]
  expected = np.abs(weights.reshape(SIDE, SIDE, 3)).max(axis=2)
  np.testing.assert_allclose(found.maps["gradient"], expected, rtol=1e-5)


@pytest.mark.parametrize(
  ("target", "names", "message"),
  [
    ("catt", NAMES, "unknown class 'catt'; did you mean 'cat'"),
    ("9", NAMES, "no class 9; expected 0 to 3"),
    ("crane", ("crane", "a", "crane"), "2 classes .* give the number .* 0, 2"),
  ],
)
def test_unknown_targets(target, names, message):
  with pytest.raises(ValueError, match=message):
    explanation.class_number(target, names)


def test_methods_must_fit(paths):
  with pytest.raises(ValueError, match=r"rollout does not fit .*gradcam"):
    inference.explain(run_of("resnet"), paths, methods=("gradcam", "rollout"))


def test_sets_of_classes_are_explained_by_gradients(paths):
  run = run_of("linear", task="multilabel")
  (found,) = inference.explain(run, paths[:1])
  assert found.target == found.top[0]["class"]
  for method in ("rise(masks=4)", "occlusion"):
    with pytest.raises(ValueError, match="among all, and this run predicts"):
      inference.explain(run, paths[:1], methods=(method,))
  (found,) = inference.explain(
    run, paths[:1], methods=("occlusion(score='logit', window=8)",)
  )
  assert found.maps["occlusion(score='logit', window=8)"].any()


def test_a_number_must_be_chosen(paths):
  run = run_of("linear", task="regression")
  with pytest.raises(ValueError, match="numbers ant, bee, cat, 2; say which"):
    inference.explain(run, paths[:1])
  (found,) = inference.explain(run, paths[:1], target="bee")
  assert found.target == "bee"
  assert [each["class"] for each in found.top] == list(NAMES)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"generator": object()}, "a generator and a critic"),
    ({"score": lambda *_: None}, "captions"),
    ({"model_at": "encoder"}, "captions"),
  ],
)
def test_runs_without_classes_are_refused(changes, message, paths):
  run = run_of("linear")
  task = dataclasses.replace(run.task, **changes)
  run = dataclasses.replace(run, task=task)
  with pytest.raises(ValueError, match=message):
    inference.explain(run, paths)


def test_maps_of_no_class_are_named():
  assert explanation.note(("gradcam",)) == ""
  named = explanation.note(("rollout", "gradcam", "attention(layer=0)"))
  assert named == "The same for every class: rollout, attention(layer=0)."
