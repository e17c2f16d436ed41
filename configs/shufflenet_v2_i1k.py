"""Trains ShuffleNet v2 on ImageNet-1k.

  jaxvision train --config configs/shufflenet_v2_i1k.py --workdir runs/shuffle
  jaxvision train --config configs/shufflenet_v2_i1k.py:x0_5 --workdir ...

The argument is the width: x0_5, x1_0 (the default), x1_5 or x2_0.

Ma et al. 2018, ShuffleNet V2: Practical Guidelines for Efficient CNN
Architecture Design, with the numbers of the authors' code: 300,000 steps
with a linear decay of the rate, label smoothing.

Expected (Table 8): 60.3, 69.4, 72.6 and 74.9 % top-1. The authors estimate the
statistics of the normalisation again at the end; jaxvision does not do this.
Their pixels are in 0 to 255 instead of normalised. Hardware: the authors state
none. Not yet run here.
"""

from jaxvision.configs import default


def get_config(width: str = "x1_0") -> default.ConfigDict:
  """The recipe for one of the four widths."""
  config = default.get_config()
  config.model.name = f"shufflenet_v2_{width}"
  config.loss.options = {"label_smoothing": 0.1}

  config.data.name = "imagenet2012"
  config.data.train = "train[:99%]"
  config.data.validation = "train[99%:]"
  config.data.test = "validation"
  config.data.train_transforms = (
    "random_resized_crop(224)",
    "random_color_jitter(brightness=0.4, contrast=0.4, saturation=0.4)",
    "random_flip",
  )
  config.data.eval_transforms = ("resize_small(256)", "center_crop(224)")
  config.data.mean = (0.485, 0.456, 0.406)
  config.data.std = (0.229, 0.224, 0.225)

  config.optimizer.name = "sgd"
  config.optimizer.options = {"momentum": 0.9}
  config.optimizer.learning_rate = 0.5
  config.optimizer.weight_decay = 4e-5
  config.schedule.name = "linear"

  config.train.batch_size = 1024
  config.train.duration = "300000 steps"
  return config
