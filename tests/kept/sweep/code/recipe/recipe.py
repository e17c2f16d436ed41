"""The recipe of the kept runs: models of a few hundred numbers on digits."""

from jaxvision.configs import default

_VIT = {"patch_size": 4, "width": 8, "depth": 1, "mlp_dim": 16, "num_heads": 2}
_MLP = {"hidden": (8,), "dropout": 0.1}
_RESNET = {"blocks": (1,), "features": 4, "stem": "small"}
# model -> (name, options, optimizer, learning rate, steps)
_MODELS = {
  "vit": ("vit_ti16", _VIT, "adamw", 0.01, 40),
  "mlp": ("mlp", _MLP, "adamw", 0.01, 240),
  "resnet": ("resnet18", _RESNET, "sgd", 0.1, 100),
  "linear": ("linear", {}, "sgd", 0.1, 120),
  "own": ("my_model.py:create", {"width": 4}, "sgd", 0.1, 20),
}


def get_config(model: str) -> default.ConfigDict:
  """The recipe for one of the five models."""
  name, options, optimizer, learning_rate, steps = _MODELS[model]
  config = default.get_config()
  config.model.name = name
  config.model.options = options
  config.data.name = "digits"
  config.data.channels = 1
  config.data.placement = "host" if model == "resnet" else "device"
  config.data.device_transforms = ("random_crop(padding=1)",)
  config.optimizer.name = optimizer
  config.optimizer.learning_rate = learning_rate
  if optimizer == "sgd":
    config.optimizer.options = {"momentum": 0.9}
  config.ema.decay = 0.9
  config.checkpoint.best = "validation_ema/top1"
  config.checkpoint.keep = 1
  config.checkpoint.every = "50 steps"
  config.evaluate.every = "80 steps"
  config.train.batch_size = 32
  config.train.duration = f"{steps} steps"
  config.log.every = "20 steps"
  config.log.tensorboard = False
  return config
