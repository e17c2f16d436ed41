import io

import numpy as np
import pytest
from PIL import Image

from jaxvision.data import dataset as datasets
from jaxvision.data import decoding
from jaxvision.data.batches import examples, filling
from jaxvision.data.transforms import host


def png(value):
  file = io.BytesIO()
  Image.new("RGB", (4, 3), (value, 0, 0)).save(file, "PNG")
  return file.getvalue()


def make(readable, *, share=1.0, mixture=(), transforms=()):
  """Examples, some of them unreadable; the red value of example i is i + 1."""
  files = [png(i + 1) if good else b"" for i, good in enumerate(readable)]
  dataset = datasets.Dataset(
    name="pictures",
    split="train",
    class_names=tuple("abcdefghij"),
    num_examples=len(files),
    ids=lambda indices: [f"file{index}" for index in indices],
    labels=lambda: np.arange(len(files)),
    read=lambda indices: [(files[index], index) for index in indices],
    mixture=mixture,
  )
  transform = host.make_host_transform(transforms)
  return examples.Examples(dataset, transform, 3, share)


def fill(source, indices, *, seed=0, epoch=0, shape=(3, 4, 3)):
  batch = filling.empty(filling.layout(len(indices), shape, source))
  for array in batch.values():
    array.fill(99)  # so that rows that are not written show
  unreadable = filling.fill(
    batch,
    source,
    indices=np.asarray(indices),
    epochs=np.full(len(indices), epoch),
    seed=seed,
  )
  return batch, unreadable


def test_rows_hold_the_examples_and_padding_is_zero():
  batch, unreadable = fill(make([True] * 4), [2, 4, 0], seed=None)
  assert batch["image"][:, 0, 0, 0].tolist() == [3, 0, 1]
  assert not batch["image"][1].any()
  assert batch["label"].tolist() == [2, 0, 0]
  assert batch["mask"].tolist() == [1, 0, 1]
  assert not unreadable


# Readable or not, the requested example, and the example in its place.
NEXT = [
  ([1, 0, 1], [1], [2]),
  ([1, 0, 0, 1], [1, 2], [3, 3]),
  ([1, 1, 0, 0], [2, 3], [0, 0]),
]


@pytest.mark.parametrize(("readable", "asked", "expected"), NEXT)
def test_the_next_readable_example_stands_in(readable, asked, expected):
  batch, unreadable = fill(make(readable), asked)
  assert batch["label"].tolist() == expected
  assert batch["image"][:, 0, 0, 0].tolist() == [n + 1 for n in expected]
  assert batch["mask"].all()
  assert set(unreadable) >= set(asked)


def test_a_replacement_is_from_the_same_source_of_a_mixture():
  source = make([1, 1, 0, 1, 1, 0], mixture=((3, 0.5), (3, 0.5)))
  batch, _ = fill(source, [2, 5])
  assert batch["label"].tolist() == [0, 3]


def test_evaluation_has_no_replacements():
  batch, unreadable = fill(make([1, 0, 1]), [0, 1, 2], seed=None)
  assert batch["mask"].tolist() == [1, 0, 1]
  assert batch["label"].tolist() == [0, 0, 2]
  assert not batch["image"][1].any()
  assert list(unreadable) == [1] and "not an image" in unreadable[1]


def test_a_replacement_gets_the_transforms_of_the_missing_image():
  noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
  source = make([0, 1], transforms=("random_crop(4)",))
  found = []
  for first in (b"", noise):
    read = {0: (first, 0), 1: (noise, 1)}
    source.dataset.__dict__["read"] = lambda ix, read=read: [
      read[i] for i in ix
    ]
    found.append(fill(source, [0, 1], epoch=3, shape=(4, 4, 3))[0]["image"])
  np.testing.assert_array_equal(found[0][0], found[1][0])
  assert (found[0][0] != found[0][1]).any()


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_the_search_ends_when_too_many_are_unreadable(share):
  source = make([0] * 9 + [1], share=share)
  with pytest.raises(decoding.UnreadableImage, match=r"of 10 images .*file0"):
    fill(source, [0])


def test_the_search_ends_when_all_of_a_source_are_unreadable():
  source = make([1, 1, 0, 0], mixture=((2, 0.5), (2, 0.5)))
  with pytest.raises(decoding.UnreadableImage, match="every image that could"):
    fill(source, [3])


def test_a_split_without_readable_images_is_an_error():
  with pytest.raises(decoding.UnreadableImage, match="no image of pictures"):
    filling.image_shape(make([0, 0]))


def test_the_shape_is_that_of_the_first_readable_image():
  source = make([0, 1], transforms=("resize((5, 6))",))
  assert filling.image_shape(source) == (5, 6, 3)
  assert list(source.unreadable) == [0]


def test_other_shapes_name_the_example_and_the_remedy():
  with pytest.raises(
    ValueError, match=r'file1 has the shape \(3, 4, 3\).*"resize\(SIZE'
  ):
    fill(make([1, 1]), [1], shape=(3, 5, 3))
