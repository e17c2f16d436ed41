import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision import data
from jaxvision.data.transforms import device
from jaxvision.data.transforms.device import (
  Normalization,
  make_device_transform,
  normalize,
  to_pixels,
)

B, H, W, C = 64, 6, 5, 3


@pytest.fixture
def batch():
  rng = np.random.default_rng(0)
  return {
    "image": jnp.asarray(rng.normal(size=(B, H, W, C)), jnp.float32),
    "targets": jax.nn.one_hot(jnp.arange(B) % 4, 4),
    "mask": jnp.ones(B),
  }


def test_device_transforms_are_imported_on_first_use():
  assert data.normalize is normalize
  with pytest.raises(AttributeError, match="nothing"):
    _ = data.nothing


def test_normalize_is_the_formula():
  images = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 3), np.uint8)
  mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
  out = jax.jit(lambda x: normalize(x, Normalization(mean, std)))(images)
  assert out.dtype == jnp.float32
  np.testing.assert_allclose(out, (images / 255 - mean) / std, atol=1e-5)


def test_pixels_come_back():
  images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, -1)
  normalization = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
  back = to_pixels(np.asarray(normalize(images, normalization)), normalization)
  np.testing.assert_array_equal(back, images)
  outside = np.array([-9.0, 9.0]).reshape(1, 1, 2, 1)
  pixels = to_pixels(outside, Normalization((0.5,), (0.5,)))
  assert pixels.ravel().tolist() == [0, 255]


def test_one_mean_serves_all_channels():
  images = np.asarray([0, 255], np.uint8).reshape(1, 1, 1, 2)
  out = normalize(images, Normalization((0.5,), (0.5,)))
  np.testing.assert_allclose(out.ravel(), [-1, 1])


@pytest.mark.parametrize(
  ("mean", "std", "message"),
  [
    ((0.5, 0.5), (0.5,), "data.mean.*3 channels; give 1 or 3"),
    ((0.5,), (0.5, 0.5), "data.std"),
    ((0.5,), (0.0,), "must be positive"),
  ],
)
def test_normalize_refuses_other_lengths(mean, std, message):
  with pytest.raises(ValueError, match=message):
    normalize(jnp.zeros((1, 2, 2, 3), jnp.uint8), Normalization(mean, std))


def test_no_transform_is_the_identity(batch):
  out = make_device_transform(())(jax.random.key(0), batch)
  assert all((out[name] == batch[name]).all() for name in batch)


@pytest.mark.parametrize("mode", ["edge", "reflect", "zero"])
def test_random_crop_gives_windows_of_the_padded_image(batch, mode):
  crop = make_device_transform((f"random_crop(padding=1, mode={mode!r})",))
  out = np.asarray(crop(jax.random.key(1), batch)["image"])
  numpy_mode = {"zero": "constant"}.get(mode, mode)
  margins = ((0, 0), (1, 1), (1, 1), (0, 0))
  padded = np.pad(batch["image"], margins, mode=numpy_mode)
  seen = set()
  for image, wide in zip(out, padded, strict=True):
    offsets = [
      (top, left)
      for top in range(3)
      for left in range(3)
      if (image == wide[top : top + H, left : left + W]).all()
    ]
    assert len(offsets) == 1
    seen.update(offsets)
  assert len(seen) == 9


def test_random_flip_flips_each_image_on_its_own(batch):
  flip = make_device_transform(("random_flip",))
  images, flipped = batch["image"], 0
  for seed in range(8):
    out = flip(jax.random.key(seed), batch)["image"]
    same = (out == images).all((1, 2, 3))
    mirrored = (out == images[:, :, ::-1]).all((1, 2, 3))
    assert (same ^ mirrored).all()
    flipped += int(mirrored.sum())
  assert abs(flipped - 256) < 57  # five standard deviations


def test_quarter_turns_are_uniform_with_probability_p(batch):
  batch = {**batch, "image": batch["image"][:, :5]}
  turn = jax.jit(make_device_transform(("random_quarter_turn(p=0.8)",)))
  counts = np.zeros(4, int)
  for seed in range(8):
    out = turn(jax.random.key(seed), batch)["image"]
    same = [
      (out == jnp.rot90(batch["image"], k, axes=(1, 2))).all((1, 2, 3))
      for k in range(4)
    ]
    assert (sum(map(np.asarray, same)) == 1).all()
    counts += [int(each.sum()) for each in same]
  expected = 512 * np.array([0.4, 0.2, 0.2, 0.2])
  assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()


def test_quarter_turns_need_square_images(batch):
  turn = make_device_transform(("random_quarter_turn",))
  with pytest.raises(ValueError, match=r"needs square images.*6x5"):
    turn(jax.random.key(0), batch)


