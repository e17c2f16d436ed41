"""Trains NASNet-A (4 @ 1056) on ImageNet-1k.

  jaxvision train --config configs/nasnet_a_mobile_i1k.py --workdir runs/nasnet

Zoph et al. 2018, Learning Transferable Architectures for Scalable Image
Recognition, appendix A.7, with the numbers of the authors' notes in
TensorFlow's slim: 50 replicas of 32 images, an auxiliary classifier, 250,000
steps. The momentum is the default of slim; the paper does not state it.

Expected: 74.0 % top-1 (Table 3) of the moving average, with the colour
distortion of the Inception networks. jaxvision does not have this distortion.
Hardware: 50 synchronous workers; the authors state no time. Not yet run here.
"""

from jaxvision.configs import default


def get_config() -> default.ConfigDict:
  """The recipe."""
  config = default.get_config()
  config.model.name = "nasnet_a_mobile"
  config.model.options = {"auxiliary": True}
  config.loss.options = {"label_smoothing": 0.1}
  config.loss.auxiliary_weight = 0.4

  config.data.name = "imagenet2012"
  config.data.train = "train[:99%]"
  config.data.validation = "train[99%:]"
  config.data.test = "validation"
  config.data.train_transforms = (
    "random_resized_crop(224, area=(0.05, 1.0))",
    "random_flip",
  )
  config.data.eval_transforms = ("resize_small(256)", "center_crop(224)")

  config.optimizer.name = "rmsprop"
  # As in TensorFlow: epsilon inside the root, mean squares that start at 1.
  config.optimizer.options = {
    "decay": 0.9,
    "momentum": 0.9,
    "eps": 1.0,
    "initial_scale": 1.0,
  }
  config.optimizer.learning_rate = 0.04 * 50
  config.optimizer.weight_decay = 4e-5
  config.optimizer.gradient_clip = 10.0
  config.schedule.name = "staircase"
  # 250,000 steps are 312.2 epochs of all 1,281,167 images.
  config.schedule.options = {"every": 2.4 / 312.2, "factor": 0.97}
  config.ema.decay = 0.9999
  config.checkpoint.best = "validation_ema/top1"

  config.train.batch_size = 32 * 50
  config.train.duration = "250000 steps"
  return config
