"""The suite on small images, against values computed image by image."""

import dataclasses

import background_sets
import jax
import numpy as np
import pytest
import small_classifiers

from jaxvision import data, parallel
from jaxvision.evaluation import network, suites
from jaxvision.evaluation.explanations import baselines, perturbation

NAMES = ("cat", "ant", "bee", "eel")
SIDE = 16
METHODS = ("gradient", "x_gradient", "centre", "random")


@pytest.fixture(scope="module")
def linear():
  """A linear model, whose gradient is its weights, and its variables."""
  return small_classifiers.classifier("linear", side=SIDE)


@pytest.fixture(scope="module")
def cut_outs(tmp_path_factory):
  path = tmp_path_factory.mktemp("cut_outs") / "data.npz"
  found = background_sets.write_cut_outs(path, classes=NAMES[:3], side=SIDE)
  return str(path), *found


def network_of(model, names=NAMES, devices=1):
  return network.Network(
    model,
    names,
    (SIDE, SIDE, 3),
    data.Normalization((0.5,), (0.25,)),
    parallel.make_mesh(jax.devices()[:devices]),
  )


def measure(path, model, variables, *, devices=1, names=NAMES, **options):
  of = network_of(model, names, devices)
  words = ", ".join(
    f"{key}={value!r}" for key, value in {"split": "train", **options}.items()
  )
  evaluate = suites.make_evaluator((f"explanations({path!r}, {words})",), of)
  variables = jax.device_put(variables, parallel.replicated(of.mesh))
  return evaluate(variables)["explanations"]


def grown(masks, tolerance):
  """The regions of masks, grown pixel by pixel."""
  found = np.zeros(masks.shape, bool)
  for number, row, column in zip(*np.nonzero(masks), strict=True):
    top, left = max(row - tolerance, 0), max(column - tolerance, 0)
    bottom, right = row + tolerance + 1, column + tolerance + 1
    found[number, top:bottom, left:right] = True
  return found


def test_a_padded_batch_compiles_no_other_shape(linear, cut_outs):
  path, images, *_ = cut_outs
  size = len(images) // 2 + 1  # two batches, of which the last one is padded
  perturbation._probabilities.clear_cache()
  measure(
    path,
    *linear,
    methods=("gradient",),
    measures=("deletion",),
    batch_size=size,
  )
  assert perturbation._probabilities._cache_size() == 1


@pytest.mark.parametrize("labels", ["sets", "numbers"])
def test_networks_without_one_class_for_each_image_are_refused(
  labels, linear, cut_outs
):
  of = dataclasses.replace(network_of(linear[0]), labels=labels)
  with pytest.raises(ValueError, match=f"predicts {labels} .* one class"):
    suites.make_evaluator(
      (f"explanations({cut_outs[0]!r}, methods=('gradient',))",), of
    )


def test_the_pointing_game_of_known_maps(linear, cut_outs):
  """Padded batches and the order of the classes do not change the result."""
  path, images, masks, labels = cut_outs
  model, variables = linear
  # The network has the classes in another order.
  names = ("eel", "bee", "cat", "ant")
  logits = np.array([2, 3, 1])[labels]
  weights = np.asarray(variables["params"]["head"]["kernel"])
  weights = weights.reshape(SIDE, SIDE, 3, 4)
  pixels = (images / 255 - 0.5) / 0.25
  maps = {
    "gradient": np.abs(weights).max(axis=2)[..., logits].transpose(2, 0, 1),
    "x_gradient": np.einsum(
      "bhwc,hwcb->bhw", pixels, weights[..., logits], optimize=True
    ),
    "centre": np.stack([baselines.centre((SIDE, SIDE))] * len(images)),
  }
  regions = grown(masks, 1)
  found = measure(
    path,
    model,
    variables,
    names=names,
    methods=tuple(maps),
    measures=("pointing",),
    tolerance=1,
    batch_size=5,
  )
  for method, each in maps.items():
    best = [divmod(int(one.argmax()), SIDE) for one in each]
    hits = np.array(
      [region[place] for region, place in zip(regions, best, strict=True)]
    )
    by_class = [hits[labels == label].mean() for label in range(3)]
    value = found.metrics[f"{method}/pointing"]
    assert value == pytest.approx(np.mean(by_class))
    classes = found.details["methods"][method]["classes"]
    assert classes == pytest.approx(dict(zip(NAMES[:3], by_class, strict=True)))
  assert found.details["images"] == len(images) == 12
  share = regions.mean()
  assert found.details["region_share"] == pytest.approx(share)


