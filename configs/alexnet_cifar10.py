"""Trains AlexNet on CIFAR-10, on resized images or on images of 32x32 pixels.

  jaxvision data prepare cifar10 --source=FOLDER
  jaxvision train --config configs/alexnet_cifar10.py --workdir runs/alexnet
  jaxvision train --config configs/alexnet_cifar10.py:native --workdir ...

There is no published AlexNet for CIFAR-10. "resized" is the form of the common
tutorials: the widths of Krizhevsky et al. 2012 in one tower, batch
normalisation after each convolution, images resized to 227x227 pixels, and the
last 10 % of the training split for validation: 58,325,066 parameters. "native"
has the same convolutions for images of 32x32 pixels: the stem pads by 5, and
the only Dense layer is the classifier. It has 3,752,522 parameters and takes a
small part of the time. Both shift each image by up to an eighth of its side.

Expected: not yet run here. Hardware: one GPU; "native" also runs on CPUs.
"""

from jaxvision.configs import default

_WIDTHS = (96, 256, 384, 384, 256)


def get_config(version: str = "resized") -> default.ConfigDict:
  """The recipe for "resized" images, or for "native" ones."""
  if version not in ("resized", "native"):
    raise ValueError(f"no version {version!r}; it is 'resized' or 'native'")
  config = default.get_config()
  config.model.name = "alexnet"
  config.model.options = {"features": _WIDTHS, "norm": "batch_norm"}

  config.data.name = "cifar10"
  config.data.train = "train[:90%]"
  config.data.validation = "train[90%:]"
  # Of the training split, in units of [0, 1].
  config.data.mean = (0.4914, 0.4822, 0.4465)
  config.data.std = (0.2470, 0.2435, 0.2616)
  if version == "resized":
    config.data.train_transforms = ("resize(227)",)
    config.data.eval_transforms = ("resize(227)",)
    padding = 28
  else:
    config.model.options.stem = "small"
    config.data.placement = "device"
    padding = 4
  config.data.device_transforms = (
    f"random_crop(padding={padding})",
    "random_flip",
  )

  config.optimizer.name = "sgd"
  config.optimizer.options = {"momentum": 0.9}
  config.optimizer.learning_rate = 0.01
  config.optimizer.weight_decay = 5e-4
  config.schedule.name = "cosine"
  config.schedule.warmup = "1 epochs"
  config.train.batch_size = 128
  config.train.duration = "50 epochs"
  return config
