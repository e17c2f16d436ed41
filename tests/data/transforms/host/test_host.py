import cv2
import numpy as np
import pytest
from PIL import Image
from scipy import stats

from jaxvision.data.decoding import resizing
from jaxvision.data.transforms.host import (
  TRANSFORMS,
  geometry,
  make_host_transform,
)

IMAGE = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
SMOOTH = cv2.GaussianBlur(IMAGE, (0, 0), 3)
METHODS = [*resizing.OPENCV, *resizing.PILLOW]


def rng(seed=0):
  return np.random.default_rng(seed)


def test_an_empty_chain_is_the_identity():
  assert make_host_transform(())(None, IMAGE) is IMAGE


def test_a_chain_is_applied_in_order():
  chain = make_host_transform(("resize_small(20)", "center_crop(20)"))
  small = make_host_transform(("resize_small(20)",))(None, IMAGE)
  assert small.shape == (20, 27, 3)
  np.testing.assert_array_equal(chain(None, IMAGE), small[:, 3:23])


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("method", METHODS)
def test_resize_keeps_channels_and_type(method, channels):
  image = np.full((30, 40, channels), 77, np.uint8)
  out = make_host_transform((f"resize((8, 50), method={method!r})",))(
    None, image
  )
  assert out.shape == (8, 50, channels) and out.dtype == np.uint8
  assert (out == 77).all()


def test_antialiased_resize_is_pillows():
  out = make_host_transform(("resize(15, method='bilinear_antialiased')",))(
    None, IMAGE
  )
  expected = Image.fromarray(IMAGE).resize((15, 15), Image.Resampling.BILINEAR)
  np.testing.assert_array_equal(out, np.asarray(expected))


def test_area_averages_whole_blocks():
  out = make_host_transform(("resize((15, 20), method='area')",))(None, IMAGE)
  blocks = IMAGE.reshape(15, 2, 20, 2, 3).mean((1, 3))
  np.testing.assert_allclose(out, blocks, atol=0.51)


def test_resize_small_sets_the_shorter_side():
  tall = np.swapaxes(IMAGE, 0, 1)
  resized = make_host_transform(("resize_small(15)",))
  assert resized(None, IMAGE).shape == (15, 20, 3)
  assert resized(None, tall).shape == (20, 15, 3)


@pytest.mark.parametrize("crop", ["center_crop", "random_crop"])
def test_crops_refuse_smaller_images(crop):
  message = r'32x32 exceeds an image of 30x40.*add "resize_small\(32\)" before'
  with pytest.raises(ValueError, match=message):
    make_host_transform((f"{crop}(32)",))(rng(), IMAGE)


def test_random_crop_takes_every_place_equally_often():
  crop = make_host_transform(("random_crop((29, 38))",))
  places = {
    IMAGE[top : top + 29, left : left + 38].tobytes(): 0
    for top in range(2)
    for left in range(3)
  }
  draws = rng()
  for _ in range(3000):
    places[crop(draws, IMAGE).tobytes()] += 1
  # Five standard deviations of a count of 3000 / 6.
  assert all(abs(count - 500) < 103 for count in places.values())


def test_random_flip_flips_half_of_the_images():
  flip = make_host_transform(("random_flip",))
  draws = rng()
  flipped = 0
  for _ in range(2000):
    out = flip(draws, IMAGE)
    is_flipped = (out == IMAGE[:, ::-1]).all()
    assert is_flipped or (out == IMAGE).all()
    flipped += is_flipped
  assert abs(flipped - 1000) < 112  # five standard deviations


def test_random_flip_keeps_a_grey_channel():
  image = IMAGE[..., :1]
  out = make_host_transform(("random_flip(p=1)",))(rng(), image)
  np.testing.assert_array_equal(out, image[:, ::-1])


def test_boxes_have_the_area_and_ratio_asked_for():
  # A square: in other shapes the tallest or widest large boxes do not fit.
  generator, areas, ratios = rng(), [], []
  for _ in range(2000):
    top, left, height, width = geometry.random_box(
      generator, (1000, 1000), (0.08, 1.0), (3 / 4, 4 / 3)
    )
    assert min(top, left) >= 0
    assert max(top + height, left + width) <= 1000
    areas.append(height * width / 1e6)
    ratios.append(width / height)
  assert 0.079 < min(areas) < 0.1 and 0.9 < max(areas) <= 1
  assert 0.748 < min(ratios) < 0.77 and 1.3 < max(ratios) < 1.336
  assert abs(np.median(np.log(ratios))) < 0.03


