"""tf.data: one operation crops and decodes; all work is in C++ threads."""

import pathlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from loaders import AREA, MEAN, RATIO, SIZE, STD


def batches(
  folder: pathlib.Path, *, batch_size: int, workers: int, normalize: bool
) -> Iterator[np.ndarray]:
  """Yields (b, 224, 224, 3), float32 if they are normalised, else uint8.

  Args:
    folder: of a directory per class.
    batch_size: b.
    workers: threads; at least 1.
    normalize: whether to normalise by the mean and the deviation of ImageNet
      and to decode with the accurate DCT; otherwise with the fast DCT.
  """
  files = sorted(map(str, folder.glob("*/*.jpg")))
  threads = max(1, workers)
  options = tf.data.Options()
  options.threading.private_threadpool_size = threads
  dataset = (
    tf.data.Dataset.from_tensor_slices(files)
    .shuffle(len(files))
    .repeat()
    .map(
      _normalized if normalize else _bytes,
      num_parallel_calls=threads,
      deterministic=True,
    )
    .batch(batch_size)
    .prefetch(1)
    .with_options(options)
  )
  yield from dataset.as_numpy_iterator()


def _bytes(file: tf.Tensor) -> tf.Tensor:
  return tf.cast(_augmented(file, "INTEGER_FAST"), tf.uint8)


def _normalized(file: tf.Tensor) -> tf.Tensor:
  return (_augmented(file, "INTEGER_ACCURATE") - MEAN) / STD


def _augmented(file: tf.Tensor, dct_method: str) -> tf.Tensor:
  encoded = tf.io.read_file(file)
  begin, size, _ = tf.image.sample_distorted_bounding_box(
    tf.io.extract_jpeg_shape(encoded),
    bounding_boxes=tf.zeros([0, 0, 4]),
    area_range=AREA,
    aspect_ratio_range=RATIO,
    max_attempts=10,
    use_image_if_no_bounding_boxes=True,
  )
  window = tf.concat([begin[:2], size[:2]], axis=0)
  image = tf.image.decode_and_crop_jpeg(
    encoded, window, channels=3, dct_method=dct_method
  )
  image = tf.image.resize(image, (SIZE, SIZE))
  return tf.image.random_flip_left_right(image)