def test_transforms_in_a_chain_draw_apart(batch):
  once = make_device_transform(("random_flip",))
  twice = make_device_transform(("random_flip", "random_flip"))
  key = jax.random.key(0)
  assert (twice(key, batch)["image"] != batch["image"]).any()
  assert (twice(key, batch)["image"] != once(key, batch)["image"]).any()


def _on_one_and_eight_devices(calls, batch):
  transform = jax.jit(make_device_transform(calls))
  key = jax.random.key(3)
  mesh = jax.make_mesh(
    (8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,)
  )
  sharding = jax.NamedSharding(mesh, jax.P("data"))
  shared = transform(key, jax.device_put(batch, sharding))
  assert len(shared["image"].sharding.device_set) == 8
  return transform(key, batch), shared


@pytest.mark.matrix(every=5)
@pytest.mark.parametrize(
  "call",
  [
    "random_crop",
    "random_cutmix",
    "random_cutmix(per='example', partners='permutation')",
    "random_cutout(3)",
    "random_erasing",
    "random_erasing(fill='mean')",
    "random_flip",
    "random_mixup(0.5)",
    "random_mixup(0.5, groups=8)",
    "random_mixup(0.5, per='example', partners='permutation', groups=2)",
    "random_mixup_or_cutmix(per='example')",
  ],
)
def test_eight_devices_and_one_give_the_same(batch, call):
  """Equal up to rounding: a product may be rounded before it is added."""
  alone, shared = _on_one_and_eight_devices((call,), batch)
  assert (alone["image"] != batch["image"]).any()
  for name in ("image", "targets"):
    # Half of the last bit of 4.
    np.testing.assert_allclose(alone[name], shared[name], rtol=0, atol=5e-7)
  np.testing.assert_array_equal(alone["mask"], shared["mask"])


@pytest.mark.parametrize(
  "call", ["random_crop", "random_cutout(2)", "random_erasing", "random_flip"]
)
def test_targets_and_mask_pass_through(batch, call):
  out = make_device_transform((call,))(jax.random.key(0), batch)
  assert (out["targets"] == batch["targets"]).all()
  assert (out["mask"] == batch["mask"]).all()


@pytest.mark.matrix(every=7)
@pytest.mark.parametrize("name", device.TRANSFORMS)
def test_keeps_shapes_and_types_of_one_grey_image(name):
  argument = {"random_cutout": "(2)", "random_mixup": "(1.0)"}.get(name, "")
  width = 4 if name == "random_quarter_turn" else 7
  batch = {
    "image": jnp.ones((1, 4, width, 1)),
    "targets": jnp.eye(1, 3),
    "mask": jnp.ones(1),
  }
  out = make_device_transform((name + argument,))(jax.random.key(0), batch)
  assert {k: (v.shape, v.dtype) for k, v in out.items()} == {
    k: (v.shape, v.dtype) for k, v in batch.items()
  }


@pytest.mark.parametrize(
  ("call", "message"),
  [
    ("random_crp(4)", "unknown device transform.*'random_crop'"),
    ("random_crop(4)", "too many positional arguments"),
    ("random_crop(padding=0)", "must be a whole number at least 1"),
    ("random_crop(mode='black')", "mode is 'black'.*'zero'"),
    ("random_flip(p=-1)", r"p is -1; it must be a number in \[0, 1\]"),
    ("random_cutout", "missing a required argument: 'length'"),
    (
      "random_cutout(2.5)",
      "length is 2.5; it must be a whole number at least 1",
    ),
    ("random_cutout(2, p=2)", "p is 2; it must be a number in"),
    ("random_erasing(scale=(0.5, 0.1))", "scale is .*two increasing fractions"),
    (
      "random_erasing(ratio=(0, 1))",
      "ratio is .*0.0, 1.0.*two increasing positive numbers",
    ),
    ("random_erasing(ratio_law='log')", "ratio_law is 'log'.*'log_uniform'"),
    ("random_erasing(fill='black')", "fill is 'black'.*number or one of"),
    ("random_mixup(-1)", "alpha is -1; it must be a number at least 0"),
    ("random_mixup", "missing a required argument: 'alpha'"),
    ("random_mixup(1, per='elem')", "per is 'elem'.*'example'"),
    ("random_mixup(1, partners='next')", "partners is 'next'.*'mirror'"),
    (
      "random_cutmix(groups=0)",
      "groups is 0; it must be a whole number at least 1",
    ),
    ("random_cutmix(p=1.5)", "p is 1.5; it must be a number in"),
    (
      "random_mixup_or_cutmix(switch_prob=7)",
      "switch_prob is 7; it must be a number in",
    ),
    (
      "random_mixup_or_cutmix(0, 1)",
      "mixup_alpha is 0; it must be a number above 0",
    ),
  ],
)
def test_wrong_calls_are_explained(call, message):
  with pytest.raises(ValueError, match=message):
    make_device_transform((call,))
