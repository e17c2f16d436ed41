"""Tests of jaxvision.data.transforms.device.mixing."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxvision import losses
from jaxvision.data.transforms.device import make_device_transform

B, H, W, C = 32, 8, 6, 3
MIXTURES = ("random_mixup(1.0", "random_cutmix(1.0", "random_mixup_or_cutmix(")


@pytest.fixture
def batch():
  """Every example is a separate class, and its pixels are its number."""
  image = jnp.broadcast_to(
    jnp.arange(1.0, B + 1).reshape(-1, 1, 1, 1), (B, H, W, C)
  )
  return {"image": image, "targets": jnp.eye(B), "mask": jnp.ones(B)}


@functools.cache
def _compiled(call):
  return jax.jit(make_device_transform((call,)))


def _mixed(call, batch, seed=0):
  out = _compiled(call)(jax.random.key(seed), batch)
  return {name: np.asarray(value) for name, value in out.items()}


def _partners(targets):
  """(b,): the partner of each example, from its target; itself without one."""
  own = np.eye(B, dtype=bool)
  others = np.where(own, 0, targets)
  return np.where(others.max(1) > 0, others.argmax(1), np.arange(B))


def _shares(call, count, *, images=2, shape=(1, 1)):
  """(count,): the fraction of its target that example 0 keeps, by key."""
  mix = make_device_transform((call,))
  batch = {
    "image": jnp.zeros((images, *shape, 1)),
    "targets": jnp.eye(images),
    "mask": jnp.ones(images),
  }
  keys = jax.random.split(jax.random.key(1), count)
  return np.asarray(
    jax.jit(jax.vmap(lambda key: mix(key, batch)["targets"][0, 0]))(keys),
    np.float64,
  )


def test_mixup_blends_images_and_targets_by_one_share(batch):
  rng = np.random.default_rng(0)
  images = rng.normal(size=(B, H, W, C)).astype(np.float32)
  for seed in range(5):
    out = _mixed("random_mixup(1.0)", {**batch, "image": images}, seed)
    share = out["targets"][0, 0]
    assert 0 < share < 1
    for name, given in (("image", images), ("targets", np.eye(B))):
      expected = share * given + (1 - share) * given[::-1]
      np.testing.assert_allclose(out[name], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.1, 0.8, 1.0, 3.0])
def test_the_share_of_mixup_is_of_a_beta_distribution(alpha):
  shares = _shares(f"random_mixup({alpha})", 4000)
  # Numbers near 1 are rounded, and the law is symmetric: look at one half.
  law = scipy.stats.beta(alpha, alpha)
  small = shares[shares < 0.5]
  assert abs(len(small) - 2000) < 5 * np.sqrt(1000)
  test = scipy.stats.kstest(small, lambda x: 2 * law.cdf(x))
  assert test.pvalue > 0.01


def test_no_mixup_is_the_identity(batch):
  mix = make_device_transform(("random_mixup(0)",))
  out = mix(jax.random.key(0), batch)
  assert all(out[name] is batch[name] for name in batch)


@pytest.mark.parametrize("seed", range(6))
def test_cutmix_pastes_a_box_and_weighs_targets_by_its_area(batch, seed):
  out = _mixed("random_cutmix(per='example')", batch, seed)
  given = np.asarray(batch["image"])
  for i in range(B):
    pasted = (out["image"][i] != given[i]).any(-1)
    kept = out["targets"][i, i]
    assert kept == pytest.approx(1 - pasted.mean(), abs=1e-6)
    rows, columns = pasted.any(1), pasted.any(0)
    np.testing.assert_array_equal(pasted, np.outer(rows, columns))
    for side in (rows, columns):
      assert np.count_nonzero(np.diff(np.r_[0, side, 0])) in (0, 2)
    assert (out["image"][i][pasted] == given[B - 1 - i, 0, 0, 0]).all()


def _paper_cutmix(rng, count, height, width):
  """The fraction that is kept: equations 1 and 2 of the paper, box by box."""
  shares = []
  for share in rng.uniform(size=count):
    covered = 1
    for size in (height, width):
      length = int(size * np.sqrt(1 - share))
      start = rng.integers(size) - length // 2
      covered *= min(start + length, size) - max(start, 0)
    shares.append(1 - covered / (height * width))
  return np.array(shares)


def test_cutmix_has_the_areas_of_the_paper():
  found = _shares("random_cutmix(1.0)", 4000, shape=(50, 70))
  paper = _paper_cutmix(np.random.default_rng(0), 20000, 50, 70)
  assert scipy.stats.ks_2samp(found, paper).pvalue > 0.01


def test_cutmix_boxes_are_clipped_at_the_border():
  """A side s loses s^2 / 4 of 1, so the area is 1/2 - 1/5 + 1/48 on average."""
  found = 1 - _shares("random_cutmix(1.0)", 10000, shape=(1000, 1000))
  error = found.std() / np.sqrt(len(found))
  # Sides are rounded down by half a pixel of a thousand on average.
  assert abs(found.mean() - (1 / 2 - 1 / 5 + 1 / 48)) < 5 * error + 1e-3


@pytest.mark.matrix(every=3)
@pytest.mark.parametrize("partners", ["mirror", "permutation"])
@pytest.mark.parametrize("per", ["batch", "example"])
@pytest.mark.parametrize("call", MIXTURES)
def test_the_mass_of_labels_is_conserved(batch, call, per, partners):
  options = f"per={per!r}, partners={partners!r}, groups=2)"
  given = {**batch, "targets": jax.nn.softmax(jnp.sin(jnp.eye(B) * 7))}
  for seed in range(3):
    out = _mixed(f"{call}, {options}".replace("(,", "("), given, seed)
    assert (out["targets"] >= 0).all()
    np.testing.assert_allclose(out["targets"].sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize("call", MIXTURES)
def test_images_and_targets_agree(batch, call):
  """The mean pixel is the expectation of the examples' numbers."""
  options = "per='example', partners='permutation')"
  out = _mixed(f"{call}, {options}".replace("(,", "("), batch)
  numbers = out["targets"] @ np.arange(1, B + 1)
  np.testing.assert_allclose(out["image"].mean((1, 2, 3)), numbers, rtol=1e-5)


