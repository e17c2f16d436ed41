"""Fields of batches: delivered, padded, moved and encoded with their images."""

import contextlib
import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from jaxvision import data
from jaxvision.data import dataset as datasets

N, CODE = 11, 3
# The image shows its mask, so that both must move alike.
MASKS = np.random.default_rng(0).integers(0, 4, (N, 8, 9), np.uint8)
IMAGES = np.repeat(MASKS[..., None] * 60, 3, axis=3)
WANTED = {
  "image": ((6, 6, 3), np.uint8),
  "label": ((), np.int32),
  "mask": ((), np.float32),
  "segmentation_mask": ((6, 6, 1), np.uint8),
  "caption": ((CODE,), np.int32),
}
RANDOM = (
  "random_resized_crop(6, method='nearest')",
  "random_gaussian_noise(0.02)",
  "random_flip",
)


def encode(text):
  return np.asarray([len(text), *map(ord, text[: CODE - 1])], np.int32)


def file_of(pixels, kind="PNG", **options):
  file = io.BytesIO()
  Image.fromarray(pixels).save(file, kind, **options)
  return file.getvalue()


def open_split(images=IMAGES, masks=MASKS, captions=None):
  captions = captions or [f"{chr(97 + i)}." + "!" * i for i in range(N)]
  fields = {
    "segmentation_mask": datasets.Field("mask", lambda of: _take(masks, of)),
    "caption": datasets.Field("text", lambda of: _take(captions, of)),
  }
  return datasets.Dataset(
    name="toys",
    split="train",
    class_names=("a", "b"),
    num_examples=N,
    ids=lambda of: [f"toy{i}" for i in of],
    labels=lambda: np.arange(N) % 2,
    read=lambda of: [
      (each, i % 2) for each, i in zip(_take(images, of), of, strict=True)
    ],
    fields=lambda: fields,
  )


def _take(values, indices):
  for index in indices:
    if isinstance(values[index], OSError):
      raise values[index]
  return [values[index] for index in indices]


def make(split=None, *, encoders=None, wanted=WANTED, **options):
  options = {"batch_size": 4, "transforms": ("center_crop(6)",), **options}
  batches = data.make_batches(split or open_split(), **options)
  return batches.with_fields(wanted, encoders or {"caption": encode})


def assert_same(one, other):
  assert one.keys() == other.keys() == WANTED.keys()
  for name in one:
    np.testing.assert_array_equal(one[name], other[name])


def test_evaluation_delivers_fields_in_order_and_pads_them():
  batches = make()
  seen = [batches.at(step) for step in range(batches.num_batches)]
  kinds = {name: (each.shape, each.dtype) for name, each in seen[0].items()}
  assert kinds["segmentation_mask"] == ((4, 6, 6, 1), np.uint8)
  assert kinds["caption"] == ((4, CODE), np.int32)
  joined = {name: np.concatenate([b[name] for b in seen]) for name in WANTED}
  np.testing.assert_array_equal(
    joined["segmentation_mask"][:N, ..., 0], MASKS[:, 1:7, 1:7]
  )
  assert joined["caption"][:N, 1].tolist() == [97 + i for i in range(N)]
  assert not joined["segmentation_mask"][N:].any()
  assert not joined["caption"][N:].any() and not joined["mask"][N:].any()


def test_masks_move_with_their_images_and_images_are_as_without_fields():
  batches = make(transforms=RANDOM, seed=3)
  plain = data.make_batches(
    open_split(), batch_size=4, transforms=RANDOM, seed=3
  )
  for step in range(5):
    batch = batches.at(step)
    np.testing.assert_array_equal(batch["image"], plain.at(step)["image"])
    noise = batch["image"][..., :1] - 60.0 * batch["segmentation_mask"]
    assert np.abs(noise).max() < 60 / 2


@pytest.mark.parametrize("options", [{"threads": 0}, {"threads": 3}])
def test_any_step_is_the_same_again(options):
  batches = make(transforms=RANDOM, seed=3, **options)
  fresh = make(transforms=RANDOM, seed=3)
  with contextlib.closing(batches.iterate(2, 7)) as iterated:
    for step, batch in enumerate(iterated, 2):
      assert_same(batch, fresh.at(step))


