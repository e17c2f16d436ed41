"""Trains on a folder of images with one directory per class: your own data.

  jaxvision train --config configs/folder.py:path/to/images --workdir runs/mine

The folder may also have train/, validation/ and test/ above the classes. Then
set data.train, data.validation and data.test to these names. The model is a
ResNet-18 for images of 64x64 pixels. It is not tuned: change it for your data.
"""

from jaxvision.configs import default


def get_config(folder: str = "images") -> default.ConfigDict:
  """For a folder without splits: 70 % to train on, 15 % + 15 % held out."""
  config = default.get_config()
  config.model.name = "resnet18"
  config.model.options = {"features": 16}

  config.data.kind = "folder"
  config.data.name = folder
  config.data.train = "train[:70%]"
  config.data.validation = "train[70%:85%]"
  config.data.test = "train[85%:]"
  config.data.train_transforms = (
    "random_resized_crop(64, area=(0.35, 1.0))",
    "random_flip",
  )
  config.data.eval_transforms = ("resize_small(73)", "center_crop(64)")
  # The values of ImageNet, as in most published networks.
  config.data.mean = (0.485, 0.456, 0.406)
  config.data.std = (0.229, 0.224, 0.225)

  config.optimizer.name = "adamw"
  config.optimizer.learning_rate = 1e-3
  config.optimizer.weight_decay = 0.05
  config.schedule.warmup = "5 percent"
  config.train.batch_size = 16
  config.train.duration = "10 epochs"
  return config
