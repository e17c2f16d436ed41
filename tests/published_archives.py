"""Small data sets in the layout of published large data sets.

Each function writes the files of one data set with a few images into a folder,
and returns their content, {split: [(file name, label, pixels or bytes)]}. All
images differ from each other, and JPEG files differ from their re-encoding.
"""

import gzip
import io
import pathlib
import tarfile
from collections.abc import Mapping

import numpy as np
from PIL import Image
from scipy import io as matlab

# The classes that labels 0, 388 and 999 of ImageNet have.
WNIDS = {"n01440764": 0, "n02510455": 388, "n15075141": 999}
# Of the first three validation images, in tensorflow-datasets' list.
VALIDATION_WNIDS = ("n01751748", "n09193705", "n02105855")

Contents = dict[str, list[tuple[str, int, object]]]


def picture(seed: int, height: int = 48, width: int = 64) -> Image.Image:
  """A smooth picture, different for each seed."""
  rng = np.random.default_rng(seed)
  pixels = rng.integers(0, 256, (4, 4, 3), np.uint8)
  return Image.fromarray(pixels).resize((width, height))


def jpeg(seed: int, *, height: int = 48, width: int = 64) -> bytes:
  """A JPEG file of an unusual quality."""
  return encoded(picture(seed, height, width), "JPEG", quality=83)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
  """The content of an image file."""
  file = io.BytesIO()
  image.save(file, kind, **options)
  return file.getvalue()


def tar(
  path: pathlib.Path, files: Mapping[str, bytes], *, mode: str = "w"
) -> None:
  """Writes an archive; mode "w:gz" compresses it."""
  with tarfile.open(path, mode) as archive:
    for name, content in files.items():
      info = tarfile.TarInfo(name)
      info.size = len(content)
      archive.addfile(info, io.BytesIO(content))


