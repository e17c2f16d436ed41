import pytest
from PIL import Image

from jaxvision import data


@pytest.fixture
def config(tmp_path):
  sizes = {"small": (4, 3), "large": (6, 5)}
  for label, (name, size) in enumerate(sizes.items()):
    (tmp_path / name).mkdir()
    for number in range(3 + label):
      picture = Image.new("RGB", size, (100 * label, number, 0))
      picture.save(tmp_path / name / f"{number}.png")
  return data.Source(kind="folder", name=str(tmp_path))


def test_inspect_counts_classes_and_sizes(config, tmp_path):
  (tmp_path / "large" / "broken.png").write_bytes(b"")
  (summary,) = data.inspect(config, splits=["train"], channels=3)
  assert summary.num_examples == 8
  assert summary.counts == {"large": 5, "small": 3}
  assert summary.sizes == {(5, 6): 4, (3, 4): 3}
  assert list(summary.unreadable) == [str(tmp_path / "large" / "broken.png")]


def test_inspect_takes_slices(config):
  head, tail = data.inspect(
    config, splits=["train[:50%]", "train[50%:]"], channels=3
  )
  assert (head.split, tail.split) == ("train[:50%]", "train[50%:]")
  assert head.num_examples + tail.num_examples == 7
  assert set(head.counts) == set(tail.counts) == {"small", "large"}


def test_inspect_refuses_labels_outside_the_classes(config, tmp_path):
  path = tmp_path / "my_data.py"
  path.write_text(
    "import dataclasses\n"
    "import numpy as np\n"
    "from jaxvision import data\n"
    "def load(name):\n"
    "  found = data.open_dataset(data.Source('folder', name), 'train')\n"
    "  labels = np.asarray([0, 1, -1, 0, 1, 0, 1])\n"
    "  return dataclasses.replace(found, labels=lambda: labels)\n"
  )
  own = data.Source(f"{path}:load", config.name)
  with pytest.raises(ValueError, match="has the label -1, outside the 2"):
    data.inspect(own, splits=["train"], channels=3)


def test_samples_of_large_images_are_small(config, tmp_path):
  for name in ("small", "large"):
    Image.new("RGB", (3000, 1), (7, 0, 0)).save(tmp_path / name / "0.png")
  dataset = data.open_dataset(config, "train")
  images, _ = data.sample(dataset, per_class=9, channels=3)
  assert sorted(image.shape for image in images)[:2] == [(1, 640, 3)] * 2
  assert {image[0, 0, 0] for image in images if len(image) == 1} == {7}


def test_sample_shows_each_class(config, tmp_path):
  (tmp_path / "small" / "1.png").write_bytes(b"")
  dataset = data.open_dataset(config, "train")
  images, titles = data.sample(dataset, per_class=3, channels=3)
  assert titles == ["large"] * 3 + ["small"] * 2
  assert [image[0, 0, 0] for image in images] == [100] * 3 + [0] * 2
