import numpy as np
import pytest
from PIL import Image, ImageEnhance

from jaxvision.data.transforms.host import enhancement

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
PILLOWS = {
  "brightness": ImageEnhance.Brightness,
  "contrast": ImageEnhance.Contrast,
  "saturation": ImageEnhance.Color,
  "sharpness": ImageEnhance.Sharpness,
}


@pytest.mark.parametrize("factor", [0, 0.1, 0.37, 0.5, 1, 1.4, 1.9, 4.6])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", PILLOWS)
def test_enhancements_are_pillows(name, channels, factor):
  image = IMAGE[..., :channels]
  ours = getattr(enhancement, name)(factor)(None, image)
  pillow = PILLOWS[name](Image.fromarray(image.squeeze())).enhance(factor)
  expected = np.asarray(pillow).reshape(image.shape).astype(int)
  difference = np.abs(ours - expected)
  # The grey of OpenCV differs by one at a thousandth of all pixels, which
  # the factor multiplies.
  assert difference.max() <= max(1, np.ceil(abs(1 - factor)))
  assert (difference > 0).mean() < 0.005


@pytest.mark.parametrize("name", PILLOWS)
def test_a_factor_of_one_changes_nothing(name):
  out = getattr(enhancement, name)(1)(None, IMAGE)
  np.testing.assert_array_equal(out, IMAGE)


def test_results_at_factor_zero():
  black, even, grey, blurred = (
    getattr(enhancement, name)(0)(None, IMAGE) for name in PILLOWS
  )
  assert not black.any()
  assert np.ptp(even) == 0 and abs(int(even[0, 0, 0]) - IMAGE.mean()) < 2
  assert (np.ptp(grey, axis=2) == 0).all() and np.ptp(grey) > 100
  assert blurred[1:-1, 1:-1].std() < 0.6 * IMAGE.std()