@pytest.mark.matrix(every=3)
@pytest.mark.parametrize("partners", ["mirror", "permutation"])
@pytest.mark.parametrize("call", MIXTURES)
def test_masked_examples_are_not_mixed_in(batch, call, partners):
  masked = np.arange(B) % 3 == 1
  shape = (-1, 1, 1, 1)
  given = {
    "image": jnp.where(masked.reshape(shape), jnp.nan, batch["image"]),
    "targets": jnp.where(masked.reshape(-1, 1), jnp.nan, batch["targets"]),
    "mask": jnp.asarray(~masked, jnp.float32),
  }
  options = f"partners={partners!r})"
  call = f"{call}, {options}".replace("(,", "(")
  out, clean = _mixed(call, given, seed=2), _mixed(call, batch, seed=2)
  lonely = masked[_partners(clean["targets"])] & ~masked
  assert lonely.any()
  for name in ("image", "targets"):
    assert np.isfinite(out[name][~masked]).all()
    np.testing.assert_array_equal(out[name][lonely], batch[name][lonely])
    paired = ~masked & ~lonely
    np.testing.assert_allclose(out[name][paired], clean[name][paired])


@pytest.mark.parametrize("partners", ["mirror", "permutation"])
def test_partners_are_of_one_group(batch, partners):
  call = f"random_mixup(1.0, partners={partners!r}, groups=4)"
  found = _partners(_mixed(call, batch)["targets"])
  groups = np.arange(B) // 8
  np.testing.assert_array_equal(groups[found], groups)
  np.testing.assert_array_equal(np.sort(found), np.arange(B))


