"""Transfers a pre-trained network to your images by the BiT-HyperRule.

  jaxvision train --config configs/bit_transfer.py:2040,500x375 \\
    --config.data.name=path/to/images --config.model.weights=BiT-M-R50x1.npz \\
    --workdir runs/mine

The argument is the number of training examples and their usual height and
width. `jaxvision data inspect path/to/images` prints both. The default is for
fewer than 20,000 examples that are larger than 96x96. The rule derives all
hyper-parameters from these two values, so nothing has to be tuned. For a data
set of tensorflow-datasets, such as CIFAR-10 with 50000,32x32, set data.kind and
the names of the splits.

Kolesnikov et al. 2020, Big Transfer (BiT), with the numbers of the authors'
code. One difference: their code mirrors every image, this recipe mirrors half
of the images. ",paper" at the end of the argument selects the resolution of the
paper.

Expected for BiT-M-R50x1, according to the authors: ImageNet 80.68 % top-1;
CIFAR-10 97.3 % and CIFAR-100 86.4 % with --config.train.batch_size=128
--config.optimizer.learning_rate=0.001, as in their README for one GPU. Not yet
reproduced here.
"""

import dataclasses
import re

from jaxvision.configs import default

# Side of the images before and after the random crop, in pixels, for small
# images and for other images. The authors' code uses (512, 480) for all
# networks, their paper for R152x4 only.
RESOLUTIONS = {
  "code": ((160, 128), (512, 480)),
  "paper": ((160, 128), (448, 384)),
}
_SMALL_AREA = 96 * 96
# Upper bound of the number of examples -> steps, warm-up, milestones, mixup.
_SCHEDULES = {
  20_000: (500, 100, (200, 300, 400), 0.0),
  500_000: (10_000, 500, (3000, 6000, 9000), 0.1),
  float("inf"): (20_000, 500, (6000, 12_000, 18_000), 0.1),
}


@dataclasses.dataclass(frozen=True)
class HyperRule:
  """The hyper-parameters of the rule.

  Attributes:
    steps: of the training, of 512 examples each.
    warmup: steps in which the learning rate rises from 0.
    milestones: the last steps before the rate falls to a tenth.
    mixup: alpha of the Beta distribution; 0 means no mixup.
    resize: side of the resized square image.
    crop: side of the random crop of the resized image.
  """

  steps: int
  warmup: int
  milestones: tuple[int, ...]
  mixup: float
  resize: int
  crop: int


def hyper_rule(
  num_examples: int, image_area: int, *, resolution: str = "code"
) -> HyperRule:
  """The BiT-HyperRule.

  Args:
    num_examples: of the training split.
    image_area: height times width of an image before it is resized.
    resolution: "code" or "paper", a key of `RESOLUTIONS`.

  Raises:
    ValueError: the resolution is unknown.
  """
  if resolution not in RESOLUTIONS:
    raise ValueError(
      f"unknown resolution {resolution!r}; it is one of {list(RESOLUTIONS)}"
    )
  size = min(limit for limit in _SCHEDULES if num_examples < limit)
  small, large = RESOLUTIONS[resolution]
  sides = small if image_area < _SMALL_AREA else large
  return HyperRule(*_SCHEDULES[size], *sides)


def get_config(images: str = "2040,500x375") -> default.ConfigDict:
  """For "EXAMPLES,HEIGHTxWIDTH", or "EXAMPLES,HEIGHTxWIDTH,paper"."""
  match = re.fullmatch(r"(\d+),(\d+)x(\d+)(?:,(\w+))?", images)
  if match is None:
    raise ValueError(
      f"{images!r} is not the number and size of images; write it like "
      "50000,32x32, or 50000,32x32,paper"
    )
  num_examples, height, width = map(int, match.groups()[:3])
  rule = hyper_rule(num_examples, height * width, resolution=match[4] or "code")
  config = default.get_config()
  config.model.name = "bit_r50x1"

  config.data.kind = "folder"
  config.data.name = "images"
  # For a folder without splits. Otherwise set the names of the splits.
  config.data.train = "train[:70%]"
  config.data.validation = "train[70%:85%]"
  config.data.test = "train[85%:]"
  config.data.train_transforms = (
    f"resize({rule.resize})",
    f"random_crop({rule.crop})",
    "random_flip",
  )
  config.data.eval_transforms = (f"resize({rule.crop})",)
  # The values of model.weights: pixels in [-1, 1] for the authors' files.
  config.data.mean = config.data.std = ()
  if rule.mixup:
    config.data.device_transforms = (f"random_mixup({rule.mixup})",)

  config.optimizer.name = "sgd"
  config.optimizer.options = {"momentum": 0.9}
  config.optimizer.learning_rate = 0.003
  config.schedule.name = "staircase"
  config.schedule.warmup = f"{rule.warmup} steps"
  # The milestone itself still has the full rate.
  config.schedule.options = {
    "boundaries": tuple((last + 1) / rule.steps for last in rule.milestones),
    "factor": 0.1,
  }

  config.train.duration = f"{rule.steps} steps"
  config.train.batch_size = 512
  config.evaluate.every = "10 percent"
  config.checkpoint.every = "10 percent"
  config.log.every = "1 percent"
  return config
