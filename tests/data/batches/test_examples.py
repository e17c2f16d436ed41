import dataclasses
import io
import logging

import cv2
import numpy as np
import pytest
from PIL import Image

from jaxvision.data import dataset as datasets
from jaxvision.data import decoding
from jaxvision.data.batches import examples
from jaxvision.data.transforms import host


def encoded(value, kind="PNG"):
  file = io.BytesIO()
  Image.new("RGB", (4, 3), (value, 0, 0)).save(file, kind)
  return file.getvalue()


def make(images, *, labels=None, max_unreadable=0.0, channels=3, transforms=()):
  """Examples over a list of contents; an OSError in it is raised on reading.

  Returns:
    The examples and the list to which every read appends its indices.
  """
  labels = labels or [0] * len(images)
  reads = []

  def read(indices):
    reads.append(list(indices))
    for index in indices:
      if isinstance(images[index], OSError | MemoryError):
        raise images[index]
    return [(images[index], labels[index]) for index in indices]

  dataset = datasets.Dataset(
    name="pictures",
    split="train",
    class_names=("a", "b"),
    num_examples=len(images),
    ids=lambda indices: [f"file{index}" for index in indices],
    labels=lambda: np.asarray(labels),
    read=read,
  )
  transform = host.make_host_transform(transforms)
  return examples.Examples(dataset, transform, channels, max_unreadable), reads


def fetch(found, indices):
  rngs = [np.random.default_rng(index) for index in indices]
  return list(found.fetch(indices, rngs))


def test_fetch_decodes_in_the_order_asked_for():
  found, _ = make([encoded(value) for value in (10, 20, 30)], labels=[0, 1, 0])
  pixels = [
    (image[0, 0, 0], label) for image, label, _ in fetch(found, [2, 0, 1])
  ]
  assert pixels == [(30, 0), (10, 0), (20, 1)]


def test_small_splits_are_read_once():
  found, reads = make([encoded(value) for value in range(4)])
  first = fetch(found, [3, 1])
  again = fetch(found, [1, 2, 3])
  assert reads == [[3, 1], [2]]
  assert again[0][0] is first[1][0] and again[2][0] is first[0][0]


def test_large_splits_are_not_kept(monkeypatch):
  found, reads = make([encoded(value) for value in range(4)])
  monkeypatch.setattr(examples, "_CACHE_BYTES", 4 * 3 * 3 * 4 - 1)
  fetch(found, [3, 1])
  fetch(found, [3])
  assert reads == [[3, 1], [3]] and not found.cache


def test_unreadable_images_leave_their_error_in_their_place():
  images = [encoded(0), b"no image", OSError("disk on fire"), encoded(1)]
  found, _ = make(images, labels=[0, 1, 1, 1])
  result = fetch(found, [0, 1, 2, 3])
  assert [isinstance(image, np.ndarray) for image, *_ in result] == [
    True,
    False,
    False,
    True,
  ]
  assert [label for _, label, _ in result] == [0, 0, 0, 1]
  assert "not an image" in str(result[1][0])
  assert "disk on fire" in str(result[2][0])
  assert not found.unreadable


def test_images_of_too_many_pixels_are_unreadable_others_are_not():
  files = [encoded(0), encoded(1, "JPEG")]
  for transforms in ((), ("center_crop(2)",)):
    found, _ = make(files, transforms=transforms)
    for limit, readable in ((12, True), (11, False)):
      limited = dataclasses.replace(found, max_pixels=limit, cache={})
      for image, *_ in fetch(limited, [0, 1]):
        assert isinstance(image, np.ndarray) == readable
        assert readable or "more than data.max_pixels=11" in str(image)


def test_a_lack_of_memory_marks_the_image_unreadable():
  def starve(rng, image):
    if image[0, 0, 0] == 1:
      raise MemoryError
    return image

  found, _ = make([encoded(0), encoded(1), MemoryError(), encoded(2)])
  chain = dataclasses.replace(found.transform, transforms=(starve,))
  found = dataclasses.replace(found, transform=chain)
  images = [image for image, *_ in fetch(found, [0, 1, 2, 3])]
  assert [isinstance(each, np.ndarray) for each in images] == [
    True,
    False,
    False,
    True,
  ]
  assert "memory" in str(images[1]) and "memory" in str(images[2])


