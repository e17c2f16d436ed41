"""A space has exactly the points of its definition."""

import json

import numpy as np
import pytest

from jaxvision import sweeps
from jaxvision.sweeps.experiment import axes, space

_SPACE = {
  "train.batch_size": sweeps.grid(32, 64),
  "loss.name": "softmax",
  "optimizer": sweeps.grid(
    {
      "sgd": {
        "optimizer.name": "sgd",
        "optimizer.options.momentum": sweeps.uniform(0, 1),
      },
      "adam": {
        "optimizer.name": "adamw",
        "optimizer.options.b1": sweeps.grid(0.8, 0.9),
      },
    }
  ),
  "data.device_transforms": sweeps.template(
    ("random_mixup({alpha})",), alpha=sweeps.uniform(0.1, 1)
  ),
}


def test_crossings_are_the_product_of_the_listed_values():
  found = list(space.crossings(_SPACE))
  assert len(found) == 2 * (1 + 2)
  assert {
    "train.batch_size": 64,
    "optimizer": "adam",
    "optimizer=adam/optimizer.options.b1": 0.8,
  } in found
  assert {"train.batch_size": 32, "optimizer": "sgd"} in found


def test_a_drawn_choice_is_crossed_only_where_everything_is():
  drawn = {"model.name": sweeps.categorical("mlp", "linear")}
  assert list(space.crossings(drawn)) == [{}]
  assert len(list(space.crossings(drawn, everything=True))) == 2
  with pytest.raises(ValueError, match="a grid needs a list"):
    list(space.crossings(_SPACE, everything=True))


def test_drawn_values_are_named_after_their_labels():
  assert list(space.drawn(_SPACE)) == [
    "optimizer=sgd/optimizer.options.momentum",
    "data.device_transforms.alpha",
  ]


def test_inside_a_drawn_choice_a_grid_is_drawn():
  inner = {"seed": sweeps.categorical({"a": {"loss.l1": sweeps.grid(0, 1)}})}
  assert list(space.drawn(inner)) == ["seed", "seed=a/loss.l1"]
  assert list(space.crossings(inner)) == [{}]


def test_only_the_axes_of_the_picked_label_exist():
  asked = []

  def pick(name, axis):
    asked.append(name)
    return axes.extremes(axis)[-1]

  point = space.resolve(_SPACE, pick)
  assert asked == [
    "train.batch_size",
    "optimizer",
    "optimizer=adam/optimizer.options.b1",
    "data.device_transforms.alpha",
  ]
  assert point.overrides == {
    "train.batch_size": 64,
    "loss.name": "softmax",
    "optimizer.name": "adamw",
    "optimizer.options.b1": 0.9,
    "data.device_transforms": ("random_mixup(1.0)",),
  }
  assert point.settings["optimizer.options.b1"] == 0.9
  assert space.resolve(_SPACE, lambda name, _: point.picks[name]) == point


def test_corners_have_every_extreme_of_every_axis():
  points = list(space.corners(_SPACE))
  met = {(name, pick) for p in points for name, pick in p.picks.items()}
  assert met == {
    ("train.batch_size", 32),
    ("train.batch_size", 64),
    ("optimizer", "sgd"),
    ("optimizer", "adam"),
    ("optimizer=sgd/optimizer.options.momentum", 0.0),
    ("optimizer=sgd/optimizer.options.momentum", 1.0),
    ("optimizer=adam/optimizer.options.b1", 0.8),
    ("optimizer=adam/optimizer.options.b1", 0.9),
    ("data.device_transforms.alpha", 0.1),
    ("data.device_transforms.alpha", 1.0),
  }


def test_numbers_of_numpy_in_a_point_are_those_of_python():
  what = {
    "seed": np.int64(3),
    "optimizer.options": {"b1": np.float32(0.5)},
    "model": sweeps.grid({"a": {"data.mean": (np.float32(0.5),)}}),
  }
  (point,) = space.corners(what)
  assert json.loads(json.dumps(point.overrides)) == {
    "seed": 3,
    "optimizer.options": {"b1": 0.5},
    "data.mean": [0.5],
  }


