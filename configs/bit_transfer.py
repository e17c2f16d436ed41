"""Transfer by the BiT-HyperRule: a pre-trained network learns your images.

  jaxvision train --config configs/bit_transfer.py:2040,500x375 \\
    --config.data.name=path/to/images --config.model.weights=BiT-M-R50x1.npz \\
    --workdir runs/mine

The argument is the number of training examples and their usual height and
width, which `jaxvision data inspect path/to/images` says; without it, fewer
than 20,000 examples larger than 96x96 are meant. From these two the rule takes
everything that would have to be tuned. For a data set of tensorflow-datasets,
such as CIFAR-10 with 50000,32x32, set data.kind and name its splits.

Kolesnikov et al. 2020, Big Transfer (BiT), with the numbers of the authors'
code. Only where theirs mirrors every image, this one does every other. Appended
to the argument, ",paper" selects the resolution of the paper.

Expected of BiT-M-R50x1, after the authors: ImageNet 80.68 % top-1; CIFAR-10
97.3 % and CIFAR-100 86.4 % with --config.train.batch_size=128
--config.optimizer.learning_rate=0.001, as their README has it for one GPU. Not
yet reproduced here.
"""

import dataclasses
import re

from jaxvision.configs import default

# Side of the images before the random crop and after it, in pixels: of small
# and of other images. The authors' code has the second pair for all networks,
# their paper for R152x4 only.
RESOLUTIONS = {
  "code": ((160, 128), (512, 480)),
  "paper": ((160, 128), (448, 384)),
}
_SMALL_AREA = 96 * 96
# Fewer examples than this -> steps, warm-up, milestones, mixup.
_SCHEDULES = {
  20_000: (500, 100, (200, 300, 400), 0.0),
  500_000: (10_000, 500, (3000, 6000, 9000), 0.1),
  float("inf"): (20_000, 500, (6000, 12_000, 18_000), 0.1),
}


@dataclasses.dataclass(frozen=True)
class HyperRule:
  """What the rule says.

  Attributes:
    steps: of the training, of 512 examples each.
    warmup: steps in which the learning rate rises from 0.
    milestones: the last steps before it falls to a tenth.
    mixup: alpha of the Beta distribution; 0 is no mixup.
    resize: side of the square that images are resized to.
    crop: side of the random part of it that is trained on.
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
    image_area: height times width of an image, as it comes.
    resolution: "code" or "paper", a key of `RESOLUTIONS`.

  Raises:
    ValueError: there is no such rule of the resolution.
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
  # Of a folder without splits; else name them.
  config.data.train = "train[:70%]"
  config.data.validation = "train[70%:85%]"
  config.data.test = "train[85%:]"
  config.data.train_transforms = (
    f"resize({rule.resize})",
    f"random_crop({rule.crop})",
    "random_flip",
  )
  config.data.eval_transforms = (f"resize({rule.crop})",)
  # As model.weights was trained: in [-1, 1] for the authors' files.
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