def test_two_worker_processes_fill_the_same_batches():
  batches = make(transforms=RANDOM, seed=3)
  spread = make(transforms=RANDOM, seed=3, workers=2)
  with contextlib.closing(spread.iterate(1, 4)) as iterated:
    for step, batch in enumerate(iterated, 1):
      assert_same({k: v.copy() for k, v in batch.items()}, batches.at(step))


def test_a_split_stays_on_the_device_with_its_fields():
  batches = make()
  kept = batches.resident()
  assert len(kept["caption"]) == N + 1 and not kept["caption"][N].any()
  indices = batches.indices(2)
  assert_same({k: v[indices] for k, v in kept.items()}, batches.at(2))


@pytest.mark.parametrize(
  "transforms", [("center_crop(6)",), RANDOM, ("random_flip", "resize(6)")]
)
def test_fields_of_small_splits_are_kept_as_images_are(transforms):
  seed = 1 if "random" in transforms[0] else None
  files = [file_of(each) for each in IMAGES]
  masks = [file_of(each) for each in MASKS]
  batches = make(open_split(files, masks), transforms=transforms, seed=seed)
  first = batches.at(0)
  assert batches.examples.cache
  assert_same(batches.at(0), first)


@pytest.mark.parametrize(
  "call",
  ["random_resized_crop(8)", "random_crop(40)", "resize(32)", "center_crop(8)"],
)
def test_masks_of_jpegs_follow_the_part_that_is_decoded(call):
  columns = np.linspace(0, 255, 96, dtype=np.uint8)
  ramp = np.broadcast_to(columns, (64, 96))
  split = open_split(
    [file_of(np.stack([ramp] * 3, 2), "JPEG", quality=100)] * N,
    [file_of(ramp.copy())] * N,
  )
  batches = make(split, transforms=(call, "random_flip"), seed=0)
  plain = data.make_batches(
    split, batch_size=4, transforms=(call, "random_flip"), seed=0
  )
  for step in range(3):
    batch = batches.at(step)
    np.testing.assert_array_equal(batch["image"], plain.at(step)["image"])
    image = batch["image"].mean(3, keepdims=True)
    # A reduced decoding shifts by less than a pixel of the result.
    slope = np.abs(np.diff(image, axis=2)).max() + 3
    assert np.abs(image - batch["segmentation_mask"]).max() <= slope


def test_an_unreadable_mask_makes_its_image_unreadable(caplog):
  masks = [*MASKS[:3], OSError("disk on fire"), b"no PNG", *MASKS[5:]]
  batches = make(open_split(masks=masks), max_unreadable=0.5)
  assert batches.at(0)["mask"].tolist() == [1, 1, 1, 0]
  assert batches.at(1)["mask"].tolist() == [0, 1, 1, 1]
  assert "toy3: disk on fire" in caplog.text
  assert "toy4: a mask that cannot be read: it is no PNG" in caplog.text
  trained = make(
    open_split(masks=masks), max_unreadable=0.5, seed=0, batch_size=N
  )
  batch = trained.at(0)
  assert batch["mask"].all()
  np.testing.assert_array_equal(
    batch["image"][..., :1], 60 * batch["segmentation_mask"]
  )
  with pytest.raises(data.UnreadableImage, match="2 of 11 images"):
    broken = make(open_split(masks=masks), max_unreadable=0.1)
    broken.at(0), broken.at(1)


def test_without_fields_nothing_is_asked():
  def refuse():
    raise AssertionError

  split = datasets.join([(open_split(), 0, N)], split="train")
  split = datasets.relabel(split, class_names=("b", "a"))
  assert list(split.fields()) == ["segmentation_mask", "caption"]
  plain = data.make_batches(
    dataclasses.replace(split, fields=refuse), batch_size=4
  )
  asked = {name: WANTED[name] for name in ("image", "label", "mask")}
  assert plain.with_fields(asked) is plain


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    (
      {"wanted": {"captoin": ((), np.int32)}},
      "field 'captoin', which toys .train. does not have; it has "
      "segmentation_mask, caption; did you mean 'caption'",
    ),
    (
      {"encoders": {"title": encode}},
      "'caption' is text.* give the task encode=",
    ),
    (
      {"encoders": {"caption": encode, "segmentation_mask": encode}},
      r"uint8\[6, 6, 1\] and an encode for it; expected",
    ),
    (
      {"wanted": {"segmentation_mask": ((6, 6), np.uint8)}},
      r"is a mask, and task\.batch has uint8\[6, 6\]; expected",
    ),
    (
      {"wanted": {"segmentation_mask": ((6, 6, 1), np.float32)}},
      r"task\.batch has float32\[6, 6, 1\]; expected \(\(height",
    ),
  ],
)
def test_what_cannot_be_asked_is_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    make(**changes)