def test_a_permutation_makes_every_pair_equally_often(batch):
  call = "random_mixup(1.0, partners='permutation')"
  mix = make_device_transform((call,))
  keys = jax.random.split(jax.random.key(2), 3200)
  run = jax.jit(jax.vmap(lambda key: mix(key, batch)["targets"]))
  counts = np.zeros((B, B))
  for targets in np.array_split(np.asarray(run(keys)), 4):
    for each in targets:
      counts[np.arange(B), _partners(each)] += 1
  assert scipy.stats.chisquare(counts.ravel()).pvalue > 0.01


def test_groups_must_divide_the_batch(batch):
  mix = make_device_transform(("random_mixup(1.0, groups=5)",))
  with pytest.raises(ValueError, match=r"groups is 5.*the batch of 32"):
    mix(jax.random.key(0), batch)


@pytest.mark.parametrize(
  ("call", "numbers"),
  [
    ("random_mixup(1.0)", 1),
    ("random_mixup(1.0, per='example')", B),
    ("random_cutmix(1.0, per='example')", 10),  # areas may be the same
  ],
)
def test_shares_are_of_the_batch_or_of_each_example(batch, call, numbers):
  kept = np.diagonal(_mixed(call, batch)["targets"])
  assert len(np.unique(kept)) >= numbers
  assert numbers > 1 or len(np.unique(kept)) == 1


@pytest.mark.parametrize("per", ["batch", "example"])
def test_probability_and_switch(batch, per):
  """Per batch all or none are mixed, per example each independently."""
  options = f"p=0.6, switch_prob=0.25, per={per!r}"
  mix = make_device_transform((f"random_mixup_or_cutmix({options})",))
  keys = jax.random.split(jax.random.key(3), 1000 if per == "batch" else 50)
  outs = jax.jit(jax.vmap(lambda key: mix(key, batch)))(keys)
  images, given = np.asarray(outs["image"]), np.asarray(batch["image"])
  flat = images.reshape(len(keys), B, -1)
  pasted = np.isin(flat, given[:, 0, 0, 0]).all(-1)
  cut = pasted & (flat != given.reshape(B, -1)).any(-1)
  blended = ~pasted
  # A box may have no pixel at all, so count the blends.
  share = 0.6 * 0.75
  trials = 1000 if per == "batch" else 50 * B
  found = blended[:, 0].sum() if per == "batch" else blended.sum()
  spread = 5 * np.sqrt(share * (1 - share) * trials)
  assert abs(found - share * trials) < spread
  assert 0 < cut.mean() <= 0.6 * 0.25 + 5 * np.sqrt(0.15 * 0.85 / trials)
  if per == "batch":
    assert (blended.all(1) == blended.any(1)).all()


def test_label_smoothing_composes_with_mixtures(batch):
  """The loss of a mixture is the mixture of the smoothed labels' losses."""
  out = _mixed("random_cutmix(per='example')", batch)
  loss = losses.create("softmax", label_smoothing=0.1)
  logits = jax.random.normal(jax.random.key(0), (B, B))
  partner = _partners(out["targets"])
  kept = np.diagonal(out["targets"])
  own, other = loss(logits, jnp.eye(B)), loss(logits, jnp.eye(B)[partner])
  np.testing.assert_allclose(
    loss(logits, out["targets"]), kept * own + (1 - kept) * other, rtol=1e-5
  )


def _collectives(call, batch):
  mesh = jax.make_mesh(
    (8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,)
  )
  sharding = jax.NamedSharding(mesh, jax.P("data"))
  transform = jax.jit(make_device_transform((call,)), out_shardings=sharding)
  shared = jax.device_put(batch, sharding)
  text = transform.lower(jax.random.key(0), shared).compile().as_text()
  names = "all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter"
  return set(re.findall(rf" ({names})\(", text))


@pytest.mark.matrix(every=4)
@pytest.mark.parametrize("options", ["", ", per='example'"])
@pytest.mark.parametrize("partners", ["mirror", "permutation"])
def test_a_group_on_each_device_sends_nothing(batch, partners, options):
  call = f"random_mixup_or_cutmix(partners={partners!r}{options}"
  assert _collectives(f"{call})", batch)
  assert not _collectives(f"{call}, groups=8)", batch)
