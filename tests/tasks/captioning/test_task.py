"""Tests of the loss and of the draws of the task of captioning."""

import captioned_squares
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvision import data, models, parallel
from jaxvision.tasks import captioning


@pytest.fixture(scope="module")
def path(tmp_path_factory):
  folder = tmp_path_factory.mktemp("squares")
  return captioned_squares.write(folder / "data.npz")


def _random(parts):
  """The variables of a run, random also where they start at zero."""
  variables = parts.init().variables
  head = variables["params"]["decoder"]["head"]
  head["kernel"] = jax.random.normal(jax.random.key(5), head["kernel"].shape)
  return variables


def _losses(parts, variables, texts, images):
  """The negative log probability of each word, by numpy."""
  pixels = data.normalize(images, parts.normalization)
  logits = _logits(parts, variables, pixels, texts)
  log_p = np.asarray(jax.nn.log_softmax(logits))
  rows = np.indices(texts.shape)
  return -log_p[(*rows, texts)]


def _logits(parts, variables, pixels, texts):
  """The logits, from the parts of the network applied one by one."""
  params = variables["params"]
  of_images = captioning.encoder.make(parts.model, image_shape=(16, 16, 1))
  memory, _ = of_images.tokens(
    {"params": params["encoder"]}, pixels, train=False
  )
  decoder = models.caption_decoder.CaptionDecoder(
    num_words=params["decoder"]["head"]["bias"].shape[0],
    memory_width=32,
    length=texts.shape[1],
    width=16,
    depth=1,
    mlp_dim=64,
    num_heads=2,
  )
  return decoder.apply(
    {"params": params["decoder"]}, memory, texts, train=False
  )


def test_the_loss_is_the_mean_over_all_words_of_examples_that_count(path):
  parts = captioned_squares.prepare(path)
  variables = _random(parts)
  batch = {k: np.array(v) for k, v in parts.batches["train"].at(0).items()}
  batch["mask"][3:5] = 0
  loss, (_, sums) = jax.jit(parts.task.loss)(
    variables["params"], {}, batch, jax.random.key(0)
  )
  texts = batch["caption"][:, 0]
  found = _losses(parts, variables, texts, batch["image"])
  counts = (texts != 0) & (batch["mask"] > 0)[:, None]
  assert 0 < counts.sum() < counts.size
  assert loss == pytest.approx(found[counts].mean(), rel=1e-5)
  assert sums["count"] == counts.sum()
  assert sums["loss"] == pytest.approx(found[counts].sum(), rel=1e-5)


@pytest.mark.matrix(every=3)
@pytest.mark.parametrize(("captions", "length"), [(1, 4), (2, 6), (1, 6)])
def test_the_evaluated_loss_counts_the_first_captions_of_every_image_once(
  path, captions, length
):
  """21 images of 2 captions, in batches of 16: the last batch is padded."""
  parts = captioned_squares.prepare(
    path, task__options__captions=captions, task__options__length=length
  )
  variables = _random(parts)
  total, images, texts = None, [], []
  for batch in parts.batches["validation"].iterate(0, 2):
    on_devices = parallel.put_batch(batch, parts.mesh)
    sums, outputs = jax.device_get(
      jax.jit(parts.task.evaluate)(variables, on_devices)
    )
    total = sums if total is None else parts.task.merge(total, sums)
    rows = batch["mask"] > 0
    images.append(batch["image"][rows])
    texts.append(batch["caption"][rows])
  images, texts = np.concatenate(images), np.concatenate(texts)
  assert len(images) == 21
  assert texts.shape == (21, captions, length)
  losses = [
    _losses(parts, variables, texts[:, i], images)[texts[:, i] != 0]
    for i in range(captions)
  ]
  metrics = parts.task.finish(total)
  every = np.concatenate(losses)
  assert metrics["loss"] == pytest.approx(every.mean(), rel=1e-5)
  assert metrics["perplexity"] == pytest.approx(np.exp(every.mean()), rel=1e-5)
  assert tuple(metrics) == tuple(parts.task.measured)
  # The attention of a word is a distribution over the tokens of the image.
  np.testing.assert_allclose(outputs[..., 2:].sum(-1), 1, rtol=1e-5)


