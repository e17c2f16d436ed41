"""Trains a network from scratch to describe scenes of two digits.

  python experiments/captions.py scenes     # writes the data and trains
  jaxvision train --config configs/captions_scenes.py:runs/scenes.npz \\
    --workdir runs/scenes

"a seven above a three": two handwritten digits of MNIST, at half of their size,
in an image of 28 x 28 pixels, one above the other or beside it. The encoder is
a small ResNet. It runs on a CPU.
"""

from jaxvision.configs import default


def get_config(path: str = "scenes.npz") -> default.ConfigDict:
  """The recipe for the file of the scenes."""
  config = default.get_config()
  config.model.name = "resnet18"
  config.model.options = {"features": 16, "blocks": (1, 1, 1), "stem": "small"}

  config.task.name = "captioning"
  config.task.options = {
    "length": 10,
    "depth": 1,
    "width": 64,
    "num_heads": 4,
    "dropout": 0.0,
    "adapt": True,
    "text_bytes": 64,
  }

  config.data.kind = "npz"
  config.data.name = path
  config.data.validation = ""
  config.data.channels = 1
  config.data.mean, config.data.std = (0.07,), (0.22,)
  config.data.placement = "device"
  config.data.device_transforms = ("random_crop(padding=1)",)

  config.optimizer.name = "adamw"
  config.optimizer.learning_rate = 2e-3
  config.optimizer.weight_decay = 0.05
  config.optimizer.gradient_clip = 1.0
  config.schedule.warmup = "5 percent"

  config.ema.decay = 0.99
  config.train.batch_size = 64
  config.train.duration = "5 epochs"
  config.evaluate.batch_size = 500
  config.evaluate.every = "5 epochs"
  config.checkpoint.every = "1 epochs"
  config.checkpoint.best = ""
  return config
