"""Accuracies on variants, of models that see one pixel of an image."""

import logging
import shutil

import jax
import numpy as np
import pytest
from background_sets import IN9, VARIANTS, write_release

from jaxvision import data, models, parallel
from jaxvision.evaluation import backgrounds, network
from jaxvision.weights import class_names

FOREGROUND, BACKGROUND = (3, 4), (0, 1)  # pixels
PER_CLASS = 4


@pytest.fixture(scope="module")
def release(tmp_path_factory):
  root = tmp_path_factory.mktemp("release")
  return root, *write_release(root, per_class=PER_CLASS)


def classifier(
  pixel,
  colours,
  *,
  names=IN9,
  logits=None,
  devices=1,
  cut=lambda logits: logits,
):
  """A linear model that takes the class with the nearest grey of one pixel.

  -(x - c)^2 = 2 c x - c^2 + a term that all classes share.

  Args:
    pixel: row and column.
    colours: (classes, 3) of the classes.
    names: of the logits.
    logits: which logit belongs to each class.
    devices: of the mesh.
  """
  model = models.create("linear", num_classes=len(names))
  greys = colours[:, 0] / 255
  kernel = np.zeros((8, 8, 3, len(names)), np.float32)
  bias = np.full(len(names), -1e3, np.float32)
  logits = range(len(colours)) if logits is None else logits
  for logit, grey in zip(logits, greys, strict=True):
    kernel[*pixel, 0, logit], bias[logit] = 2 * grey, -(grey**2)
  mesh = parallel.make_mesh(jax.devices()[:devices])
  variables = {
    "params": {"head": {"kernel": kernel.reshape(-1, len(names)), "bias": bias}}
  }
  variables = jax.device_put(variables, parallel.replicated(mesh))
  of = network.Network(
    model=model,
    class_names=tuple(names),
    image_shape=(8, 8, 3),
    normalization=data.Normalization((0.0,), (1.0,)),
    mesh=mesh,
  )
  return of, variables


def measure(root, of, variables, **options):
  return backgrounds.suite(str(root), **options)(of)(variables)


@pytest.mark.parametrize(("devices", "batch_size"), [(1, 7), (8, 16)])
def test_a_model_that_sees_only_the_background(release, devices, batch_size):
  root, colours, rand = release
  of, variables = classifier(BACKGROUND, colours, devices=devices)
  found = measure(root, of, variables, batch_size=batch_size)
  same = (rand == np.arange(9)[:, None]).mean()
  assert found.metrics == pytest.approx(
    {
      **dict.fromkeys(VARIANTS, 1.0),
      "only_fg": 1 / 9,  # black is nearest to the darkest class
      "mixed_rand": same,
      "mixed_next": 0.0,
      "bg_gap": 1 - same,
      "bg_required": 1 - same,
      "bg_fools": 0,
      "bg_fg_required": 0,
      "bg_fg_fools": 0,
      "bg_irrelevant": same,
    }
  )
  assert found.details["categorized"] == 9 * PER_CLASS
  assert found.details["images"] == dict.fromkeys(VARIANTS, 9 * PER_CLASS)


def test_a_model_that_sees_only_the_foreground(release):
  root, colours, _ = release
  found = measure(root, *classifier(FOREGROUND, colours)).metrics
  black = {"only_bg_b": 1 / 9, "no_fg": 1 / 9}
  # The foreground of Only-BG-T has the colour of the background here.
  expected = {**dict.fromkeys(VARIANTS, 1.0), **black, "bg_gap": 0.0}
  assert {k: found[k] for k in expected} == pytest.approx(expected)
  assert found["bg_irrelevant"] == 1


def test_imagenet_predicts_with_all_of_its_logits(release):
  """Half of the classes answer through a dog that the map lacks."""
  root, colours, _ = release
  # A class of ImageNet in each class of ImageNet-9.
  logits = [151, 7, 407, 33, 269, 300, 401, 365, 0]
  names = class_names.imagenet_1k()
  of, variables = classifier(FOREGROUND, colours, names=names, logits=logits)
  assert measure(root, of, variables).metrics["original"] == 1
  of, variables = classifier(
    FOREGROUND, colours, names=names, logits=[171, *logits[1:]]
  )
  found = measure(root, of, variables).metrics
  # The dogs are whippets or greyhounds: no label at all.
  assert found["original"] == pytest.approx(8 / 9)


def test_categories_are_those_of_table_3():
  table = {
    "bg_required": ["101"],
    "bg_fools": ["010"],
    "bg_fg_required": ["100"],
    "bg_fg_fools": ["011"],
    "bg_irrelevant": ["000", "001", "110", "111"],
  }
  for name, cases in table.items():
    for case in cases:
      correct = [np.array([letter == "1"]) for letter in case]
      found = backgrounds.categories(*correct)
      assert found == {**dict.fromkeys(table, 0.0), name: 1.0}
  rng = np.random.default_rng(0)
  found = backgrounds.categories(*rng.random((3, 500)) < 0.6)
  assert sum(found.values()) == pytest.approx(1)


