"""Test-time augmentation: the mean prediction of several views of an image.

The views are calls, such as "flip,crops(fraction=0.9)". They are made in the
compiled program, from one image that is read once. The predictions that are
averaged are probabilities: softmax of a classifier, sigmoid for sets of
classes. Numbers are averaged as they are. Krizhevsky et al. (2012), section
4.1, average the softmax of ten views, which are "flip,crops".
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from jaxvision import lookup
from jaxvision.lookup import ranges
from jaxvision.training import setup
from jaxvision.training.setup import restore

Tree = Any
Pair = tuple[int, int]
Share = Annotated[float, ranges.Range(0.5, 1, below=True)]

# 224 of 256 pixels, as in Krizhevsky et al. (2012).
_FRACTION = 0.875


@dataclasses.dataclass(frozen=True)
class Views:
  """Views of an image, in the order: all crops, then all mirrored crops.

  Attributes:
    calls: the calls, as they were given.
    transforms: the host transforms of the image that the views are made of.
    image_shape: (h, w, c) of this image.
    padding: pixels that are added on each side of it, (vertical, horizontal).
      They repeat the pixels of its edges.
    room: how much larger the padded image is than a view, (vertical,
      horizontal), in pixels.
    crops: whether there are five crops, or one.
    flip: whether there are mirrored views.
  """

  calls: tuple[str, ...]
  transforms: tuple[str, ...]
  image_shape: tuple[int, int, int]
  padding: Pair = (0, 0)
  room: Pair = (0, 0)
  crops: bool = False
  flip: bool = False

  @property
  def corners(self) -> tuple[Pair, ...]:
    """The upper left pixels of the crops, the centre first."""
    (y, x), centre = self.room, (self.room[0] // 2, self.room[1] // 2)
    return (centre, (0, 0), (0, x), (y, 0), (y, x)) if self.crops else (centre,)

  @property
  def count(self) -> int:
    """The number of views."""
    return len(self.corners) * (2 if self.flip else 1)


@dataclasses.dataclass(frozen=True)
class _Flip:
  """The original and the mirrored image."""


@dataclasses.dataclass(frozen=True)
class _Crops:
  """The corners and the centre; `fraction` as in `_crops`."""

  fraction: float | None


def _flip() -> _Flip:
  """The original and the mirrored image."""
  return _Flip()


def _crops(*, fraction: Share | None = None) -> _Crops:
  """Five crops: the centre and the four corners.

  Args:
    fraction: side of a crop / side of the image that it is cut out of. None
      means that of the transforms, if they crop a resized image, else 0.875.
  """
  return _Crops(fraction)


VIEWS: dict[str, Callable[..., _Flip | _Crops]] = {
  "crops": _crops,
  "flip": _flip,
}


def choose(run: restore.TrainedRun, text: str) -> Views | None:
  """The views of a run.

  If the host transforms of the evaluation end with "center_crop" after "resize"
  or "resize_small", crops are cut out of the resized image (of its central
  square, if only the shorter side is resized). The central crop is the image of
  an evaluation without views. Without such transforms, the image is padded
  with its edge pixels, so that crops shift it.

  Args:
    run: from `load_run` or `pretrained.open_weights`.
    text: calls of `VIEWS`, separated by commas, each at most once, as in
      "flip,crops(fraction=0.9)". "" means no views.

  Raises:
    ValueError: a call is unknown, given twice or does not fit to the images, or
      the task of the run has no mean prediction.
  """
  calls = lookup.split(text)
  if not calls:
    return None
  made = [_made(call) for call in calls]
  for kind in (_Flip, _Crops):
    if sum(isinstance(each, kind) for each in made) > 1:
      raise ValueError(
        f"--tta {text} has the same kind of views twice; give each once"
      )
  _check_task(run)
  crops = next((each for each in made if isinstance(each, _Crops)), None)
  plain = Views(
    calls=calls,
    transforms=tuple(run.config.data.eval_transforms),
    image_shape=run.input_shape,
    flip=any(isinstance(each, _Flip) for each in made),
  )
  if crops is None:
    return plain
  made = _cut_out(plain, crops) or _shifted(plain, crops)
  if not any(made.room):
    raise ValueError(
      f"--tta: crops(fraction={crops.fraction}) of images of "
      f"{_size(run.input_shape[:2])} are the same; give a smaller fraction"
    )
  return made


def batch_size(run: restore.TrainedRun, chosen: Views | None) -> int:
  """Examples of a batch whose views have the size of an evaluation batch.

  At least one example for each device.
  """
  size = setup.batch_size(run.config, train=False)
  if chosen is None:
    return size
  return max(1, size // chosen.count // run.mesh.size) * run.mesh.size


def describe(chosen: Views) -> str:
  """The views in words: "mean of 2 views: original and mirrored"."""
  words = []
  if chosen.crops:
    padded = [
      side + 2 * more
      for side, more in zip(chosen.image_shape, chosen.padding, strict=False)
    ]
    size = [a - b for a, b in zip(padded, chosen.room, strict=True)]
    of = "x".join(map(str, padded))
    if any(chosen.padding):
      of += f" (padded by {' and '.join(map(str, chosen.padding))})"
    words.append(f"five crops of {'x'.join(map(str, size))} from {of}")
  if chosen.flip:
    words.append("original and mirrored")
  return f"mean of {chosen.count} views: {', '.join(words)}"


def of(chosen: Views, images: jax.Array) -> jax.Array:
  """The views (b, v, h, w, c) of images (b, H, W, c)."""
  if any(chosen.padding):
    margins = [(0, 0), *((side, side) for side in chosen.padding), (0, 0)]
    images = jnp.pad(images, margins, mode="edge")
  height, width = (images.shape[1 + i] - chosen.room[i] for i in range(2))
  views = [
    images[:, top : top + height, left : left + width]
    for top, left in chosen.corners
  ]
  if chosen.flip:
    views += [each[:, :, ::-1] for each in views]
  return jnp.stack(views, axis=1)


def averaged(task: Any, chosen: Views) -> Any:
  """The task, whose evaluation averages the predictions of views.

  The views of an image stay beside each other in the batch, so they are on the
  same device.

  Args:
    task: a `tasks.Task` with `averaging`.
    chosen: the views.
  """

  def evaluate(
    variables: Tree, batch: Tree, *constants: Tree
  ) -> tuple[Tree, jax.Array]:
    views = of(chosen, batch["image"])
    count = views.shape[1]
    repeated = {
      name: jnp.repeat(each, count, axis=0)
      for name, each in batch.items()
      if name != "image"
    }
    repeated["image"] = views.reshape(-1, *views.shape[2:])
    outputs = task.evaluate(variables, repeated, *constants)[1]
    outputs = outputs.reshape(-1, count, *outputs.shape[1:])
    mean = task.averaging.mean(outputs)
    return task.averaging.sums(mean, batch), mean

  return dataclasses.replace(task, evaluate=evaluate)


def _made(call: str) -> _Flip | _Crops:
  if lookup.is_own(call):
    raise ValueError(
      f"--tta {call}: views in files of your own are not supported; known: "
      f"{', '.join(VIEWS)}"
    )
  return lookup.call(call, functions=VIEWS, kind="view")


def _check_task(run: restore.TrainedRun) -> None:
  """Raises ValueError unless predictions of views can be averaged."""
  task, name = run.task, run.config.task.name
  averaging = task.averaging
  if averaging is None or averaging.evaluate is not task.evaluate:
    raise ValueError(
      "--tta averages the predictions of classes or numbers, and the task "
      f"{lookup.as_written(name)} "
      + (
        "has its own evaluation; give its tasks.Task an `averaging`"
        if lookup.is_own(name)
        else "has no mean of several predictions; leave --tta out"
      )
    )
  moved = [
    field
    for field, (shape, _) in task.batch.items()
    if field != "image" and len(shape) == 3
  ]
  if moved:
    raise ValueError(
      f"--tta moves the pixels of images, and not those of {moved[0]}, which "
      f"the task {lookup.as_written(name)} reads too; leave --tta out"
    )


def _cut_out(plain: Views, crops: _Crops) -> Views | None:
  """Crops out of the resized image; None if the transforms do not crop one."""
  resize, crop = _last_two(plain.transforms)
  if crop is None or crop.size != plain.image_shape[:2]:
    return None
  # The central crop of the larger crop is then exactly that of the image: half
  # of the room is a whole number, and an even one for the rounding to even.
  unit = 4 if crop.rounding == "even" else 2
  most = [a - b for a, b in zip(resize.size, crop.size, strict=True)]
  if max(most) < unit:
    return None
  asked = most
  if crops.fraction is not None:
    asked = [round(side / crops.fraction) - side for side in crop.size]
  if any(a > b for a, b in zip(asked, most, strict=True)):
    smallest = max(a / b for a, b in zip(crop.size, resize.size, strict=True))
    raise ValueError(
      f"--tta: crops(fraction={crops.fraction}) are cut out of images of "
      f"{_size(crop.size, asked)}, and {plain.transforms[-2]} makes images of "
      f"{_size(resize.size)}; give a fraction of at least "
      f"{math.ceil(smallest * 1000) / 1000}"
    )
  room = tuple(each // unit * unit for each in asked)
  larger = tuple(a + b for a, b in zip(crop.size, room, strict=True))
  call = f"center_crop({larger}, rounding={crop.rounding!r})"
  return dataclasses.replace(
    plain,
    transforms=(*plain.transforms[:-1], call),
    image_shape=(*larger, plain.image_shape[2]),
    room=room,
    crops=True,
  )


def _shifted(plain: Views, crops: _Crops) -> Views:
  """Crops out of the padded image."""
  share = (1 / (crops.fraction or _FRACTION) - 1) / 2
  padding = tuple(round(side * share) for side in plain.image_shape[:2])
  if crops.fraction is None:
    padding = tuple(max(1, each) for each in padding)
  room = tuple(2 * each for each in padding)
  return dataclasses.replace(plain, padding=padding, room=room, crops=True)


@dataclasses.dataclass(frozen=True)
class _Call:
  """A host transform that determines the size of the image."""

  size: Pair
  rounding: str = "down"


def _last_two(calls: Sequence[str]) -> tuple[_Call | None, _Call | None]:
  """The resize and the central crop at the end of a chain; None without."""
  names = [call.partition("(")[0].strip() for call in calls[-2:]]
  resized = names[:1] in (["resize"], ["resize_small"])
  if not resized or names[1:] != ["center_crop"]:
    return None, None
  resize, crop = (
    lookup.call(call, functions=_SIZED, kind="host transform")
    for call in calls[-2:]
  )
  return resize, crop


def _pair(size: int | Sequence[int]) -> Pair:
  return (size, size) if isinstance(size, int) else tuple(size)


# With the parameters of the functions in data/transforms/host/geometry.py.
_SIZED: dict[str, Callable[..., _Call]] = {
  "center_crop": lambda size, *, rounding="down": _Call(_pair(size), rounding),
  "resize": lambda size, *, method="": _Call(_pair(size)),
  "resize_small": lambda size, *, method="", rounding="": _Call(_pair(size)),
}


def _size(sides: Sequence[int], more: Sequence[int] = (0, 0)) -> str:
  return "x".join(str(a + b) for a, b in zip(sides, more, strict=True))
