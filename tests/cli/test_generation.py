"""The commands about generated images, beside tests/tasks/test_adversarial."""

import pytest

from jaxvision.cli import generation


@pytest.mark.parametrize("devices", [1, 8, 64, 100, 128, 2048])
def test_batches_divide_over_any_number_of_devices(devices):
  size = generation._batch_size(devices)
  assert size > 0 and size % devices == 0