def test_areas_are_uniform_and_ratios_log_uniform():
  # Up to half of a square, where every ratio fits and no draw is rejected.
  generator, areas, ratios = rng(), [], []
  for _ in range(4000):
    _, _, height, width = geometry.random_box(
      generator, (4000, 4000), (0.08, 0.5), (3 / 4, 4 / 3)
    )
    areas.append(height * width / 16e6)
    ratios.append(np.log(width / height))
  low, high = np.log(3 / 4), np.log(4 / 3)
  assert stats.kstest(areas, "uniform", (0.08, 0.42)).pvalue > 0.001
  assert stats.kstest(ratios, "uniform", (low, high - low)).pvalue > 0.001
  assert abs(stats.spearmanr(areas, ratios).statistic) < 5 / np.sqrt(4000)


def test_boxes_lie_anywhere():
  generator, places = rng(), []
  for _ in range(4000):
    top, left, side, _ = geometry.random_box(
      generator, (1000, 1000), (0.2, 0.4), (1, 1)
    )
    # Whole places become uniform numbers in [0, 1).
    whole = np.array((top, left))
    places.append((whole + generator.random(2)) / (1001 - side))
  for each in np.transpose(places):
    assert stats.kstest(each, "uniform").pvalue > 0.001


def test_random_crop_pads_beforehand():
  # As CIFAR-10 is trained on: a crop of the image's own size.
  crop = make_host_transform(("random_crop((30, 40), padding=1, mode='zero')",))
  padded = np.pad(IMAGE, ((1, 1), (1, 1), (0, 0)))
  places = {
    padded[top : top + 30, left : left + 40].tobytes(): 0
    for top in range(3)
    for left in range(3)
  }
  draws = rng()
  for _ in range(1800):
    places[crop(draws, IMAGE).tobytes()] += 1
  assert stats.chisquare(list(places.values())).pvalue > 0.001


def test_random_apply_applies_with_its_probability():
  apply = make_host_transform(("random_apply('invert', p=0.3)",))
  draws, inverted = rng(), 0
  for _ in range(2000):
    out = apply(draws, IMAGE)
    is_inverted = (out == 255 - IMAGE).all()
    assert is_inverted or (out == IMAGE).all()
    inverted += is_inverted
  assert abs(inverted - 600) < 5 * np.sqrt(600 * 0.7)


def test_an_impossible_box_is_the_central_one():
  # A strip of 10 x 1000 has no part of at least 90 % with these ratios.
  box = geometry.random_box(rng(), (10, 1000), (0.9, 1), (0.75, 1.25))
  assert box == (0, 494, 10, 12)


def test_random_resized_crop_shows_a_part_of_the_image():
  crop = make_host_transform(("random_resized_crop(30, area=(0.25, 0.25))",))
  out = crop(rng(), SMOOTH)
  assert out.shape == (30, 30, 3)
  scores = cv2.matchTemplate(
    SMOOTH, cv2.resize(out, (20, 15)), cv2.TM_CCOEFF_NORMED
  )
  assert scores.max() > 0.7


CALLS = (
  "auto_contrast",
  "brightness(1.3)",
  "center_crop(16)",
  "contrast(0.4)",
  "equalize",
  "gaussian_blur(1.5)",
  "grayscale",
  "hue(0.2)",
  "invert",
  "pad(3, mode='reflect')",
  "posterize(3)",
  "random_3augment",
  "random_apply('grayscale', p=0.5)",
  "random_autoaugment",
  "random_color_jitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)",
  "random_crop(16)",
  "random_cutout(7)",
  "random_flip",
  "random_gaussian_blur",
  "random_gaussian_noise(0.1)",
  "random_lighting",
  "random_randaugment(2, magnitude=9)",
  "random_resized_crop(16)",
  "random_rotation(30)",
  "random_salt_and_pepper(0.1)",
  "random_translation(x=0.2, y=0.2)",
  "random_trivialaugment",
  "resize(16)",
  "resize_small(16)",
  "rotate(45)",
  "saturation(1.7)",
  "sharpness(1.9)",
  "shear(x=0.3, y=-0.1)",
  "solarize(100)",
  "solarize_add(90)",
  "translate(x=0.1, y=-0.2)",
)


