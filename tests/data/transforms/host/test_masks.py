"""Masks move exactly as their images do."""

import numpy as np
import pytest

from jaxvision.data.transforms.host import (
  GEOMETRY,
  TRANSFORMS,
  VALUES,
  make_host_transform,
  operations,
)

MASK = np.random.default_rng(1).integers(0, 4, (30, 40, 1), np.uint8)
IMAGE = np.repeat(MASK, 3, axis=2) * 60 + 20

# Each transform of geometry, as it would move values that must not be blended.
MOVES = (
  "center_crop(16)",
  "pad(3, mode='constant')",
  "pad(3, mode='reflect')",
  "random_crop(16)",
  "random_crop(16, padding=4, mode='constant')",
  "random_flip",
  "random_resized_crop(16, method='nearest')",
  "random_rotation(30)",
  "random_translation(x=0.2, y=0.2)",
  "resize((15, 50), method='nearest')",
  "resize_small(16, method='nearest')",
  "rotate(45)",
  "shear(x=0.3, y=-0.1)",
  "translate(x=0.1, y=-0.2)",
)
# Each other transform, with what it may draw.
CHANGES = (
  "random_color_jitter(brightness=0.4, contrast=0.4)",
  "random_gaussian_noise(0.1)",
  "random_cutout(7)",
  "random_gaussian_blur",
  "random_3augment",
  "random_apply('invert', p=0.5)",
  "grayscale",
)


def rng(seed=0):
  return np.random.default_rng(seed)


def together(calls, seed=0, mask=MASK):
  chain = make_host_transform(calls).with_moves()
  image, (moved,) = chain.together(rng(seed), IMAGE, [mask])
  np.testing.assert_array_equal(image, chain(rng(seed), IMAGE))
  return image, moved


def test_every_transform_moves_pixels_or_changes_values_or_applies_others():
  others = {"random_apply", "random_autoaugment", "random_randaugment"}
  others |= {"random_trivialaugment"}
  assert {*GEOMETRY, *VALUES, *others} == set(TRANSFORMS)
  assert not GEOMETRY.keys() & VALUES.keys()
  assert {call.split("(")[0] for call in MOVES} == set(GEOMETRY)


@pytest.mark.parametrize("call", MOVES)
def test_a_mask_moves_as_an_image_of_its_values_would(call):
  for seed in range(6):
    _, moved = together((call,), seed)
    expected = make_host_transform((call,))(rng(seed), MASK)
    np.testing.assert_array_equal(moved, expected)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("move", ["random_resized_crop(16)", "random_flip"])
def test_transforms_that_draw_do_not_shift_the_numbers_of_others(change, move):
  for seed in range(4):
    _, moved = together((change, move), seed)
    drawn = rng(seed)
    make_host_transform((change,))(drawn, IMAGE)
    nearest = move.replace("(16)", "(16, method='nearest')")
    expected = make_host_transform((nearest,))(drawn, MASK)
    np.testing.assert_array_equal(moved, expected)


@pytest.mark.parametrize(
  "call",
  [
    "resize((15, 50), method='bicubic')",
    "resize_small(17)",
    "random_resized_crop(16, method='bilinear_antialiased')",
    "rotate(30, method='bilinear', fill=(9, 9, 9))",
    "random_rotation(30, method='bilinear', fill=77)",
    "pad(5, mode='constant', fill=200)",
    "random_crop(16, padding=4, mode='constant', fill=200)",
    "random_randaugment(3, magnitude=10, fill=128)",
    "random_autoaugment('svhn')",
    "random_trivialaugment(fill=99)",
  ],
)
def test_values_are_neither_blended_nor_added(call):
  for seed in range(12):
    image, moved = together((call,), seed)
    assert set(np.unique(moved)) <= set(range(4))
    assert moved.shape == (*image.shape[:2], 1)


# random_lighting refuses these images; the others need their mask.
OTHERS = {"random_lighting", "no_fg", "only_bg_b", "only_bg_t", "only_fg"}


@pytest.mark.parametrize("call", sorted(VALUES.keys() - OTHERS))
def test_values_that_change_leave_the_mask(call):
  needed = {"hue": "(0.1)", "random_salt_and_pepper": "(0.1)"}
  needed |= dict.fromkeys(("brightness", "contrast", "saturation"), "(1.7)")
  needed |= dict.fromkeys(("sharpness", "gaussian_blur"), "(1.5)")
  needed |= {"posterize": "(3)", "solarize_add": "(90)"}
  needed |= {"random_cutout": "(7)", "random_gaussian_noise": "(0.1)"}
  needed |= {"random_color_jitter": "(brightness=0.4)"}
  _, moved = together((call + needed.get(call, ""),))
  assert moved is MASK


def test_policies_move_by_the_operations_that_move_pixels():
  drawn = [("solarize", 100), ("rotate", 30), ("invert", 0), ("shear_x", 0.2)]
  policy = operations.Drawn(lambda _: drawn, fill=128)
  expected = operations.apply(rng(), MASK, [drawn[1], drawn[3]], 0)
  np.testing.assert_array_equal(policy.move_mask(rng(), MASK), expected)
  assert (expected != MASK).any()


def test_a_transform_that_is_applied_sometimes_moves_the_mask_then():
  moved = [
    together(("random_apply('rotate(180)', p=0.5)",), seed)
    for seed in range(20)
  ]
  turned = [(image != IMAGE).any() for image, _ in moved]
  assert any(turned) and not all(turned)
  for was, (_, mask) in zip(turned, moved, strict=True):
    expected = MASK[::-1, ::-1] if was else MASK
    np.testing.assert_array_equal(mask, expected)


def test_a_soft_mask_keeps_its_values():
  soft = np.arange(1200, dtype=np.int64).reshape(30, 40, 1) % 251
  soft = soft.astype(np.uint8)
  _, moved = together(("random_resized_crop(64)", "random_flip"), mask=soft)
  assert moved.shape == (64, 64, 1) and set(np.unique(moved)) <= {
    *np.unique(soft)
  }


OWN = """
import numpy as np


def random_shift(pixels: int = 1):
  def transform(rng, image):
    return np.roll(image, rng.integers(-pixels, pixels + 1, 2), axis=(0, 1))

  return transform


def random_moved(pixels: int = 1):
  transform = random_shift(pixels)
  transform.move_mask = random_shift(pixels)
  return transform


def random_wrong():
  transform = random_shift()
  transform.move_mask = lambda rng, mask: mask.astype(float)
  return transform
"""


def test_transforms_of_the_users_own_say_how_they_move_masks(tmp_path):
  path = tmp_path / "my_aug.py"
  path.write_text(OWN)
  image, moved = together((f"{path}:random_moved(pixels=5)", "random_flip"))
  np.testing.assert_array_equal(moved[..., 0] * 60 + 20, image[..., 0])
  message = r"my_aug\.py:random_shift\S* cannot move a mask.* move_mask"
  with pytest.raises(ValueError, match=message):
    together((f"{path}:random_shift(pixels=5)",))
  with pytest.raises(ValueError, match="cannot move a mask"):
    together((f"random_apply('{path}:random_shift', p=0.5)",))
  with pytest.raises(TypeError, match="random_wrong made float64"):
    together((f"{path}:random_wrong",))
