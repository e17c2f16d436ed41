"""The challenge of adversarial backgrounds, against a double loop."""

import logging
import shutil

import jax
import numpy as np
import pytest
from background_sets import INSIDE, write_release

from jaxvision import data, models, parallel
from jaxvision.evaluation import challenge, network

CLASSES = ("00_cat", "01_ant", "02_bee")
PER_CLASS = 3


@pytest.fixture(scope="module")
def root(tmp_path_factory):
  """Images of noise, so that every pair differs."""
  from PIL import Image

  folder = tmp_path_factory.mktemp("release")
  write_release(folder, CLASSES, per_class=PER_CLASS)
  rng = np.random.default_rng(2)
  for variant in ("original", "only_bg_t"):
    for path in sorted((folder / variant).rglob("*.JPEG")):
      image = rng.integers(0, 256, (8, 8, 3), np.uint8)
      Image.fromarray(image).save(path, "PNG")
  return folder


def linear(*, devices=1, scale=1.0, seed=0, names=CLASSES):
  """A random linear model whose classes depend on all pixels."""
  rng = np.random.default_rng(seed)
  kernel = rng.normal(size=(192, len(names))).astype(np.float32) * scale
  mesh = parallel.make_mesh(jax.devices()[:devices])
  variables = {"params": {"head": {"kernel": kernel, "bias": np.zeros(3)}}}
  of = network.Network(
    model=models.create("linear", num_classes=len(names)),
    class_names=names,
    image_shape=(8, 8, 3),
    normalization=data.Normalization((0.5,), (0.5,)),
    mesh=mesh,
  )
  return of, jax.device_put(variables, parallel.replicated(mesh)), kernel


def read(root, variant):
  split = data.open_variant(root, variant)
  indices = range(split.num_examples)
  images, labels = zip(*split.read(indices), strict=True)
  images = [data.decode(image, channels=3) for image in images]
  names = [path.rpartition("/")[2] for path in split.ids(indices)]
  return images, labels, names


def by_loops(root, kernel):
  """The numbers of the challenge: for each foreground, for each background."""
  images, labels, _ = read(root, "original")
  behind, behind_labels, names = read(root, "only_bg_t")
  vulnerable, attacked = 0, 0
  turned = np.zeros((len(images), len(behind)), bool)
  for f, (image, label) in enumerate(zip(images, labels, strict=True)):
    is_vulnerable = False
    for b, (ground, other) in enumerate(
      zip(behind, behind_labels, strict=True)
    ):
      pasted = ground.copy()
      pasted[INSIDE, INSIDE] = image[INSIDE, INSIDE]
      logits = (pasted.reshape(-1) / 255 - 0.5) / 0.5 @ kernel
      is_vulnerable |= logits.argmax() != label
      turned[f, b] = logits.argmax() == other and other != label
    vulnerable += is_vulnerable
    attacked += turned[f].any()
  metrics = {
    "accuracy": 1 - vulnerable / len(images),
    "attacked": attacked / len(images),
  }
  best = {}
  for c, name in enumerate(CLASSES):
    rows = [f for f, label in enumerate(labels) if label != c]
    columns = [b for b, label in enumerate(behind_labels) if label == c]
    some = sum(any(turned[f, b] for b in columns) for f in rows)
    shares = [sum(turned[f, b] for f in rows) / len(rows) for b in columns]
    metrics[f"attacked_by/{name}"] = some / len(rows)
    metrics[f"best_background/{name}"] = max(shares)
    best[name] = names[columns[shares.index(max(shares))]]
  return metrics, best


@pytest.mark.parametrize(
  ("devices", "batch_size", "seed"), [(1, 5, 0), (8, 16, 0), (1, 200, 1)]
)
def test_it_is_the_double_loop(root, devices, batch_size, seed):
  of, variables, kernel = linear(devices=devices, seed=seed)
  found = challenge.suite(str(root), batch_size=batch_size)(of)(variables)
  metrics, best = by_loops(root, kernel)
  assert found.metrics == pytest.approx(metrics)
  assert found.details == {
    "foregrounds": 9,
    "backgrounds": 9,
    "best_backgrounds": best,
  }