def test_errors_of_opencv_mean_unreadable_and_other_errors_are_raised():
  def refuse(rng, image):
    return cv2.remap(image, np.zeros((1, 40000), np.float32), None, 1)

  found, _ = make([encoded(0)])
  chain = dataclasses.replace(found.transform, transforms=(refuse,))
  found = dataclasses.replace(found, transform=chain)
  ((image, *_),) = fetch(found, [0])
  assert isinstance(image, decoding.UnreadableImage)
  chain = dataclasses.replace(chain, transforms=(lambda rng, image: 1 / 0,))
  with pytest.raises(ZeroDivisionError):
    fetch(dataclasses.replace(found, transform=chain, cache={}), [0])


def test_an_image_too_small_for_a_crop_is_named():
  found, _ = make([encoded(0)], transforms=("center_crop(10)",))
  with pytest.raises(ValueError, match=r"file0: a crop of 10x10 .* 3x4 pixels"):
    fetch(found, [0])


def test_unreadable_images_are_counted_and_named_once(caplog):
  found, _ = make([encoded(0)] * 4, max_unreadable=0.5)
  with caplog.at_level(logging.WARNING):
    found.count({1: "not an image"})
    found.count({1: "not an image", 2: "disk on fire"})
  assert found.unreadable == {1: "not an image", 2: "disk on fire"}
  messages = [record.getMessage() for record in caplog.records]
  assert len(messages) == 2
  assert "file1: not an image" in messages[0]
  assert "file2: disk on fire" in messages[1]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.24])
def test_too_many_unreadable_images_are_an_error(share):
  found, _ = make([encoded(0)] * 4, max_unreadable=share)
  with pytest.raises(
    decoding.UnreadableImage, match=r"1 of 4 images .*file1: not an image"
  ):
    found.count({1: "not an image"})


def test_truncated_images_are_unreadable():
  noise = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
  file = io.BytesIO()
  Image.fromarray(noise).save(file, "JPEG")
  found, _ = make([file.getvalue()[:-100], encoded(0)], max_unreadable=0.5)
  assert "truncated" in str(fetch(found, [0, 1])[0][0])


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("call", ["random_crop(2)", "random_resized_crop(2)"])
def test_transforms_are_those_of_the_decoded_image(kind, call):
  found, _ = make([encoded(80, kind)], transforms=(call, "random_flip"))
  whole = decoding.decode(encoded(80, kind), channels=3)
  expected = found.transform(np.random.default_rng(0), whole)
  np.testing.assert_array_equal(fetch(found, [0])[0][0], expected)
  np.testing.assert_array_equal(fetch(found, [0])[0][0], expected)


def test_a_part_of_a_jpeg_is_not_kept_but_its_whole_is():
  image = encoded(80, "JPEG")
  part, _ = make([image], transforms=("random_crop(2)",))
  whole, _ = make([image], transforms=("random_flip",))
  fetch(part, [0])
  fetch(whole, [0])
  assert not part.cache and whole.cache[0][0].shape == (3, 4, 3)


@pytest.mark.parametrize("label", [-1, 2])
def test_labels_outside_the_classes_are_an_error(label):
  found, _ = make([encoded(0)], labels=[label])
  with pytest.raises(ValueError, match=f"file0 has the label {label}, outside"):
    fetch(found, [0])


def test_arrays_must_have_the_channels_of_the_config():
  image = np.zeros((3, 4, 1), np.uint8)
  assert fetch(make([image], channels=1)[0], [0])[0][0] is image
  with pytest.raises(ValueError, match=r"data\.channels is 3; set it to 1"):
    fetch(make([image], channels=3)[0], [0])


def test_each_examples_has_a_separate_cache():
  found, _ = make([encoded(0)])
  other = dataclasses.replace(found, cache={}, unreadable={})
  fetch(found, [0])
  assert found.cache and not other.cache
