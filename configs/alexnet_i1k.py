"""Trains AlexNet on ImageNet-1k: one tower, or the two towers of 2012.

  jaxvision train --config configs/alexnet_i1k.py --workdir runs/alexnet
  jaxvision train --config configs/alexnet_i1k.py:2012 --workdir ...

"one_tower" is Krizhevsky 2014, One weird trick for parallelizing convolutional
neural networks, with the numbers of torchvision's references/classification:
batch size 32 a GPU on 8 GPUs, learning rate 0.01, a tenth of it after 30 and 60
epochs. Expected: 56.52 % top-1 (torchvision's IMAGENET1K_V1).

"2012" is Krizhevsky et al. 2012, ImageNet Classification with Deep
Convolutional Neural Networks, section 5: batch size 128, learning rate 0.01,
weight decay 5e-4, lighting noise of 0.1 standard deviations, 90 epochs. The
authors divided the rate by 10 three times by hand; here they are evenly spaced.
Expected: 59.3 % top-1 (the paper, with the mean of ten crops).

This recipe holds out 1 % of the training images. Not yet run here.
"""

from jaxvision.configs import default


def get_config(version: str = "one_tower") -> default.ConfigDict:
  """The recipe of the network with "one_tower", or that of "2012"."""
  if version not in ("one_tower", "2012"):
    raise ValueError(f"no version {version!r}; it is 'one_tower' or '2012'")
  two_towers = version == "2012"
  size = 227 if two_towers else 224
  config = default.get_config()
  config.model.name = "alexnet_2012" if two_towers else "alexnet"

  config.data.name = "imagenet2012"
  config.data.train = "train[:99%]"
  config.data.validation = "train[99%:]"
  config.data.test = "validation"
  # The paper crops 224x224 pixels of images whose shorter side has 256.
  crop = (
    ("resize_small(256, method='bilinear_antialiased')", f"random_crop({size})")
    if two_towers
    else (f"random_resized_crop({size}, method='bilinear_antialiased')",)
  )
  config.data.train_transforms = (*crop, "random_flip")
  if two_towers:
    config.data.train_transforms += ("random_lighting(std=0.1)",)
  config.data.eval_transforms = (
    "resize_small(256, method='bilinear_antialiased')",
    f"center_crop({size})",
  )
  config.data.mean = (0.485, 0.456, 0.406)
  config.data.std = (0.229, 0.224, 0.225)

  config.optimizer.name = "sgd"
  config.optimizer.options = {"momentum": 0.9}
  config.optimizer.learning_rate = 0.01
  config.optimizer.weight_decay = 5e-4 if two_towers else 1e-4
  config.optimizer.weight_decay_rules = ((".*", 1.0),)
  config.schedule.name = "staircase"
  boundaries = (1 / 4, 1 / 2, 3 / 4) if two_towers else (30 / 90, 60 / 90)
  config.schedule.options = {"boundaries": boundaries, "factor": 0.1}
  config.train.batch_size = 128 if two_towers else 256
  config.train.duration = "90 epochs"
  return config
