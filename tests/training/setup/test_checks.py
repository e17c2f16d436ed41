"""Tests of the checks: an inconsistent config is an error at the start."""

import jax
import pytest
import tiny_runs

from jaxvision import parallel
from jaxvision.training.setup import checks


@pytest.fixture
def folder(tmp_path):
  tiny_runs.write_data(tmp_path)
  return tmp_path


def _check(folder, **overrides):
  config = tiny_runs.load_config(folder, **overrides)
  mesh = parallel.make_mesh(jax.devices()[:4])
  checks.check(config, mesh)


def test_a_config_that_fits_the_mesh_is_accepted(folder):
  _check(folder)
  _check(folder, train__accumulate=4, evaluate__batch_size=4)


@pytest.mark.parametrize(
  ("overrides", "message"),
  [
    ({"train__batch_size": 18}, "train.batch_size 18 .* 4 devices; use 16 or"),
    (
      {"train__batch_size": 16, "train__accumulate": 3},
      r"16 .* 4 devices times 3 parts \(train.accumulate\); use 12 or 24",
    ),
    ({"evaluate__batch_size": 6}, "evaluate.batch_size 6 .*; use 4 or 8"),
    ({"train__remat": "block"}, "train.remat 'block'; did you mean 'blocks'"),
    ({"precision__compute": "half"}, "precision.compute 'half'"),
    ({"train__steps_per_dispatch": 2}, "needs the data on the device"),
    ({"data__placement": "devise"}, "data.placement 'devise'; did you mean"),
  ],
)
def test_an_inconsistent_config_is_an_error(folder, overrides, message):
  with pytest.raises(ValueError, match=message):
    _check(folder, **overrides)


def test_a_state_larger_than_the_memory_is_refused(tmp_path):
  """Two layers of a billion units need 4e18 bytes: too much for any machine."""
  tiny_runs.write_data(tmp_path)
  for hidden in ((10**9,) * 2, (2**31 - 1,) * 3):
    with pytest.raises(ValueError, match=r"GiB on each device, which has"):
      tiny_runs.prepare(tmp_path, model__options={"hidden": hidden})


def test_a_task_with_labels_refuses_data_without_them(tmp_path):
  tiny_runs.write_data(tmp_path)
  with pytest.raises(ValueError, match="'classification', which needs labels"):
    tiny_runs.prepare(tmp_path, data__labels="none")
