"""Trains ResNet-50 on ImageNet-1k, plainly or with the Bag of Tricks.

  jaxvision train --config configs/resnet50_i1k.py --workdir runs/resnet50
  jaxvision train --config configs/resnet50_i1k.py:tricks --workdir ...
  jaxvision train --config configs/resnet50_i1k.py:tricks_alone --workdir ...

Plain: He et al. 2016, Deep Residual Learning for Image Recognition, in the form
of torchvision: v1.5, 90 epochs, a tenth of the rate after 30 and 60 epochs,
weight decay of all parameters. Expected: 76.13 % top-1 (torchvision's
IMAGENET1K_V1).

Tricks: He et al. 2019, Bag of Tricks for Image Classification with
Convolutional Neural Networks: ResNet-50-D, batch size 1024 with a scaled rate
and a warm-up of 5 epochs, zero scales in the last normalisation of each block,
no decay of biases and normalisations, cosine, label smoothing, mixup, and with
mixup 200 epochs instead of 120; and distillation from a ResNet-152-D with the
temperature 20. The teacher is the authors' file in the form of timm, 241 MB,
which needs huggingface_hub. For a copy of it, or for another teacher, pass
--config.task.teachers="('resnet152d@FILE',)". Expected: 79.29 % top-1 (Table
6), and 79.15 % for "tricks_alone", which has no teacher.

The authors trained both on all training images. This recipe holds out 1 % of
them. Hardware: 8 GPUs each. Not yet run here.
"""

from jaxvision.configs import default


def get_config(version: str = "plain") -> default.ConfigDict:
  """The "plain" recipe, or the one with "tricks" or "tricks_alone"."""
  if version not in ("plain", "tricks", "tricks_alone"):
    raise ValueError(
      f"no version {version!r}; it is 'plain', 'tricks' or 'tricks_alone'"
    )
  config = default.get_config()
  config.model.name = "resnet50"

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
  config.optimizer.learning_rate = 0.1
  config.optimizer.weight_decay = 1e-4
  config.optimizer.weight_decay_rules = ((".*", 1.0),)
  config.schedule.name = "staircase"
  config.schedule.options = {"boundaries": (30 / 90, 60 / 90), "factor": 0.1}

  config.train.batch_size = 256
  config.train.duration = "90 epochs"
  if version == "plain":
    return config
  config.model.name = "resnet50d"
  config.model.options = {"zero_gamma": True}
  config.data.train_transforms += (
    "random_color_jitter(brightness=0.4, contrast=0.4, saturation=0.4)",
    "random_lighting(std=0.1)",
  )
  config.data.device_transforms = ("random_mixup(0.2)",)
  config.loss.options = {"label_smoothing": 0.1}
  config.optimizer.options = {"momentum": 0.9, "nesterov": True}
  config.optimizer.learning_rate = 0.1 * 1024 / 256
  config.optimizer.weight_decay_rules = ((".*kernel", 1.0), (".*", 0.0))
  config.schedule.name = "cosine"
  config.schedule.options = {}
  config.schedule.warmup = "5 epochs"
  config.train.batch_size = 1024
  config.train.duration = "200 epochs"
  if version == "tricks_alone":
    return config
  config.task.name = "distillation"
  config.task.options = {
    "loss": "bag_of_tricks",
    "temperature": 20.0,
    "hard_weight": 0.5,
  }
  config.task.teachers = ("resnet152d@hf-hub:timm/resnet152d.gluon_in1k",)
  return config