_CELLS = {
  "model.options.arch": sweeps.cells("nasbench201"),
  "model": sweeps.categorical({"a": {"seed": sweeps.integer(1, 3)}, "b": {}}),
}


def test_cells_are_one_setting_and_many_picks():
  drawn = space.drawn(_CELLS)
  edges = [name for name in drawn if "arch." in name]
  assert edges == [
    f"model.options.arch.edge_{a}_{b}"
    for a, b in ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
  ]
  point = space.resolve(_CELLS, lambda name, axis: axes.extremes(axis)[-1])
  genotype = (
    "|avg_pool_3x3~0|+|avg_pool_3x3~0|avg_pool_3x3~1|+"
    "|avg_pool_3x3~0|avg_pool_3x3~1|avg_pool_3x3~2|"
  )
  assert point.overrides == {"model.options.arch": genotype}
  assert point.settings == {"model.options.arch": genotype, "model": "b"}
  assert {point.picks[name] for name in edges} == {"avg_pool_3x3"}


def test_the_size_is_the_number_of_all_crossings():
  assert space.size(_CELLS) == 5**6 * (3 + 1)
  listed = {**_CELLS, "model": sweeps.categorical({"a": {}, "b": {}})}
  found = space.crossings(listed, everything=True)
  assert sum(1 for _ in found) == space.size(listed) == 31_250
  assert space.size({"a": sweeps.uniform(0, 1)}) == np.inf


def test_equivalent_cells_have_one_identity():
  def identity(*operations):
    names = iter(operations)
    pick = lambda name, axis: next(names, axes.extremes(axis)[0])  # noqa: E731
    cells = {"model.options.arch": _CELLS["model.options.arch"]}
    return space.identity(cells, space.resolve(cells, pick))

  # Node 1 is the input, so its edge to node 3 equals that of the input.
  skip, conv, none = "skip_connect", "nor_conv_3x3", "none"
  one = identity(skip, none, none, conv, none, none)
  other = identity(skip, none, none, none, conv, none)
  assert one == other
  assert one != identity(skip, none, none, conv, conv, none)


def test_one_point_checks_all_cells():
  assert len(list(space.corners(_CELLS))) == 3


def test_equal_cells_are_described_equally():
  asked = {"a": sweeps.cells("nasnet")}
  assert space.describe(asked) == {"a": "Cells(genotypes='nasnet(blocks=5)')"}
  assert space.describe({"a": sweeps.cells("nasnet( blocks=5 )")}) == (
    space.describe(asked)
  )
  choice = space.describe({"a": sweeps.categorical(1, 2)})["a"]
  assert choice == (
    "Choice(labels=(1, 2), values=(1, 2), crossed=False, spaces=False)"
  )


def test_a_grid_of_all_nasnet_cells_is_refused():
  with pytest.raises(ValueError, match=r"5.23e\+36 sequences of decisions"):
    list(space.crossings({"a": sweeps.cells("nasnet")}, everything=True))
  with pytest.raises(ValueError, match="did you mean 'nasnet'"):
    sweeps.cells("nasnt")


def test_seeds_and_folds_repeat_a_setting():
  inner = {"model.name": "mlp", "data.fold": sweeps.grid(0, 1)}
  found = space.repetitions(
    {
      "fold": sweeps.folds(3),
      "seed": sweeps.seeds(2),
      "train.batch_size": sweeps.grid(8, 16),
      "setting": sweeps.grid({"trial 3": inner, "trial 5": {}}),
    }
  )
  assert found == {"fold", "seed", "setting=trial 3/data.fold"}


def test_the_points_of_folds_have_both_keys():
  folded = {"fold": sweeps.folds(2), "seed": 3}
  points = [
    space.resolve(folded, lambda name, _, of=each: of[name])
    for each in space.crossings(folded)
  ]
  assert [point.overrides for point in points] == [
    {"data.folds": 2, "data.fold": fold, "seed": 3} for fold in (0, 1)
  ]
  assert [point.settings for point in points] == [{"fold": 0}, {"fold": 1}]
