"""What does each augmentation do to an image and to its label?

  python experiments/augmentation_pictures.py
  python experiments/augmentation_pictures.py --output runs/augmentations.png

Draws the content of table 1 of CutMix (Yun et al. 2019) for all augmentations
of experiments/augmentation.py that change an image: two photographs and two
digits. The two images of a pair are mixed with each other. The new label is
below each image. Label smoothing changes the label only: with ten classes the
true one keeps 0.91, and each other class has 0.01.

The photographs are china.jpg and flower.jpg of scikit-learn, by the Flickr
users danielbuechele and vultilion, CC BY 2.0.
"""

import argparse
import io
import pathlib
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from PIL import Image
from sklearn import datasets

from jaxvision import data

_OUTPUT = pathlib.Path(__file__).parent / "figures" / "augmentations.png"
# Title -> transforms of the host and of the device; {half} is half of the side.
PICTURES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
  "image": ((), ()),
  "shift": ((), ("random_crop(padding={eighth})",)),
  "flip": ((), ("random_flip(p=1)",)),
  "Cutout": ((), ("random_cutout({half})",)),
  "random erasing": ((), ("random_erasing(p=1)",)),
  "mixup": ((), ("random_mixup(1.0)",)),
  "CutMix": ((), ("random_cutmix",)),
  "RandAugment": (("random_randaugment(2, magnitude=5, fill=0)",), ()),
}
# This seed shows a typical result of each augmentation.
SEED = 24


def photographs(side: int) -> tuple[np.ndarray, tuple[str, str]]:
  """Returns (2, side, side, 3) uint8, and the names of their contents."""
  shrink = data.make_host_transform(
    (f"resize_small({side})", f"center_crop({side})")
  )
  photos = [
    shrink(None, datasets.load_sample_image(f"{name}.jpg"))
    for name in ("china", "flower")
  ]
  return np.stack(photos), ("temple", "flower")


def digits() -> tuple[np.ndarray, tuple[str, str]]:
  """Returns (2, 8, 8, 1) uint8, and the names of the digits."""
  found = datasets.load_digits()
  images = np.rint(found.images[[3, 4]] * (255 / 16)).astype(np.uint8)
  return images[..., None], ("3", "4")


def augment(
  images: np.ndarray, title: str, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
  """Augments the first of two images; the second is its mixing partner.

  Args:
    images: (2, n, n, c) uint8.
    title: a key of PICTURES.
    seed: of all draws.

  Returns:
    (n, n, c) uint8, and (2,) the shares of the two labels.
  """
  side = images.shape[1]
  host, device = (
    [call.format(half=side // 2, eighth=side // 8) for call in calls]
    for calls in PICTURES[title]
  )
  rng = np.random.default_rng(seed)
  on_host = data.make_host_transform(host)
  images = np.stack([on_host(rng, image) for image in images])
  normalization = data.Normalization((0.5,), (0.5,))
  batch = {
    "image": data.normalize(images, normalization),
    "targets": np.eye(2, dtype=np.float32),
    "mask": np.ones(2, np.float32),
  }
  transform = jax.jit(data.make_device_transform(device))
  out = transform(jax.random.key(seed), batch)
  pixels = np.asarray(out["image"][0]) * 127.5 + 127.5
  return (
    np.clip(np.rint(pixels), 0, 255).astype(np.uint8),
    np.asarray(out["targets"][0]),
  )


def caption(shares: np.ndarray, names: Sequence[str]) -> str:
  """Returns text as "temple 0.72, flower 0.28"; leaves out shares of 0."""
  parts = [
    f"{name} {share:.2f}"
    for name, share in zip(names, shares, strict=True)
    if share > 0
  ]
  return ", ".join(parts)


def draw(path: pathlib.Path, *, seed: int = SEED) -> None:
  """Writes the picture with a palette of 256 colours, as a small file."""
  from matplotlib import pyplot

  rows = (photographs(112), digits())
  figure, panels = pyplot.subplots(
    len(rows), len(PICTURES), figsize=(1.35 * len(PICTURES), 3.7)
  )
  for (images, names), line in zip(rows, panels, strict=True):
    for title, panel in zip(PICTURES, line, strict=True):
      image, shares = augment(images, title, seed=seed)
      panel.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255)
      panel.set(xticks=[], yticks=[])
      panel.set_xlabel(caption(shares, names).replace(", ", "\n"), fontsize=8)
      if images is rows[0][0]:
        panel.set_title(title, fontsize=9)
  figure.tight_layout(pad=0.4)
  buffer = io.BytesIO()
  figure.savefig(buffer, dpi=100)
  pyplot.close(figure)
  path.parent.mkdir(parents=True, exist_ok=True)
  picture = Image.open(buffer).convert("RGB")
  picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def main(arguments: Sequence[str] | None = None) -> None:
  """Draws the picture into the file of the command line."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--output", type=pathlib.Path, default=_OUTPUT)
  options = parser.parse_args(arguments)
  draw(options.output)
  print(options.output)


if __name__ == "__main__":
  main()
