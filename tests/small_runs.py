"""Runs of small classifiers with random variables, without a training."""

import jax
import small_classifiers

from jaxvision import inference, parallel
from jaxvision.configs import default
from jaxvision.training import setup

NAMES = ("ant", "bee", "cat", "2")
MEAN, STD = 0.5, 0.25
_LOSSES = {
  "multilabel": ("sets", "sigmoid"),
  "regression": ("numbers", "squared_error"),
}


def run_of(name, task="classification", names=NAMES):
  """Returns a run of a model of `small_classifiers` for images (16, 16, 3)."""
  model, variables = small_classifiers.classifier(name)
  config = default.get_config()
  config.data.mean, config.data.std = (MEAN,), (STD,)
  config.data.eval_transforms = ()
  config.task.name = task
  if task in _LOSSES:
    config.data.labels, config.loss.name = _LOSSES[task]
  mesh = parallel.make_mesh(jax.devices()[:1])
  shape = (small_classifiers.SIDE, small_classifiers.SIDE, 3)
  return inference.TrainedRun(
    config=config,
    class_names=names,
    image_shape=shape,
    model=model,
    variables=jax.device_put(variables, parallel.replicated(mesh)),
    task=setup.make_task(config, model, image_shape=shape, class_names=names),
    step=0,
    mesh=mesh,
  )
