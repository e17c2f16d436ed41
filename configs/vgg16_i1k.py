"""Trains VGG-16 on ImageNet-1k, without or with batch normalisation.

  jaxvision train --config configs/vgg16_i1k.py --workdir runs/vgg16
  jaxvision train --config configs/vgg16_i1k.py:bn --workdir ...

Simonyan and Zisserman 2015, Very Deep Convolutional Networks for Large-Scale
Image Recognition, section 3.1: batch size 256, momentum 0.9, weight decay 5e-4,
dropout 0.5, 74 epochs, a learning rate of 0.01 that is divided by 10 three
times. The authors did this when the validation accuracy stopped improving; here
the boundaries are even. They initialised the deep networks from a shallow one;
here the initialisation is torchvision's, which needs no shallow network.

Expected: 71.59 % top-1, with batch normalisation 73.36 % (torchvision's
IMAGENET1K_V1, trained with torchvision's references/classification). This
recipe holds out 1 % of the training images. Hardware: 8 GPUs. Not yet run here.
"""

from jaxvision.configs import default


def get_config(version: str = "plain") -> default.ConfigDict:
  """The "plain" network, or the one with batch normalisation, "bn"."""
  if version not in ("plain", "bn"):
    raise ValueError(f"no version {version!r}; it is 'plain' or 'bn'")
  config = default.get_config()
  config.model.name = "vgg16_bn" if version == "bn" else "vgg16"

  config.data.name = "imagenet2012"
  config.data.train = "train[:99%]"
  config.data.validation = "train[99%:]"
  config.data.test = "validation"
  config.data.train_transforms = (
    "random_resized_crop(224, method='bilinear_antialiased')",
    "random_flip",
  )
  config.data.eval_transforms = (
    "resize_small(256, method='bilinear_antialiased')",
    "center_crop(224)",
  )
  config.data.mean = (0.485, 0.456, 0.406)
  config.data.std = (0.229, 0.224, 0.225)

  config.optimizer.name = "sgd"
  config.optimizer.options = {"momentum": 0.9}
  config.optimizer.learning_rate = 0.01
  config.optimizer.weight_decay = 5e-4
  config.optimizer.weight_decay_rules = ((".*", 1.0),)
  config.schedule.name = "staircase"
  config.schedule.options = {"boundaries": (1 / 4, 1 / 2, 3 / 4), "factor": 0.1}
  config.train.batch_size = 256
  config.train.duration = "74 epochs"
  return config