@pytest.mark.matrix("0.5")
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_masked_share_decides_which_inputs_are_words(path, share):
  """The rows of the embedding with a gradient are the inputs of the loss."""
  parts = captioned_squares.prepare(path, task__options__masked_share=share)
  params = _random(parts)["params"]
  batch = parts.batches["train"].at(0)
  gradients = jax.jit(
    lambda params: jax.grad(parts.task.loss, has_aux=True)(
      params, {}, batch, jax.random.key(0)
    )[0]
  )(params)
  rows = gradients["decoder"]["embedding"]["embedding"]
  used = set(np.flatnonzero(np.abs(rows).max(-1)).tolist())
  words = {0, *batch["caption"][:, 0, :-1].ravel().tolist()} - {1}
  mask = parts.template.params["decoder"]["head"]["bias"].shape[0]
  assert used <= words | {mask}
  assert (mask in used, bool(used & words)) == (share > 0, share < 1)


@pytest.mark.slow
def test_a_larger_beam_finds_more_probable_captions(path):
  images = jax.random.normal(jax.random.key(0), (32, 16, 16, 1))
  found = []
  for beam in (1, 4):
    parts = captioned_squares.prepare(path, task__options__beam=beam)
    outputs = jax.jit(parts.task.outputs)(_random(parts), images)
    found.append(outputs[..., 1].sum())
  assert found[1] > found[0] + 1


def test_each_step_draws_one_of_the_captions_that_an_image_has():
  captions = jnp.asarray([[[3, 1], [4, 1], [0, 0]], [[5, 1], [0, 0], [0, 0]]])
  draws = jax.vmap(captioning.draw_captions, (0, None))(
    jax.random.split(jax.random.key(0), 200), captions
  )
  assert draws.shape == (200, 2, 2)
  assert {tuple(each) for each in draws[:, 1].tolist()} == {(5, 1)}
  share = (draws[:, 0, 0] == 3).mean()
  assert 0.4 < share < 0.6 and set(draws[:, 0, 0].tolist()) == {3, 4}


def test_a_missing_field_and_an_empty_caption_are_refused(path, tmp_path):
  with np.load(path) as arrays:
    kept = dict(arrays)
  empty = {**kept, "train_captions": kept["train_captions"].copy()}
  empty["train_captions"][7] = " ."
  np.savez(tmp_path / "empty.npz", **empty)
  with pytest.raises(ValueError, match=r"train/7: the caption.*has no word"):
    captioned_squares.prepare(tmp_path / "empty.npz")
  empty = {**kept, "validation_captions": kept["validation_captions"].copy()}
  empty["validation_captions"][20] = "?"
  np.savez(tmp_path / "empty.npz", **empty)
  with pytest.raises(
    ValueError, match=r"data\.validation, validation/20: the caption"
  ):
    captioned_squares.prepare(tmp_path / "empty.npz")
  without = {k: v for k, v in kept.items() if "caption" not in k}
  np.savez(tmp_path / "without.npz", **without)
  with pytest.raises(ValueError, match="asks for the field 'caption'"):
    captioned_squares.prepare(tmp_path / "without.npz")


@pytest.mark.parametrize("split", ["train", "test"])
def test_captions_that_are_too_large_are_refused_before_the_training(
  path, tmp_path, split
):
  with np.load(path) as arrays:
    kept = dict(arrays)
  texts = kept[f"{split}_captions"].tolist()
  texts[3] = "a square " * 20
  np.savez(tmp_path / "long.npz", **{**kept, f"{split}_captions": texts})
  with pytest.raises(
    ValueError, match=rf"{split}/3: the captions .*text_bytes is 128; increase"
  ):
    captioned_squares.prepare(tmp_path / "long.npz")


def test_options_that_do_not_fit_are_refused(path):
  with pytest.raises(ValueError, match="captions cannot be mixed"):
    captioned_squares.prepare(
      path, data__device_transforms=("random_mixup(0.2)",)
    )
  with pytest.raises(
    ValueError, match=r"layer_decay is 0\.5, but the task capt"
  ):
    captioned_squares.prepare(path, optimizer__layer_decay=0.5)
  with pytest.raises(FileNotFoundError, match=r"none\.model"):
    captioned_squares.prepare(path, task__options__vocabulary="none.model")
  with pytest.raises(ValueError, match=r"length is 1.*at least 2"):
    captioned_squares.prepare(path, task__options__length=1)
