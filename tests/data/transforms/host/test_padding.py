import numpy as np
import pytest

from jaxvision.data.transforms.host import padding

IMAGE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["edge", "reflect", "zero"])
def test_padding_is_numpys(mode, channels):
  image = IMAGE[..., :channels]
  out = padding.pad(4, mode=mode)(None, image)
  expected = np.pad(
    image, ((4, 4), (4, 4), (0, 0)), "constant" if mode == "zero" else mode
  )
  np.testing.assert_array_equal(out, expected)


def test_constant_has_its_colour():
  out = padding.pad(2, mode="constant", fill=(7, 8, 9))(None, IMAGE)
  np.testing.assert_array_equal(out[2:-2, 2:-2], IMAGE)
  assert (out[:2] == (7, 8, 9)).all() and (out[:, -2:] == (7, 8, 9)).all()


def test_an_image_is_reflected_once_at_most():
  with pytest.raises(ValueError, match="6x8 pixels is too small to reflect 6"):
    padding.pad(6, mode="reflect")(None, IMAGE)
