"""Names and arguments in the documentation of earlier versions still work."""

import functools
import subprocess
import sys

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import tiny_runs

from jaxvision import data, losses, models
from jaxvision.configs import default
from jaxvision.inference import export

# As in docs/extending.md, docs/sweeps.md, docs/export.md and README.md.
_NAMES = """
from jaxvision import activations, analysis, export, features, inference
from jaxvision import initializers, ranges, start, sweep, tasks, train_step

activations.ACTIVATIONS, activations.create, activations.mish
analysis.Trial, analysis.interval, analysis.read_sweep
analysis.write_comparison, analysis.write_report
export.save, features.tap, inference.load_run, initializers
ranges.Count, ranges.Range, ranges.Rate, start.draw
sweep.categorical, sweep.grid, sweep.halving, sweep.log_uniform
sweep.maximize, sweep.minimize, sweep.seeds, sweep.template, sweep.uniform
tasks.classification.make_task_loss
train_step.init_state, train_step.make_train_step
"""


def test_names_of_earlier_pages_exist():
  subprocess.run([sys.executable, "-c", _NAMES], check=True)


def test_a_data_set_may_be_named_by_the_part_of_a_config(tmp_path):
  path = tiny_runs.write_data(tmp_path)
  config = default.get_config().data
  config.kind, config.name, config.channels = "npz", str(path), 1
  assert data.open_dataset(config, "train").num_examples == 40


def test_a_user_step_accepts_mean_and_std():
  from jaxvision import tasks, train_step

  model = models.create("linear", num_classes=3)
  task_loss = tasks.classification.make_task_loss(
    model,
    loss=losses.create("softmax"),
    penalty=functools.partial(losses.penalty, l1=0, l2=0, pattern=".*"),
    device_transform=data.make_device_transform(()),
    mean=(0.5,),
    std=(0.5,),
  )
  variables = model.init(
    jax.random.key(0), jnp.zeros((1, 2, 2, 1)), train=False
  )
  batch = {
    "image": np.zeros((4, 2, 2, 1), np.uint8),
    "label": np.arange(4) % 3,
    "mask": np.ones(4, np.float32),
  }
  scalar, (_, sums) = jax.jit(task_loss)(
    variables["params"], {}, batch, jax.random.key(0)
  )
  assert float(scalar) == float(np.log(np.float32(3)))
  assert int(sums["count"]) == 4
  assert callable(train_step.make_train_step)


def test_an_export_accepts_mean_and_std(tmp_path):
  model = models.create("linear", num_classes=3)
  variables = model.init(
    jax.random.key(0), jnp.zeros((1, 2, 2, 1)), train=False
  )
  shape = (2, 2, 1)
  path, other = tmp_path / "a.jax", tmp_path / "b.jax"
  export.save(
    path, model, variables, image_shape=shape, mean=(0.2,), std=(0.3,)
  )
  normalization = data.Normalization((0.2,), (0.3,))
  export.save(
    other, model, variables, image_shape=shape, normalization=normalization
  )
  images = np.arange(12, dtype=np.uint8).reshape(3, 2, 2, 1)
  one, two = (
    np.asarray(jax.export.deserialize(each.read_bytes()).call(images))
    for each in (path, other)
  )
  np.testing.assert_array_equal(one, two)
