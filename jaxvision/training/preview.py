"""A preview of the inputs of a model: images after all transforms, and targets.

The batches are identical to those of the training, byte for byte. The functions
that normalise and transform them are those of the step, and the random keys are
those of the steps.
"""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxvision import config as configs
from jaxvision import data, report
from jaxvision.training import setup
from jaxvision.training.step import step_key

_SHOWN = 16  # images per batch
_PARTS = 3  # classes in a title
_VISIBLE = 0.005  # a title names the classes with a larger share

Sheet = tuple[list[np.ndarray], list[str]]


def write_preview(
  recipe: str,
  path: str | os.PathLike,
  *,
  overrides: Mapping[str, Any] | None = None,
  batches: int = 2,
) -> pathlib.Path:
  """Draws the first training and evaluation images side by side.

  Args:
    recipe: "configs/digits.py" or "configs/digits.py:mlp".
    path: of the PNG.
    overrides: by dotted key, as {"data.device_transforms": ()}.
    batches: number of batches; the first 16 images of each are drawn.

  Returns:
    The path.

  Raises:
    ValueError, FileNotFoundError: the config or the data are invalid.
  """
  if batches < 1:
    raise ValueError(f"batches is {batches}; draw at least 1")
  config = configs.load(recipe, overrides)
  splits = setup.open_splits(config)
  role = "validation" if "validation" in splits else "test"
  sheets = {
    f"{name}: {splits[name].split}": look(
      config,
      splits[name],
      train=name == "train",
      batches=batches,
      fitted=splits["train"],
    )
    for name in ("train", role)
    if name in splits
  }
  return report.write_side_by_side(sheets, path)


def look(
  config: configs.ConfigDict,
  split: data.Dataset,
  *,
  train: bool,
  batches: int,
  fitted: data.Dataset | None = None,
) -> Sheet:
  """The first images of a split as the model receives them.

  Args:
    config: of the run.
    split: of the data of the run.
    train: True for the transforms of training, False for those of evaluation.
    batches: number of batches, from the first.
    fitted: the training split, for a task that makes something from it; None
      for `split`.

  Returns:
    Images (h, w, c) uint8, with the normalisation undone, and a title for each
    image: its class, or the mixed classes, as in "0.70 cat + 0.30 dog". Padding
    and unreadable images are left out. If the task asks for a segmentation_mask
    or a caption, images are tinted where the mask is not 0, and titles end with
    the caption.
  """
  source = setup.make_batches(config, split, train=train)
  model = setup.make_model(config, len(split.class_names))
  task = setup.make_task(
    config,
    model,
    image_shape=source.image_shape,
    class_names=split.class_names,
    train=fitted or split,
  )
  source = source.with_fields(task.batch, task.encode)
  inputs = jax.jit(task.inputs)
  normalization = data.Normalization(config.data.mean, config.data.std)
  images, titles = [], []
  for step in range(batches if train else min(batches, source.num_batches)):
    key = step_key(config.seed, step)
    batch = source.at(step)
    seen = jax.device_get(inputs(batch, key)[train])
    rows = np.flatnonzero(seen["mask"] > 0)[:_SHOWN]
    pixels = list(data.to_pixels(seen["image"][rows], normalization))
    if "segmentation_mask" in batch:
      masks = batch["segmentation_mask"][rows]
      pixels = list(map(data.overlay, pixels, masks))
    images += pixels
    classes = _classes(seen, rows, split.class_names)
    captions = _captions(source, step, rows)
    titles += [
      ": ".join(filter(None, each))
      for each in zip(classes, captions, strict=True)
    ]
  return images, titles


def _classes(
  seen: Mapping[str, np.ndarray], rows: np.ndarray, class_names: Sequence[str]
) -> list[str]:
  """The classes of rows of a batch; empty texts if the task has no targets."""
  if "targets" not in seen:
    return [""] * len(rows)
  return [_title(seen["targets"][row], class_names) for row in rows]


def _captions(source: data.Batches, step: int, rows: np.ndarray) -> list[str]:
  """The captions of rows of a batch; empty texts if there are none."""
  fields = {each.name: each for each in source.examples.fields}
  if "caption" not in fields:
    return [""] * len(rows)
  indices = source.indices(step)[rows].tolist()
  texts = fields["caption"].read(indices)
  return [text.replace("\n", " / ") for text in texts]


def _title(targets: np.ndarray, class_names: Sequence[str]) -> str:
  """The classes whose target exceeds the smallest target.

  The smallest target is the share that label smoothing gives to each class.
  """
  order = np.argsort(-targets, kind="stable")[:_PARTS].tolist()
  strong = [i for i in order if targets[i] - targets.min() > _VISIBLE]
  if len(strong) == 1 and targets[strong[0]] > 1 - _VISIBLE:
    return class_names[strong[0]]
  return " + ".join(f"{targets[i]:.2f} {class_names[i]}" for i in strong)
