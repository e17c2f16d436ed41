"""Pre-trains BiT on ImageNet-1k (BiT-S).

  jaxvision train --config configs/bit_pretrain_i1k.py --workdir runs/bit_s
  jaxvision train --config configs/bit_pretrain_i1k.py:paper --workdir ...

Kolesnikov et al. 2020, Big Transfer (BiT). The argument selects the
recipe: "code" is the later recipe of the authors in big_vision, "paper" is that
of the paper. Both train 90 epochs with batch size 4096.

Expected: 76.0 % top-1, the paper's ResNet-50 with group normalisation and
weight standardisation. Hardware: the authors state 32 minutes on a TPU v3-128.
In float32 a batch needs several devices. Not yet run here.
"""

from jaxvision.configs import default


def get_config(version: str = "code") -> default.ConfigDict:
  """The recipe of "code" or of the "paper"."""
  if version not in ("code", "paper"):
    raise ValueError(f"no version {version!r}; it is 'code' or 'paper'")
  config = default.get_config()
  config.model.name = "bit_r50x1"

  config.data.name = "imagenet2012"
  config.data.train = "train[:99%]"
  config.data.validation = "train[99%:]"
  config.data.test = "validation"
  config.data.train_transforms = (
    "random_resized_crop(224, area=(0.05, 1.0))",
    "random_flip",
  )
  config.data.eval_transforms = ("resize_small(256)", "center_crop(224)")

  config.train.batch_size = 4096
  config.train.duration = "90 epochs"
  config.evaluate.every = "1000 steps"
  config.checkpoint.every = "1000 steps"
  if version == "paper":
    config.optimizer.name = "sgd"
    config.optimizer.options = {"momentum": 0.9}
    config.optimizer.learning_rate = 0.03 * 4096 / 256
    config.optimizer.weight_decay = 1e-4
    config.schedule.name = "staircase"
    config.schedule.options = {
      "boundaries": (30 / 90, 60 / 90, 80 / 90),
      "factor": 0.1,
    }
    config.schedule.warmup = "5000 steps"
    return config
  # The released code multiplies the weight decay, 1e-4 * 4096 / 256, by the
  # schedule and not by the learning rate. jaxvision multiplies it by both.
  config.optimizer.name = "sgdw"
  config.optimizer.options = {
    "momentum": 0.9,
    "accumulator_dtype": "bfloat16",
  }
  config.optimizer.learning_rate = 0.1 * 4096 / 256
  config.optimizer.weight_decay = 1e-4 / 0.1
  config.optimizer.gradient_clip = 1.0
  config.schedule.name = "cosine"
  config.schedule.warmup = "1000 steps"
  return config
