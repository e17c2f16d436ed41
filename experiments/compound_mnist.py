"""What compound_scaling.py scales: a small EfficientNet for few digits.

A definition has the names below. Copy this file for another base network, and
give it with --definition.

  BASE               the base config, as for --config
  OVERRIDES          config values of all runs; data.num_classes must be set
  image_size(r)      side of the images in pixels, for a factor of the
                     resolution; image_size(1.0) is that of the base network
  scale(d, w, r)     {config key: value} for factors of depth, width and
                     resolution. Options need not be factors: for a ViT it is
                     {"model.options.depth": round(12 * d),
                     "model.options.width": 64 * round(3 * w), ...}

The network has the blocks of EfficientNet in three stages, and half of the
features of its stem and head. It is trained on 2,000 of the 60,000 digits. Its
images have 14x14 pixels, the means of 2x2 pixels of MNIST. So a resolution of
up to 2 has more detail, as for ImageNet, where photographs have more than 224
pixels. Above 2 pixels would be repeated.
"""

import pathlib
from typing import Any

BASE = str(pathlib.Path(__file__).parents[1] / "configs" / "mnist.py:convnet")
OVERRIDES: dict[str, Any] = {
  "model.name": "efficientnet_b0",
  "model.options": {
    "stem": "small",
    # Repeats, kernel size, stride, expansion and features.
    "stages": ((1, 3, 1, 1, 32), (3, 3, 2, 3, 48), (3, 3, 2, 3, 80)),
    "width": 0.5,
    "norm_momentum": 0.9,
  },
  "data.train": "train[:2000]",
  "data.num_classes": 10,
  "optimizer.learning_rate": 0.003,
  "ema.decay": 0.0,
  "train.batch_size": 50,
  "train.duration": "10 epochs",
  "evaluate.every": "100 percent",
  "evaluate.explain": "",
  "checkpoint.every": "100 percent",
  "checkpoint.best": "",
  "log.tensorboard": False,
}
_SIZE, _WIDTH = 14, 0.5


def image_size(resolution: float) -> int:
  """Returns the side of the images in pixels."""
  return round(_SIZE * resolution)


def scale(depth: float, width: float, resolution: float) -> dict[str, Any]:
  """Returns the config values of a scaled network."""
  size = image_size(resolution)
  resize = (f"resize({size}, method='area')",)
  return {
    "model.options.depth": depth,
    "model.options.width": _WIDTH * width,
    "data.train_transforms": resize,
    "data.eval_transforms": resize,
    # The same shift relative to the image.
    "data.device_transforms": (f"random_crop(padding={round(size / 14)})",),
  }
