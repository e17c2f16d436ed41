import cv2
import numpy as np
import pytest
from PIL import Image

from jaxvision.data.transforms.host import affine

NOISE = np.random.default_rng(0).integers(0, 256, (30, 41, 3), np.uint8)
SMOOTH = cv2.GaussianBlur(
  np.random.default_rng(1).integers(0, 256, (60, 81, 3), np.uint8), (0, 0), 4
)
PILLOWS = {
  "nearest": Image.Resampling.NEAREST,
  "bilinear": Image.Resampling.BILINEAR,
}
FILL = (10, 200, 90)


def as_pillow(image, matrix, method, fill):
  size = (image.shape[1], image.shape[0])
  return np.asarray(
    Image.fromarray(image.squeeze()).transform(
      size, Image.Transform.AFFINE, matrix, PILLOWS[method], fillcolor=fill
    )
  ).reshape(image.shape)


CASES = (
  (affine.shear, {"x": 0.3}, (1, 0.3, 0, 0, 1, 0)),
  (affine.shear, {"x": -0.17}, (1, -0.17, 0, 0, 1, 0)),
  (affine.shear, {"y": 0.99}, (1, 0, 0, 0.99, 1, 0)),
  (affine.shear, {"x": 0.1, "y": -0.2}, (1, 0.1, 0, -0.2, 1, 0)),
  (affine.translate, {"x": 7, "unit": "pixels"}, (1, 0, -7, 0, 1, 0)),
  (affine.translate, {"y": -3.4, "unit": "pixels"}, (1, 0, 0, 0, 1, 3.4)),
)


@pytest.mark.parametrize(("make", "options", "matrix"), CASES)
def test_nearest_is_pillows_to_the_bit(make, options, matrix):
  for image, fill in ((NOISE, FILL), (NOISE[..., :1], 77)):
    ours = make(**options, fill=fill)(None, image)
    expected = as_pillow(image, matrix, "nearest", fill)
    np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize(("make", "options", "matrix"), CASES)
def test_bilinear_is_pillows_to_rounding(make, options, matrix):
  for image, fill in ((SMOOTH, FILL), (SMOOTH[..., :1], 77)):
    ours = make(**options, fill=fill, method="bilinear")(None, image)
    expected = as_pillow(image, matrix, "bilinear", fill)
    np.testing.assert_allclose(ours, expected.astype(int), atol=2)


@pytest.mark.parametrize("degrees", [-135, -90, -30, -0.5, 0, 17, 45, 90, 180])
def test_rotation_is_pillows(degrees):
  # In a square, where right angles are exact in Pillow.
  image = NOISE[:, :30]
  ours = affine.rotate(degrees, fill=FILL)(None, image)
  expected = Image.fromarray(image).rotate(degrees, fillcolor=FILL)
  np.testing.assert_array_equal(ours, np.asarray(expected))
  smooth = affine.rotate(degrees, fill=FILL, method="bilinear")(None, SMOOTH)
  expected = Image.fromarray(SMOOTH).rotate(
    degrees, PILLOWS["bilinear"], fillcolor=FILL
  )
  np.testing.assert_allclose(smooth, np.asarray(expected, int), atol=2)


def test_translation_goes_right_and_down():
  out = affine.translate(x=0.25, y=0.1, fill=9)(None, NOISE[:, :40])
  np.testing.assert_array_equal(out[3:, 10:], NOISE[:-3, :30])
  assert (out[:3] == 9).all() and (out[:, :10] == 9).all()


def test_any_number_of_channels():
  image = np.concatenate([NOISE, NOISE[::-1]], 2)
  out = affine.rotate(20)(None, image)
  for part in (slice(0, 3), slice(3, 6)):
    np.testing.assert_array_equal(
      out[..., part], affine.rotate(20)(None, image[..., part])
    )


def test_random_rotation_is_uniform():
  # The position of a bright pixel far from the centre shows the angle.
  image = np.zeros((401, 401, 1), np.uint8)
  image[199:202, 380:383] = 255
  rng = np.random.default_rng(0)
  transform = affine.random_rotation(30)
  angles = []
  for _ in range(300):
    rows, columns = np.nonzero(transform(rng, image)[..., 0])
    angles.append(
      np.degrees(np.arctan2(200 - rows.mean(), columns.mean() - 200))
    )
  assert -30.2 < min(angles) < -29 and 29 < max(angles) < 30.2
  counts, _ = np.histogram(angles, np.linspace(-30.2, 30.2, 7))
  # Five standard deviations of a count of 300 / 6.
  assert np.abs(counts - 50).max() < 5 * np.sqrt(50)


def test_random_translation_is_uniform():
  image = np.zeros((41, 41, 1), np.uint8)
  image[20, 20] = 255
  rng = np.random.default_rng(0)
  transform = affine.random_translation(x=0.1, y=0.3)
  places = np.stack(
    [np.argwhere(transform(rng, image)[..., 0])[0] for _ in range(2000)]
  )
  down, across = (places - 20).T
  # 0.1 and 0.3 of 41 pixels, to the nearest pixel.
  assert set(across) == set(range(-4, 5)) and set(down) == set(range(-12, 13))
  middle = np.bincount(across + 4)[1:-1]
  assert np.abs(middle - 2000 / 8.2).max() < 5 * np.sqrt(2000 / 8.2)


def test_a_fill_of_other_channels_is_an_error():
  with pytest.raises(ValueError, match="has 2 channels, but the image has 3"):
    affine.rotate(3, fill=(1, 2))(None, NOISE)
