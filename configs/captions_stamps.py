"""Trains a small decoder of captions on the features of EfficientNet-Lite0.

  jaxvision data prepare stamps_captions_split --source=FILE.deb
  jaxvision train --config configs/captions_stamps.py:LITE0.pth \\
    --workdir runs/captions

docs/data.md says where the stamps are, docs/weights.md where the file
efficientnet-lite0-57934424.pth is. The encoder is frozen. 785 cut-out pictures
have 674 different captions of 4 words in the mean; no caption is in two splits.
It runs on a CPU.
"""

from jaxvision.configs import default


def get_config(weights: str = "") -> default.ConfigDict:
  """The recipe for a file of weights; without one the encoder is random."""
  config = default.get_config()
  config.model.name = "efficientnet_lite0"
  config.model.weights = weights

  config.task.name = "captioning"
  config.task.options = {
    "length": 16,
    "depth": 2,
    "width": 256,
    "num_heads": 4,
    "dropout": 0.3,
    "adapt": True,
    "beam": 3,
  }

  config.data.name = "stamps_captions_split"
  config.data.train_transforms = ("resize((128, 128))",)
  config.data.eval_transforms = ("resize((128, 128))",)
  config.data.mean, config.data.std = (), ()
  config.data.placement = "device"

  config.optimizer.name = "adamw"
  config.optimizer.learning_rate = 1e-3
  config.optimizer.learning_rate_rules = (("encoder/.*", None), (".*", 1.0))
  config.optimizer.weight_decay = 0.1
  config.optimizer.gradient_clip = 1.0
  config.schedule.warmup = "5 percent"

  config.train.batch_size = 32
  config.train.duration = "40 epochs"
  config.checkpoint.every = "10 epochs"
  config.checkpoint.best = "validation/cider"
  return config
