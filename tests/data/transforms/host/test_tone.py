import numpy as np
import pytest
from PIL import Image, ImageOps

from jaxvision.data.transforms.host import tone

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (30, 40, 3), np.uint8)
# Few values, far from black and white, with other values in each channel.
NARROW = (60 + NOISE // np.array((2, 5, 9), np.uint8)).astype(np.uint8)
EVEN = np.full((30, 40, 3), 77, np.uint8)

CASES = (
  ("auto_contrast", (), ImageOps.autocontrast),
  ("equalize", (), ImageOps.equalize),
  ("invert", (), ImageOps.invert),
  *(("posterize", (bits,), ImageOps.posterize) for bits in range(1, 9)),
  *(("solarize", (at,), ImageOps.solarize) for at in (0, 1, 100, 128, 256)),
)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("image", [NOISE, NARROW, EVEN])
@pytest.mark.parametrize(("name", "options", "pillow"), CASES)
def test_tones_are_pillows_to_the_bit(name, options, pillow, image, channels):
  image = image[..., :channels]
  ours = getattr(tone, name)(*options)(None, image)
  expected = np.asarray(pillow(Image.fromarray(image.squeeze()), *options))
  np.testing.assert_array_equal(ours, expected.reshape(image.shape))


def test_posterize_to_no_bits_is_black():
  assert not tone.posterize(0)(None, NOISE).any()


def test_solarize_add_brightens_dark_pixels():
  values = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
  out = tone.solarize_add(100, threshold=200)(None, values).ravel()
  np.testing.assert_array_equal(out[:155], np.arange(100, 255))
  assert (out[155:200] == 255).all()
  np.testing.assert_array_equal(out[200:], np.arange(200, 256))


def test_equalize_makes_the_values_uniform():
  skewed = np.random.default_rng(0).gamma(4, 12, (100, 100, 3))
  out = tone.equalize()(None, skewed.clip(0, 255).astype(np.uint8))
  for channel in np.moveaxis(out, 2, 0):
    shares = np.quantile(channel, (0.25, 0.5, 0.75)) / 255
    np.testing.assert_allclose(shares, (0.25, 0.5, 0.75), atol=0.03)


def test_any_number_of_channels():
  image = np.concatenate([NOISE, NARROW], 2)
  for name in ("auto_contrast", "equalize", "invert"):
    transform = getattr(tone, name)()
    apart = [transform(None, part) for part in (NOISE, NARROW)]
    together = transform(None, image)
    np.testing.assert_array_equal(together, np.concatenate(apart, 2))
