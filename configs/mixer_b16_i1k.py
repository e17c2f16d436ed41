"""Trains MLP-Mixer-B/16 on ImageNet-1k from scratch.

  jaxvision train --config configs/mixer_b16_i1k.py --workdir runs/mixer_b16

Tolstikhin et al. 2021, MLP-Mixer: An all-MLP Architecture for Vision, with the
loss and the initial biases of the authors' big_vision.

Expected: 76.44 % top-1, 76.3 % in big_vision. Hardware: the authors state 2 h
11 min on a TPU v3-128. Not yet run here.
"""

from jaxvision.configs import default


def get_config() -> default.ConfigDict:
  """The recipe."""
  config = default.get_config()
  config.model.name = "mixer_b16"
  # exp(-6.9) is 1/1000, the probability of one of 1000 classes.
  config.model.options = {"drop_path": 0.1, "head_bias": -6.9}
  config.loss.name = "sigmoid"

  config.data.name = "imagenet2012"
  config.data.train = "train[:99%]"
  config.data.validation = "train[99%:]"
  config.data.test = "validation"
  config.data.train_transforms = (
    "random_resized_crop(224, area=(0.05, 1.0))",
    "random_flip",
    "random_randaugment(2, magnitude=15, version='google')",
  )
  config.data.eval_transforms = ("resize_small(256)", "center_crop(224)")
  config.data.device_transforms = ("random_mixup(0.5)",)

  config.optimizer.name = "adamw"
  config.optimizer.learning_rate = 1e-3
  # The released code has 1e-4, which is not multiplied by the learning rate.
  config.optimizer.weight_decay = 0.1
  config.optimizer.gradient_clip = 1.0
  config.schedule.name = "linear"
  config.schedule.options = {"final_fraction": 1e-5}
  config.schedule.warmup = "10000 steps"

  config.train.batch_size = 4096
  config.train.duration = "300 epochs"
  config.evaluate.every = "2500 steps"
  config.checkpoint.every = "2500 steps"
  return config