@pytest.mark.parametrize(
  "devices", [1, pytest.param(8, marks=pytest.mark.slow)]
)
def test_all_measures_of_all_methods(linear, cut_outs, devices):
  path = cut_outs[0]
  found = measure(path, *linear, devices=devices, methods=METHODS, step=64)
  of = {
    name: [found.metrics[f"{method}/{name}"] for method in METHODS]
    for name in ("deletion", "insertion", "pointing", "sanity")
  }
  assert len(found.metrics) == 16
  # A tolerance of 15 of 16 pixels accepts every point.
  assert of["pointing"] == [1, 1, 1, 1]
  assert found.details["region_share"] == 1
  # Baselines do not depend on the parameters.
  assert of["sanity"][2:] == pytest.approx([1, 1])
  assert abs(of["sanity"][0]) < 0.3
  # Pixel times gradient orders the pixels of a linear model by their effect.
  assert of["deletion"][1] == min(of["deletion"])
  assert of["insertion"][1] == max(of["insertion"])
  assert found.details["random_layers"] == [1]


def test_boxes_replace_masks(linear, cut_outs, tmp_path):
  """The masks of these data are rectangles."""
  path, _, masks, _ = cut_outs
  with np.load(path) as arrays:
    arrays = dict(arrays)
  arrays.pop("segmentation_masks")
  bare = str(tmp_path / "bare.npz")
  np.savez(bare, **arrays)
  opened = data.open_dataset(data.Source(kind="npz", name=bare), "train")
  lines = ["file_name,xmin,ymin,xmax,ymax"]
  for name in data.original_names(opened):
    rows, columns = np.nonzero(masks[int(name)])
    ends = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    lines.append(",".join(map(str, (f"{name}.png", *ends))))
  boxes = tmp_path / "boxes.csv"
  boxes.write_text("\n".join(lines))
  options = {"methods": ("x_gradient",), "tolerance": 1}
  options["measures"] = ("pointing",)
  by_masks = measure(path, *linear, **options)
  by_boxes = measure(bare, *linear, boxes=str(boxes), **options)
  assert by_boxes == by_masks
  boxes.write_text("\n".join(lines[:1] + lines[7:]))
  part = measure(bare, *linear, boxes=str(boxes), **options)
  assert part.details["images_with_regions"] == 6
  assert part.details["images"] == 12
  boxes.write_text(lines[0] + "\nother.png,0,0,2,2")
  with pytest.raises(ValueError, match=r"none of the 12 images.*'other'"):
    measure(bare, *linear, boxes=str(boxes), **options)


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"methods": ("gradcamm",)}, "unknown method of attribution 'gradcamm'"),
    ({"methods": ("gradcam",)}, "gradcam does not fit Linear.*gradient"),
    ({"methods": ("gradient(k=1)",)}, "k"),
    ({"methods": ()}, "at least one"),
    ({"methods": ("centre", "centre")}, "each of them once"),
    ({"methods": ("centre",), "measures": ("pointin",)}, "'pointing'"),
    ({"methods": ("centre",), "measures": ()}, "no measure"),
    ({"methods": ("centre",), "foreground": (3, 9)}, "value from 3 to 9"),
    (
      {"methods": ("centre",), "names": ("a", "b", "c", "d")},
      "the network a, b, c, d",
    ),
  ],
)
def test_wrong_options(linear, cut_outs, options, message):
  with pytest.raises(ValueError, match=message):
    measure(cut_outs[0], *linear, **options)


def test_data_without_masks_have_no_pointing_game(linear, tmp_path):
  path = tmp_path / "data.npz"
  images = np.zeros((2, SIDE, SIDE, 3), np.uint8)
  np.savez(path, images=images, labels=[0, 1], class_names=["x", "y"])
  found = measure(str(path), *linear, methods=("centre",), step=128)
  assert set(found.metrics) == {
    f"centre/{each}" for each in ("deletion", "insertion", "sanity")
  }
  with pytest.raises(ValueError, match=r"not possible.*segmentation_mask"):
    measure(str(path), *linear, methods=("centre",), measures=("pointing",))


def test_random_maps_depend_on_the_seed_and_the_example_only():
  both = baselines.random([4, 7], (5, 6), seed=1)
  (other,) = baselines.random([7], (5, 6), seed=1)
  assert (both[1] == other).all() and (both[0] != other).any()
  assert (baselines.random([7], (5, 6), seed=2)[0] != other).any()


def test_the_map_of_the_centre_falls_with_the_distance():
  found = baselines.centre((3, 5))
  assert np.unravel_index(found.argmax(), found.shape) == (1, 2)
  assert found[0, 0] == found[2, 4] == pytest.approx(-1)