def test_categories_follow_the_names_of_the_images(release, tmp_path):
  """One model that is right for some images; each variant in another order."""
  root, colours, _ = release
  copied = tmp_path / "release"
  shutil.copytree(root, copied)
  # The mixed images of class 3 show another foreground.
  wrong = sorted((copied / "mixed_rand/val/03_reptile").iterdir())[:3]
  for path in wrong:
    shutil.copy(next((copied / "original/val/05_insect").iterdir()), path)
  found = measure(copied, *classifier(FOREGROUND, colours)).metrics
  assert found["bg_required"] == pytest.approx(3 / (9 * PER_CLASS))
  assert found["bg_irrelevant"] == pytest.approx(1 - found["bg_required"])
  assert found["bg_gap"] == pytest.approx(3 / (9 * PER_CLASS))


def test_missing_variants_are_named_and_the_others_measured(
  release, tmp_path, caplog
):
  root, colours, _ = release
  for name in ("original", "mixed_same"):
    shutil.copytree(root / name, tmp_path / name)
  with caplog.at_level(logging.WARNING):
    found = measure(tmp_path, *classifier(FOREGROUND, colours))
  assert set(found.metrics) == {"original", "mixed_same"}
  assert "no folders of only_bg_b, only_bg_t, no_fg" in caplog.text
  with pytest.raises(FileNotFoundError, match="mixed_next/val"):
    measure(tmp_path / "original", *classifier(FOREGROUND, colours))


def test_variants_must_have_the_same_classes(release, tmp_path):
  root, colours, _ = release
  for name in ("original", "only_fg"):
    shutil.copytree(root / name, tmp_path / name)
  shutil.rmtree(tmp_path / "only_fg/val/08_fish")
  with pytest.raises(ValueError, match=r"original and only_fg of .* different"):
    measure(tmp_path, *classifier(FOREGROUND, colours))


def test_an_image_in_one_variant_only_has_no_category(
  release, tmp_path, caplog
):
  root, colours, _ = release
  copied = tmp_path / "release"
  shutil.copytree(root, copied)
  next((copied / "only_bg_t/val/02_wheeled vehicle").iterdir()).unlink()
  with caplog.at_level(logging.WARNING):
    found = measure(copied, *classifier(FOREGROUND, colours))
  assert found.details["categorized"] == 9 * PER_CLASS - 1
  assert (
    "1 images are not in all of original, mixed_rand, only_bg_t, or share"
    in caplog.text
  )


@pytest.mark.parametrize("published", [True, False])
def test_originals_may_have_names_as_mixed_images(release, tmp_path, published):
  """Originals with one foreground and several backgrounds."""
  root, colours, _ = release
  copied = tmp_path / "release"
  shutil.copytree(root, copied)
  for path in [*copied.glob("*/*/*/*.*")]:
    mixed = path.stem.startswith("fg_")
    name = path.stem.removeprefix("fg_").removesuffix("_bg_n000_0")
    new = f"fg_x_bg_{name.rpartition('_')[2]}"
    if mixed and published:
      new = f"fg_{new}_bg_y"
    path.rename(path.with_name(new + path.suffix))
  found = measure(copied, *classifier(FOREGROUND, colours))
  assert found.details["categorized"] == 9 * PER_CLASS
  assert found.metrics["bg_irrelevant"] == 1


def test_images_that_share_a_name_have_no_category(release, tmp_path, caplog):
  root, colours, _ = release
  copied = tmp_path / "release"
  shutil.copytree(root, copied)
  path = copied / "mixed_rand/val/00_dog/fg_n000_1_bg_n000_0.JPEG"
  shutil.copy(path, path.with_name("fg_n000_1_bg_n000_7.JPEG"))
  with caplog.at_level(logging.WARNING):
    found = measure(copied, *classifier(FOREGROUND, colours))
  assert found.details["categorized"] == 9 * PER_CLASS - 1
  assert "1 images are not in all of original" in caplog.text


def test_images_are_resized_to_the_input_of_the_network(release):
  root, colours, _ = release
  of, _ = classifier(FOREGROUND, colours)
  of = network.Network(**{**vars(of), "image_shape": (4, 6, 1), "model": None})
  split = data.open_variant(root, "original")
  batches = backgrounds.make_batches(split, of, 5)
  assert batches.image_shape == (4, 6, 1)


def test_a_model_without_logits_is_refused(release):
  root, colours, _ = release
  of, _ = classifier(FOREGROUND, colours)
  wrong = models.create("linear", num_classes=4)
  kernel = {"kernel": np.zeros((192, 4)), "bias": np.zeros(4)}
  of = network.Network(**{**vars(of), "model": wrong})
  with pytest.raises(ValueError, match=r"returns \(64, 4\) .* \(64, 9\)"):
    measure(root, of, {"params": {"head": kernel}})


def test_a_model_that_overflows_has_no_accuracy(release):
  root, colours, _ = release
  of, variables = classifier(FOREGROUND, colours)
  variables["params"]["head"]["bias"] = np.full(9, np.nan, np.float32)
  found = measure(root, of, variables).metrics
  assert all(np.isnan(found[name]) for name in (*VARIANTS, "bg_gap"))