def test_what_the_encoder_makes_must_be_what_the_batch_has():
  wrong = make(encoders={"caption": lambda text: encode(text)[:2]})
  message = r"toy0: task\.encode made int32\[2\] of the caption 'a\.'; .*\[3\]"
  with pytest.raises(ValueError, match=message):
    wrong.at(0)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_mask_of_another_size_is_named(kind):
  images = [file_of(each, kind) for each in IMAGES]
  masks = [*MASKS[:1], *MASKS[1:, :7]]
  message = "toy1: the segmentation_mask is 7x9 pixels, but its image is 8x9"
  with pytest.raises(ValueError, match=message):
    make(open_split(images, masks)).at(0)


@pytest.mark.parametrize(
  ("mask", "message"),
  [
    (np.zeros((8, 9, 2), np.uint8), r"uint8\[8, 9, 2\]; expected uint8 of"),
    (np.zeros((8, 9), np.int64), r"int64\[8, 9\]; expected uint8"),
  ],
)
def test_arrays_that_are_no_masks_are_named(mask, message):
  with pytest.raises(ValueError, match=message):
    make(open_split(masks=[mask] * N)).at(0)


def test_a_field_is_a_mask_or_a_text():
  with pytest.raises(ValueError, match="kind 'image'; expected one of mask"):
    data.Field("image", lambda of: [])


def masked_npz(tmp_path, masks):
  """Images of one grey each, and their masks."""
  images = np.repeat(np.arange(1, len(masks) + 1, dtype=np.uint8), 16)
  path = tmp_path / "masked.npz"
  np.savez(
    path,
    images=images.reshape(-1, 4, 4, 1),
    labels=np.arange(len(masks)) % 2,
    segmentation_masks=masks,
  )
  source = data.Source(kind="npz", name=str(path))
  return data.open_dataset(source, "train")


def test_a_transform_gets_the_mask_that_no_task_asks_for(tmp_path):
  masks = np.zeros((4, 4, 4), np.uint8)
  masks[:, 1:3, 2] = 255
  split = masked_npz(tmp_path, masks)
  batches = data.make_batches(
    split, batch_size=4, transforms=("only_fg",), channels=1
  )
  asked = batches.with_fields(
    {"segmentation_mask": ((4, 4, 1), "uint8")}, encode={}
  )
  for each, names in (
    (batches, {"image", "label", "mask"}),
    (asked, {"image", "label", "mask", "segmentation_mask"}),
    (asked.with_fields({}, encode={}), {"image", "label", "mask"}),
  ):
    batch = each.at(0)
    assert batch.keys() == names
    values = sorted(int(image.max()) for image in batch["image"])
    assert values == [1, 2, 3, 4]
    assert (batch["image"] > 0).sum() == 4 * 2
    assert (batch["image"][:, 1:3, 2] > 0).all()
    assert each.resident().keys() == names


def test_an_image_without_foreground_counts_as_unreadable(tmp_path):
  masks = np.full((8, 4, 4), 255, np.uint8)
  masks[3] = 0
  split = masked_npz(tmp_path, masks)
  images, _ = zip(*split.read(range(8)), strict=True)
  empty = [int(image[0, 0, 0]) for image in images].index(4)
  batches = data.make_batches(
    split,
    batch_size=8,
    transforms=("random_flip", "only_fg"),
    channels=1,
    seed=0,
    max_unreadable=0.2,
  )
  for step in range(4):  # from the file, and later from the cache
    batch = batches.at(step)
    assert batch["mask"].all() and 4 not in batch["image"]
  assert list(batches.unreadable) == [empty]


def test_a_transform_needs_a_mask_that_the_data_have(tmp_path):
  path = tmp_path / "plain.npz"
  np.savez(path, images=np.zeros((2, 4, 4, 1), np.uint8), labels=[0, 1])
  split = data.open_dataset(data.Source(kind="npz", name=str(path)), "train")
  message = "a transform needs the field 'segmentation_mask'"
  with pytest.raises(ValueError, match=message):
    data.make_batches(split, batch_size=2, transforms=("no_fg",), channels=1)
