"""Small data sets with foregrounds and backgrounds, for tests."""

import itertools

import numpy as np
from PIL import Image

IN9 = (
  *("00_dog", "01_bird", "02_wheeled vehicle", "03_reptile", "04_carnivore"),
  *("05_insect", "06_musical instrument", "07_primate", "08_fish"),
)
VARIANTS = (
  *("original", "only_bg_b", "only_bg_t", "no_fg", "only_fg"),
  *("mixed_same", "mixed_rand", "mixed_next"),
)
SIDE = 8
# The foreground is a square in the middle of an image.
INSIDE = slice(2, 6)


def pixels(foreground, background, *, side=SIDE):
  """An image whose two parts have one colour each."""
  image = np.full((side, side, 3), background, np.uint8)
  image[INSIDE, INSIDE] = foreground
  return image


def write_release(
  root, classes=IN9, *, per_class=2, colours=None, rand=None, seed=0
):
  """Writes the layout of ImageNet-9 with images of 8x8 pixels.

  The colour of a class is its foreground and, in "original", its background.

  Args:
    root: of the variants.
    classes: names of the class folders.
    per_class: number of images of a class.
    colours: (classes, 3) of the classes.
    rand: (classes, per_class) class of each background of "mixed_rand"; None
      draws them.
    seed: of the draws.

  Returns:
    The colours and `rand`.
  """
  count = len(classes)
  if colours is None:
    colours = np.linspace(40, 250, count).astype(np.uint8)[:, None]
    colours = np.repeat(colours, 3, axis=1)
  if rand is None:
    rng = np.random.default_rng(seed)
    rand = rng.integers(count, size=(count, per_class))
  mask = pixels(1, 0)[..., 0]
  for label, number in itertools.product(range(count), range(per_class)):
    name = f"n{label:03d}_{number}"
    own, other = colours[label], colours[rand[label, number]]
    images = {
      "original": pixels(own, own),
      "only_bg_b": pixels(0, own),
      "only_bg_t": pixels(own, own),
      "no_fg": pixels(0, own),
      "only_fg": pixels(own, 0),
      "mixed_same": pixels(own, own),
      "mixed_rand": pixels(own, other),
      "mixed_next": pixels(own, colours[(label + 1) % count]),
    }
    for variant, image in images.items():
      folder = root / variant / "val" / classes[label]
      folder.mkdir(parents=True, exist_ok=True)
      mixed = variant.startswith("mixed")
      file = f"fg_{name}_bg_n000_0" if mixed else name
      # PNG with the published ending: exact, and recognised by its content.
      Image.fromarray(image).save(folder / f"{file}.JPEG", "PNG")
    folder = root / "fg_mask" / "val" / classes[label]
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{name}.npy", mask)
  return colours, rand


def write_cut_outs(
  path, *, classes=("cat", "ant", "bee"), per_class=4, side=16
):
  """Writes an .npz of noise with masks; returns images, masks and labels.

  No two pixels of an image are equal in all channels with high probability.
  """
  rng = np.random.default_rng(1)
  count = len(classes) * per_class
  images = rng.integers(0, 256, (count, side, side, 3), np.uint8)
  masks = np.zeros((count, side, side), np.uint8)
  for mask in masks:
    top, left = rng.integers(1, side // 2, 2)
    mask[top : top + side // 4, left : left + side // 3] = 255
  labels = np.repeat(np.arange(len(classes)), per_class)
  np.savez(
    path,
    images=images,
    labels=labels,
    segmentation_masks=masks,
    class_names=list(classes),
  )
  return images, masks, labels
