import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from jaxvision.data import decoding
from jaxvision.data.decoding import pillow, pixels, png, resizing
from jaxvision.data.transforms import host

_NOISE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
# Smooth, so that JPEG keeps it; neither square nor grey.
PIXELS = cv2.resize(_NOISE, (64, 48), interpolation=cv2.INTER_CUBIC)
PICTURE = Image.fromarray(PIXELS)


def encode(image, kind, **options):
  file = io.BytesIO()
  image.save(file, kind, **options)
  return file.getvalue()


def with_opencv(encoded, channels):
  return png.decode(png.read_header(encoded), channels=channels)


def with_pillow(encoded, channels):
  image, _ = pillow.decode(
    encoded, kind="PNG", channels=channels, max_pixels=10**6
  )
  return pixels.finish(image, channels=channels, orientation=1)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP"])
def test_lossless_formats_give_the_pixels(kind):
  options = {"lossless": True} if kind == "WEBP" else {}
  decoded = decoding.decode(encode(PICTURE, kind, **options), channels=3)
  np.testing.assert_array_equal(decoded, PIXELS)


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_equals_pillow(progressive):
  encoded = encode(PICTURE, "JPEG", quality=90, progressive=progressive)
  expected = np.asarray(Image.open(io.BytesIO(encoded)))
  decoded = decoding.decode(encoded, channels=3)
  assert decoded.dtype == np.uint8
  np.testing.assert_allclose(decoded, expected, atol=1)


def test_gif_gives_its_first_frame():
  frames = [PICTURE.quantize(16), PICTURE.rotate(180).quantize(16)]
  encoded = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
  expected = np.asarray(frames[0].convert("RGB"))
  np.testing.assert_array_equal(decoding.decode(encoded, channels=3), expected)


def test_grey_becomes_three_equal_channels():
  grey = PICTURE.convert("L")
  decoded = decoding.decode(encode(grey, "PNG"), channels=3)
  np.testing.assert_array_equal(decoded, np.stack([np.asarray(grey)] * 3, 2))


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_colour_becomes_grey_by_luma(kind):
  decoded = decoding.decode(encode(PICTURE, kind), channels=1)
  assert decoded.shape == (48, 64, 1)
  expected = np.asarray(PICTURE.convert("L"))
  np.testing.assert_allclose(decoded[..., 0], expected, atol=1)


@pytest.mark.parametrize("transparency", [None, 3])
def test_palettes_are_resolved(transparency):
  image = PICTURE.quantize(16)
  options = {} if transparency is None else {"transparency": transparency}
  decoded = decoding.decode(encode(image, "PNG", **options), channels=3)
  np.testing.assert_array_equal(decoded, np.asarray(image.convert("RGB")))


def test_black_and_white_becomes_0_and_255():
  decoded = decoding.decode(encode(PICTURE.convert("1"), "PNG"), channels=1)
  assert set(np.unique(decoded)) == {0, 255}


def test_cmyk_jpeg_becomes_rgb():
  encoded = encode(PICTURE.convert("CMYK"), "JPEG", quality=95)
  decoded = decoding.decode(encoded, channels=3)
  difference = np.abs(decoded.astype(int) - PIXELS)
  assert difference.mean() < 8  # JPEG noise; inverted colours would be 100


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_alpha_is_dropped(kind):
  image = PICTURE.copy()
  image.putalpha(Image.fromarray(_NOISE[..., 0]).resize((64, 48)))
  options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
  decoded = decoding.decode(encode(image, kind, **options), channels=3)
  np.testing.assert_array_equal(decoded, PIXELS)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_are_scaled(kind):
  deep = np.linspace(0, 65535, 48 * 64).reshape(48, 64).astype(np.uint16)
  decoded = decoding.decode(encode(Image.fromarray(deep), kind), channels=1)
  expected = np.rint(deep / 257).astype(np.uint8)
  np.testing.assert_array_equal(decoded[..., 0], expected)


def test_16_bit_colour_is_scaled():
  deep = PIXELS.astype(np.uint16) * 257
  _, encoded = cv2.imencode(".png", deep[..., ::-1])
  decoded = decoding.decode(encoded.tobytes(), channels=3)
  np.testing.assert_array_equal(decoded, PIXELS)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_exif_orientation_is_applied(orientation, kind):
  exif = Image.Exif()
  exif[0x0112] = orientation
  encoded = encode(PICTURE, kind, exif=exif)
  upright = ImageOps.exif_transpose(Image.open(io.BytesIO(encoded)))
  assert upright.size == ((64, 48) if orientation < 5 else (48, 64))
  decoded = decoding.decode(encoded, channels=3)
  np.testing.assert_allclose(decoded, np.asarray(upright), atol=1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.9])
def test_truncated_files_are_unreadable(kind, share):
  encoded = encode(PICTURE, kind)
  with pytest.raises(decoding.UnreadableImage):
    decoding.decode(encoded[: int(share * len(encoded))], channels=3)


def test_a_truncated_jpeg_with_a_whole_thumbnail_is_unreadable():
  encoded = encode(PICTURE, "JPEG")
  thumbnail = encode(PICTURE.resize((16, 12)), "JPEG")
  segment = b"\xff\xef" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
  whole = encoded[:2] + segment + encoded[2:]
  assert decoding.decode(whole, channels=3).shape == (48, 64, 3)
  with pytest.raises(decoding.UnreadableImage, match="truncated"):
    decoding.decode(whole[:-300], channels=3)


