"""Trains EfficientNet-B0 on ImageNet-1k.

  jaxvision train --config configs/efficientnet_b0_i1k.py --workdir runs/b0

Tan and Le 2019, EfficientNet: Rethinking Model Scaling for Convolutional Neural
Networks, with the numbers of the authors' code. The paper has twice this
learning rate, 0.256.

Expected: 77.1 % top-1 of the moving average. This is the authors' result with
AutoAugment (without it 76.7 %; the paper has 76.3 %). Hardware: the authors
state none. Not yet run here.
"""

from jaxvision.configs import default


def get_config() -> default.ConfigDict:
  """The recipe."""
  config = default.get_config()
  config.model.name = "efficientnet_b0"
  config.loss.options = {"label_smoothing": 0.1}

  config.data.name = "imagenet2012"
  # The authors hold out 25,022 images, 2 %.
  config.data.train = "train[:98%]"
  config.data.validation = "train[98%:]"
  config.data.test = "validation"
  config.data.train_transforms = (
    "random_resized_crop(224, method='bicubic')",
    "random_flip",
    "random_autoaugment('v0')",
  )
  config.data.eval_transforms = (
    "resize_small(256, method='bicubic')",
    "center_crop(224)",
  )
  config.data.mean = (0.485, 0.456, 0.406)
  config.data.std = (0.229, 0.224, 0.225)

  config.optimizer.name = "rmsprop"
  # As in TensorFlow: epsilon inside the root, mean squares that start at 1.
  config.optimizer.options = {
    "decay": 0.9,
    "momentum": 0.9,
    "eps": 1e-3,
    "initial_scale": 1.0,
  }
  config.optimizer.learning_rate = 0.016 * 2048 / 256
  config.optimizer.weight_decay = 1e-5
  config.optimizer.weight_decay_rules = ((r".*bn\d/.*", 0.0), (".*", 1.0))
  config.schedule.name = "staircase"
  config.schedule.options = {"every": 2.4 / 350, "factor": 0.97}
  config.schedule.warmup = "5 epochs"
  config.ema.decay = 0.9999
  config.checkpoint.best = "validation_ema/top1"

  config.train.batch_size = 2048
  config.train.duration = "350 epochs"
  return config