# They need a mask: see test_backgrounds.py.
MASKED = {"no_fg", "only_bg_b", "only_bg_t", "only_fg"}


def test_every_transform_has_a_case():
  assert {call.split("(")[0] for call in CALLS} == set(TRANSFORMS) - MASKED


# random_lighting refuses grey: see its own test.
@pytest.mark.parametrize("call", [c for c in CALLS if c != "random_lighting"])
def test_grey_stays_grey(call):
  transform = make_host_transform((call,))
  for seed in range(20 if transform.random else 1):
    out = transform(rng(seed), IMAGE[..., :1])
    assert out.shape[2] == 1 and out.dtype == np.uint8
    assert out.shape[:2] == transform(rng(seed), IMAGE).shape[:2]


@pytest.mark.parametrize("call", CALLS)
def test_transforms_follow_rng_alone_and_leave_their_input(call):
  before = IMAGE.copy()
  transform = make_host_transform((call,))
  first = [transform(rng(seed), IMAGE) for seed in range(8)]
  again = [transform(rng(seed), IMAGE) for seed in range(8)]
  np.testing.assert_array_equal(first, again)
  np.testing.assert_array_equal(IMAGE, before)
  varies = any((each != first[0]).any() for each in first)
  assert varies == transform.random == call.startswith("random_")


@pytest.mark.parametrize(
  ("call", "message"),
  [
    ("rezise(3)", "unknown host transform 'rezise'; did you mean 'resize'"),
    ("resize(3, methd='area')", "'methd'; did you mean 'method'.*size"),
    ("resize", "missing a required argument: 'size'"),
    (
      "resize(1, 2)",
      r"too many positional arguments; the signature is resize\(size",
    ),
    ("resize(3, size=3)", "multiple values for argument 'size'"),
    ("resize(3, method='bilnear')", "'bilnear'; did you mean 'bilinear'"),
    ("resize(0)", "size is 0; it must be a whole number"),
    ("resize((3, 4, 5))", r"it must be a tuple of 2"),
    ("resize(open('x'))", "numbers, text or tuples"),
    ("resize(**{'size': 3})", r"\*\* is not supported"),
    ("os.remove('x')", "is not a call like"),
    ("resize(", "is not a call like"),
    ("random_flip(p=2)", r"p is 2; it must be a number in \[0, 1\]"),
    ("random_resized_crop(3, area=(1, 0.5))", "0 < low <= high"),
    ("random_apply('invrt', p=1)", "'invrt'; did you mean 'invert'"),
    ("random_apply('invert', p=2)", r"p is 2; it must be a number in \[0, 1\]"),
    ("randaugment", "did you mean.*'random_randaugment'"),
    ("autoaugment", "did you mean 'random_autoaugment'"),
    ("colour_jitter(0.4)", "did you mean 'random_color_jitter'"),
    (
      "random_color_jitter(hue=0.7)",
      r"hue is 0.7; it must be a number in \[0, 0.5\]",
    ),
    ("posterize(9)", "bits is 9; it must be a whole number"),
    ("posterize('4')", "bits is '4'; it must be a whole number"),
    ("solarize('4')", r"threshold is '4'; it must be a number in"),
    ("random_crop(9, padding=-1)", "padding is -1"),
    ("random_crop(9, padding=4, mode='reflct')", "did you mean 'reflect'"),
    ("pad(4, fill=3)", "fill 3 is for mode \"constant\", not 'edge'"),
    ("rotate(4, method='bilnear')", "did you mean 'bilinear'"),
    ("translate(x=4, unit='pixel')", "did you mean 'pixels'"),
    (
      "random_gaussian_blur((2, 1))",
      r"sigma is \(2.0, 1.0\); it must be 0 < low",
    ),
    (
      "rotate(4, fill=(0, 0, 256))",
      r"fill\[2\] is 256; it must be a whole number in \[0, 255\]",
    ),
  ],
)
def test_wrong_calls_are_explained(call, message):
  with pytest.raises(ValueError, match=message):
    make_host_transform((call,))