@pytest.mark.parametrize("seed", range(3))
def test_an_early_exit_keeps_the_accuracy(root, seed):
  """A model that mostly sees the foreground, so that some foregrounds hold."""
  of, variables, kernel = linear(seed=seed)
  kernel = kernel.reshape(8, 8, 3, 3) * 0.2
  kernel[INSIDE, INSIDE] *= 10
  variables["params"]["head"]["kernel"] = kernel.reshape(-1, 3)
  expected = by_loops(root, kernel.reshape(-1, 3))[0]["accuracy"]
  suite = challenge.suite(str(root), batch_size=4, numbers="accuracy")
  found = suite(of)(variables)
  assert found.metrics == {"accuracy": pytest.approx(expected)}


def test_a_foreground_that_always_wins_and_one_that_never_does(tmp_path):
  """The centre decides the class; then the accuracy is 1, or that of chance."""
  colours, _ = write_release(tmp_path, CLASSES, per_class=2)
  of, _, _ = linear()
  greys = (colours[:, 0] / 255 - 0.5) / 0.5
  for pixel, accuracy, attacked in (((3, 3), 1, 0), ((0, 0), 0, 1)):
    kernel = np.zeros((8, 8, 3, 3), np.float32)
    kernel[*pixel, 0] = 2 * greys
    head = {"kernel": kernel.reshape(-1, 3), "bias": -(greys**2)}
    found = challenge.suite(str(tmp_path))(of)({"params": {"head": head}})
    assert found.metrics["accuracy"] == accuracy
    assert found.metrics["attacked"] == attacked
    assert set(found.metrics.values()) == {accuracy, attacked}


def test_an_answer_outside_of_the_classes_fools_but_does_not_attack():
  cuts = challenge.Cuts(
    images=np.zeros((1, 8, 8, 3), np.uint8),
    masks=np.zeros((1, 8, 8, 1), bool),
    labels=np.array([0]),
    behind=np.zeros((2, 8, 8, 3), np.uint8),
    behind_labels=np.array([0, 1]),
    behind_names=("a", "b"),
  )
  found = challenge.summarize(np.array([[0, -1]]), cuts, CLASSES)
  assert found.metrics["accuracy"] == 0 and found.metrics["attacked"] == 0


def test_what_is_missing_is_named(root, tmp_path):
  of, _, _ = linear()
  shutil.copytree(root / "original", tmp_path / "original")
  with pytest.raises(FileNotFoundError, match="only_bg_t"):
    challenge.suite(str(tmp_path))(of)
  shutil.copytree(root / "only_bg_t", tmp_path / "only_bg_t")
  with pytest.raises(ValueError, match="no masks of the foregrounds"):
    challenge.suite(str(tmp_path))(of)
  with pytest.raises(ValueError, match="unknown numbers 'some'"):
    challenge.suite(str(root), numbers="some")


@pytest.mark.parametrize("numbers", challenge.NUMBERS)
def test_a_model_that_overflows_has_no_numbers(root, numbers):
  of, variables, _ = linear()
  variables["params"]["head"]["bias"] = np.full(3, np.inf, np.float32)
  suite = challenge.suite(str(root), numbers=numbers)
  found = suite(of)(variables).metrics
  assert found and np.isnan(list(found.values())).all()


def test_foregrounds_without_pixels_are_named(root, tmp_path, caplog):
  copied = tmp_path / "release"
  shutil.copytree(root, copied)
  path = copied / "fg_mask/val/01_ant/n001_2.npy"
  np.save(path, np.zeros((8, 8), bool))
  of, variables, _ = linear()
  with caplog.at_level(logging.WARNING):
    found = challenge.suite(str(copied), numbers="accuracy")(of)(variables)
  assert found.details["foregrounds"] == 9
  assert "1 of 9 foregrounds of" in caplog.text
  assert "have no pixel at 8x8" in caplog.text