def cifar(
  folder: pathlib.Path, *, classes: int = 10, per_file: int = 4
) -> Contents:
  """cifar-10-binary.tar.gz or cifar-100-binary.tar.gz."""
  rng = np.random.default_rng(classes)
  few = classes == 10
  root = "cifar-10-batches-bin" if few else "cifar-100-binary"
  members = {
    "train": [f"data_batch_{i}.bin" for i in range(1, 6)]
    if few
    else ["train.bin"],
    "test": ["test_batch.bin" if few else "test.bin"],
  }
  files, contents = {}, {"train": [], "test": []}
  for split, names in members.items():
    for name in names:
      planes = rng.integers(0, 256, (per_file, 3, 32, 32), np.uint8)
      labels = rng.integers(0, classes, per_file)
      rows = b""
      for image, label in zip(planes, labels.tolist(), strict=True):
        rows += bytes([label] if few else [label // 5, label])
        rows += image.tobytes()
        number = len(contents[split])
        pixels = image.transpose(1, 2, 0)
        contents[split].append((f"{split}_{number:05d}", label, pixels))
      files[f"{root}/{name}"] = rows
  meta = "batches.meta.txt" if few else "fine_label_names.txt"
  names = "".join(f"class_{i}\n" for i in range(classes))
  files[f"{root}/{meta}"] = (names + "\n").encode()
  tar(folder / f"cifar-{classes}-binary.tar.gz", files, mode="w:gz")
  return contents


def idx(folder: pathlib.Path, *, compressed: bool = True) -> Contents:
  """The four files of MNIST and of Fashion-MNIST."""
  rng = np.random.default_rng(28)
  contents = {}
  for split, prefix, size in (("train", "train", 7), ("test", "t10k", 3)):
    images = rng.integers(0, 256, (size, 28, 28), np.uint8)
    labels = rng.integers(0, 10, size, np.uint8)
    for name, array in (("images", images), ("labels", labels)):
      header = bytes((0, 0, 8, array.ndim))
      header += np.asarray(array.shape, ">i4").tobytes()
      content = header + array.tobytes()
      path = folder / f"{prefix}-{name}-idx{array.ndim}-ubyte"
      if compressed:
        path, content = (
          path.with_name(f"{path.name}.gz"),
          gzip.compress(content),
        )
      path.write_bytes(content)
    contents[split] = [
      (f"{split}_{i:05d}", int(label), image[..., None])
      for i, (image, label) in enumerate(zip(images, labels, strict=True))
    ]
  return contents


def flowers(folder: pathlib.Path) -> Contents:
  """102flowers.tgz, imagelabels.mat and setid.mat."""
  count = 9
  images = {f"image_{i:05d}.jpg": jpeg(i) for i in range(1, count + 1)}
  tar(
    folder / "102flowers.tgz",
    {f"jpg/{name}": content for name, content in images.items()},
    mode="w:gz",
  )
  labels = [77, 77, 1, 102, 5, 5, 6, 7, 8]
  numbers = {"trnid": [3, 1], "valid": [2, 9], "tstid": [4, 5, 6, 7, 8]}
  matlab.savemat(folder / "imagelabels.mat", {"labels": [labels]})
  sets = {key: [value] for key, value in numbers.items()}
  matlab.savemat(folder / "setid.mat", sets)
  return {
    split: [
      (f"image_{n:05d}.jpg", labels[n - 1] - 1, images[f"image_{n:05d}.jpg"])
      for n in numbers[key]
    ]
    for split, key in (
      ("train", "trnid"),
      ("validation", "valid"),
      ("test", "tstid"),
    )
  }


def pets(folder: pathlib.Path) -> Contents:
  """images.tar.gz and annotations.tar.gz."""
  splits = {
    "train": {"Abyssinian_100": 1, "yorkshire_terrier_1": 37},
    "test": {"Abyssinian_2": 1, "beagle_9": 5, "american_bulldog_3": 2},
  }
  names = [name for each in splits.values() for name in each]
  images = {name: jpeg(100 + i) for i, name in enumerate(names)}
  files = {f"images/{name}.jpg": content for name, content in images.items()}
  files["images/Abyssinian_100.mat"] = b"no image"
  tar(folder / "images.tar.gz", files, mode="w:gz")
  listings = {}
  for split, file in (("train", "trainval.txt"), ("test", "test.txt")):
    lines = [f"{name} {label} 1 1\n" for name, label in splits[split].items()]
    listings[f"annotations/{file}"] = "".join(lines).encode()
  tar(folder / "annotations.tar.gz", listings, mode="w:gz")
  return {
    split: [(f"{k}.jpg", v - 1, images[k]) for k, v in each.items()]
    for split, each in splits.items()
  }


def imagenet(folder: pathlib.Path, *, per_class: int = 3) -> Contents:
  """ILSVRC2012_img_train.tar, of one archive per class, and _val.tar."""
  contents = {"train": [], "validation": []}
  archives = {}
  for wnid, label in WNIDS.items():
    images = {
      f"{wnid}_{i}.JPEG": jpeg(1000 * label + i) for i in range(per_class)
    }
    tar(folder / "inner.tar", images)
    archives[f"{wnid}.tar"] = (folder / "inner.tar").read_bytes()
    contents["train"] += [(n, label, c) for n, c in images.items()]
  (folder / "inner.tar").unlink()
  tar(folder / "ILSVRC2012_img_train.tar", archives)
  validation = {
    f"ILSVRC2012_val_{i:08d}.JPEG": jpeg(5_000_000 + i) for i in (1, 2, 3)
  }
  tar(folder / "ILSVRC2012_img_val.tar", validation)
  contents["validation"] = list(
    zip(validation, (65, 970, 230), validation.values(), strict=True)
  )
  return contents


def imagenet_folder(
  folder: pathlib.Path, contents: Contents, *, sorted_validation: bool
) -> None:
  """The same images as files: train/WNID/, and val/WNID/ or all in val/."""
  wnids = {label: wnid for wnid, label in WNIDS.items()}
  for name, label, content in contents["train"]:
    path = folder / "train" / wnids[label] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
  for number, (name, _, content) in enumerate(contents["validation"]):
    path = folder / "val"
    if sorted_validation:
      path = path / VALIDATION_WNIDS[number]
    path.mkdir(parents=True, exist_ok=True)
    (path / name).write_bytes(content)
