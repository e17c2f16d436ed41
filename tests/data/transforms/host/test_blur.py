import numpy as np
import pytest
from scipy import ndimage

from jaxvision.data.transforms.host import blur

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sigma", [0.1, 0.7, 2.0])
def test_blur_is_gaussian(sigma, channels):
  image = IMAGE[..., :channels]
  out = blur.gaussian_blur(sigma)(None, image)
  expected = ndimage.gaussian_filter(
    image.astype(float), (sigma, sigma, 0), mode="mirror", truncate=3
  )
  np.testing.assert_allclose(out, expected, atol=2)


def test_sigma_is_uniform():
  # The fraction that a bright pixel keeps shows the sigma of the blur.
  image = np.zeros((21, 21, 1), np.uint8)
  image[10, 10] = 255
  kept = {
    sigma: int(blur.gaussian_blur(sigma)(None, image)[10, 10, 0])
    for sigma in (0.5, 0.8, 1.1, 1.4)
  }
  rng = np.random.default_rng(0)
  transform = blur.random_gaussian_blur((0.5, 1.4))
  drawn = np.array([int(transform(rng, image)[10, 10, 0]) for _ in range(900)])
  assert drawn.max() <= kept[0.5] and drawn.min() >= kept[1.4]
  # A third of them is in each interval, within five standard deviations.
  assert abs((drawn > kept[0.8]).sum() - 300) < 5 * np.sqrt(200)
  assert abs((drawn < kept[1.1]).sum() - 300) < 5 * np.sqrt(200)