def test_a_tail_of_zeros_is_unreadable():
  encoded = encode(PICTURE, "JPEG")
  half = len(encoded) // 2
  with pytest.raises(decoding.UnreadableImage):
    decoding.decode(encoded[:half] + bytes(half), channels=3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_bytes_after_the_end_do_no_harm(kind):
  encoded = encode(PICTURE, kind)
  np.testing.assert_array_equal(
    decoding.decode(encoded + b"appended", channels=3),
    decoding.decode(encoded, channels=3),
  )


def test_a_damaged_png_is_unreadable():
  encoded = bytearray(encode(PICTURE, "PNG"))
  encoded[len(encoded) // 2] ^= 0xFF
  with pytest.raises(decoding.UnreadableImage):
    decoding.decode(bytes(encoded), channels=3)


def test_text_is_unreadable_and_the_reason_says_so():
  with pytest.raises(decoding.UnreadableImage, match="not an image: 5 bytes"):
    decoding.decode(b"hello", channels=3)


def test_other_numbers_of_channels_are_refused():
  with pytest.raises(ValueError, match="not 4"):
    decoding.decode(encode(PICTURE, "PNG"), channels=4)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "1", "I;16"])
def test_both_decoders_agree(mode, channels):
  if mode == "I;16":
    deep = np.linspace(0, 65535, 48 * 64).reshape(48, 64).astype(np.uint16)
    image = Image.fromarray(deep)
  else:
    image = PICTURE.quantize(16) if mode == "P" else PICTURE.convert(mode)
  encoded = encode(image, "PNG")
  np.testing.assert_allclose(
    with_opencv(encoded, channels),
    with_pillow(encoded, channels),
    atol=1,
  )


CALLS = (
  "center_crop(40)",
  "random_crop(40)",
  "random_resized_crop(20)",
  "random_resized_crop(40, method='bicubic_antialiased')",
  "resize((30, 50))",
  "resize_small(40, method='area')",
)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("call", CALLS)
def test_resampled_decoding_is_resampling_the_decoded(kind, call, monkeypatch):
  monkeypatch.setattr(resizing, "_AFTER_REDUCTION", ())
  encoded = encode(PICTURE, kind)
  whole = decoding.decode(encoded, channels=3)
  resampling = host.make_host_transform((call,)).head
  for seed in range(10):
    found = decoding.decode_resampled(
      encoded, resampling, rng=np.random.default_rng(seed), channels=3
    )
    expected = resampling(np.random.default_rng(seed), whole)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("method", ["bilinear", "bicubic", "area"])
def test_reduced_decoding_shows_the_same_place_more_smoothly(
  orientation, method
):
  """A ramp: the values show the position."""
  ramp = np.add.outer(np.arange(400), np.arange(640)) / 1040 * 255
  exif = Image.Exif()
  exif[0x0112] = orientation
  encoded = encode(
    Image.fromarray(ramp.astype(np.uint8)), "JPEG", quality=95, exif=exif
  )
  whole = decoding.decode(encoded, channels=1)
  resampling = host.make_host_transform(
    (f"random_resized_crop(32, area=(0.2, 1), method={method!r})",)
  ).head
  for seed in range(10):
    found = decoding.decode_resampled(
      encoded, resampling, rng=np.random.default_rng(seed), channels=1
    )
    expected = resampling(np.random.default_rng(seed), whole)
    assert found.shape == expected.shape == (32, 32, 1)
    # Less than a pixel of the result, of which 32 span at most 255 grey levels.
    assert np.abs(found.astype(int) - expected).mean() < 255 / 32


def test_reduced_decoding_averages_where_sampling_aliases():
  """Stripes of 1 pixel: the mean is correct, sampling gives an alias."""
  stripes = np.zeros((64, 512), np.uint8)
  stripes[:, ::2] = 200
  encoded = encode(Image.fromarray(stripes), "JPEG", quality=100)
  resize = host.make_host_transform(("resize((32, 86))",)).head
  found = decoding.decode_resampled(encoded, resize, rng=None, channels=1)
  sampled = resize(None, decoding.decode(encoded, channels=1))
  assert np.abs(found.astype(int) - 100).max() < 8
  assert np.abs(sampled.astype(int) - 100).max() > 30


def test_resampled_decoding_leaves_the_rng_as_resampling_does():
  encoded = encode(PICTURE, "JPEG")
  resampling = host.make_host_transform(("random_resized_crop(20)",)).head
  ours, expected = np.random.default_rng(3), np.random.default_rng(3)
  decoding.decode_resampled(encoded, resampling, rng=ours, channels=3)
  resampling(expected, PIXELS)
  assert ours.random() == expected.random()


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_truncated_files_are_unreadable_whatever_the_part(share):
  encoded = encode(PICTURE, "JPEG")
  top = host.make_host_transform(("center_crop(2)",)).head
  with pytest.raises(decoding.UnreadableImage):
    decoding.decode_resampled(
      encoded[: int(share * len(encoded))], top, rng=None, channels=3
    )
