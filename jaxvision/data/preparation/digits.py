"""Digits: 1,797 handwritten digits of 8 by 8 pixels, in 10 classes.

The images are the test set of the UCI data set "Optical Recognition of
Handwritten Digits" (Alpaydin and Kaynak 1998). They are included in
scikit-learn, so nothing is downloaded. The builder is a normal
tensorflow-datasets builder.
"""

import contextlib
import io
import os
import pathlib
import tempfile
from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds

from jaxvision.data.sources import splits

# Ends of the splits in a stratified order: about 70, 10 and 20 %.
_ENDS = {"train": 1257, "validation": 1437, "test": 1797}


class Digits(tfds.core.GeneratorBasedBuilder):
  """The tensorflow-datasets builder; new splits need a new version."""

  VERSION = tfds.core.Version("1.0.0")
  # Nothing is downloaded. Without this line, tfds looks for a list of addresses
  # beside this file, with a package that it does not declare.
  url_infos = None

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
      builder=self,
      description="1,797 handwritten digits, 8 x 8 pixels, 10 classes.",
      homepage="https://archive.ics.uci.edu/dataset/80",
      supervised_keys=("image", "label"),
      features=tfds.features.FeaturesDict(
        {
          "image": tfds.features.Image(shape=(8, 8, 1), encoding_format="png"),
          "label": tfds.features.ClassLabel(num_classes=10),
        }
      ),
    )

  def _split_generators(self, dl_manager: object) -> dict[str, Iterator]:
    from sklearn import datasets

    digits = datasets.load_digits()
    # The pixels count dots in blocks of 4 x 4: 0 to 16.
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    order = splits.stratified_order(digits.target)
    starts = [0, *_ENDS.values()]
    return {
      split: self._generate_examples(images, digits.target, order[start:end])
      for (split, end), start in zip(_ENDS.items(), starts, strict=False)
    }

  def _generate_examples(
    self, images: np.ndarray, labels: np.ndarray, rows: np.ndarray
  ) -> Iterator[tuple[int, dict[str, object]]]:
    from PIL import Image

    # A Pillow image, because tfds encodes arrays with TensorFlow.
    for row in rows.tolist():
      image = Image.fromarray(images[row])
      yield row, {"image": image, "label": int(labels[row])}


def prepare(data_dir: pathlib.Path) -> pathlib.Path:
  """Writes the data set as array_record; returns immediately if it exists.

  It is written to a temporary folder and then moved. If a process is killed, or
  several processes run at the same time, the data set is complete or does not
  exist.

  Args:
    data_dir: the directory of all data sets.

  Returns:
    DATA_DIR/digits/VERSION.
  """
  final = data_dir / "digits" / str(Digits.VERSION)
  if (final / "dataset_info.json").is_file():
    return final
  final.parent.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory(dir=data_dir, prefix=".digits-") as made:
    builder = Digits(data_dir=made, file_format="array_record")
    # The output of tfds would name the temporary directory.
    with contextlib.redirect_stdout(io.StringIO()):
      tfds.disable_progress_bar()
      builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(try_download_gcs=False)
      )
    try:
      os.rename(builder.data_path, final)
    except OSError:
      # Another process may have finished first.
      if not (final / "dataset_info.json").is_file():
        raise
  return final
