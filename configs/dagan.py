"""Trains DAGAN: a generator of more images of a class from one image of it.

Antoniou, Storkey and Edwards 2017, Data Augmentation Generative Adversarial
Networks (arXiv 1711.04340). The networks see pairs of images of a class, and
not the class itself. So the generator works for classes that training did not
see. `jaxvision generate` writes the images that it makes.

  jaxvision data prepare mnist --source=package/data   # see docs/data.md
  jaxvision train --config configs/dagan.py:mnist --workdir runs/dagan
  jaxvision data prepare hangul --source=fonts         # see docs/data.md
  jaxvision train --config configs/dagan.py:hangul --workdir runs/hangul

The argument is the data:

  omniglot  the default: the settings of the paper's authors for 1,200 classes
            of 20 characters of 28x28 pixels, in `omniglot.npz` with the splits
            "source", "test" and "validation": classes 0 to 1199, 1200 to 1599
            and 1600 to 1622. docs/dagan.md has the code that makes it. Five
            updates of the critic and one of the generator, each of 32 pairs,
            are a step. 200 of their epochs of 24,000 images are 150,000 steps.
            A quarter turn, the same for both images, has probability one half.
            The expected time is 3.3 hours on an NVIDIA T4 for 50 epochs
            (github.com/amurthy1/dagan_torch).
  mnist     the digits 0 to 4 of MNIST with a pair of small networks, in
            `digits_0_to_4.npz` (experiments/dagan.py writes this file). The
            learning rate and the batch of 16 pairs for each update are ours.
  hangul    1,778 classes of 28 characters of 28x28 pixels: the syllables of
            Korean in 28 fonts (docs/data.md), with the same networks, learning
            rate and batch. The syllables of the validation and the test split
            are others.

There is no expected number: the report shows the images, and the distance of
the reduced pixels of real and generated images (pixel_frechet).
"""

from jaxvision.configs import default

_UPDATES = 6  # five of the critic and one of the generator


def get_config(data: str = "omniglot") -> default.ConfigDict:
  """The recipe for "omniglot", "mnist" or "hangul"."""
  if data not in ("omniglot", "mnist", "hangul"):
    raise ValueError(
      f"configs/dagan.py has no data {data!r}; it has omniglot, mnist, hangul"
    )
  config = default.get_config()
  config.task.name = "adversarial"
  config.data.kind = "npz"
  config.data.channels = 1
  config.data.placement = "device"
  # The generator makes pixels in [-1, 1].
  config.data.mean = (0.5,)
  config.data.std = (0.5,)
  config.optimizer.name = "adam"
  config.optimizer.learning_rate = 1e-4
  config.optimizer.options = {"b1": 0.0, "b2": 0.9}
  config.schedule.name = "constant"
  config.train.batch_size = 32 * _UPDATES
  config.checkpoint.best = "validation/pixel_frechet"
  config.evaluate.batch_size = 200
  if data == "omniglot":
    config.model.name = "dagan"
    config.data.name = "omniglot.npz"
    config.data.train = "source"
    config.data.train_transforms = ("resize(28)",)
    config.data.eval_transforms = ("resize(28)",)
    config.data.device_transforms = ("random_quarter_turn",)
    config.train.duration = "150000 steps"
    config.evaluate.every = "5000 steps"
    config.checkpoint.every = "1000 steps"
    return config
  config.model.name = "dagan_small"
  config.model.options = {
    "generator_sizes": (32, 64, 64),
    "critic_sizes": (32, 64, 64),
  }
  if data == "mnist":
    config.data.name = "digits_0_to_4.npz"
    config.data.test = ""
  else:
    config.data.kind = "tfds"
    config.data.name = "hangul"
  config.optimizer.learning_rate = 2e-4
  config.ema.decay = 0.999
  config.checkpoint.best = "validation_ema/pixel_frechet"
  config.train.batch_size = 16 * _UPDATES
  config.train.duration = "3000 steps"
  config.evaluate.every = "500 steps"
  config.checkpoint.every = "500 steps"
  return config
