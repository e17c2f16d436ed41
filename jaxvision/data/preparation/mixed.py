"""Foregrounds over the backgrounds of other images: the mixed variants."""

import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from jaxvision.data.batches import prefetch
from jaxvision.data.preparation import encoding, places
from jaxvision.data.sources import variants
from jaxvision.data.transforms import host

# Variant -> distance from the class of the foreground to that of the
# background; None draws a class uniformly.
DISTANCES = {"mixed_same": 0, "mixed_rand": None, "mixed_next": 1}
# (split, variant, class folder, name, background)
Row = tuple[str, str, str, str, str]


def write(
  root: pathlib.Path,
  images: Sequence[places.Place],
  *,
  seed: int,
  threads: int,
) -> Iterator[list[Row]]:
  """Writes the mixed variants of a split; yields the backgrounds of each image.

  Args:
    root: of the variants; original, only_bg_t and the masks are there.
    images: of all classes.
    seed: of the backgrounds.
    threads: number of threads.
  """
  by_class: dict[int, list[places.Place]] = {}
  for each in images:
    by_class.setdefault(each.label, []).append(each)
  places.make_folders(root, DISTANCES, images)

  def mix(place: places.Place) -> list[Row]:
    image = places.load(root, variants.ORIGINAL, place)
    foreground = np.load(places.path_of(root, variants.MASKS, place)) != 0
    rows = []
    for name in DISTANCES:
      rng = places.make_rng(seed, name, place)
      other = draw(place, by_class, name, rng)
      background = places.load(root, variants.TILED, other)
      made = host.backgrounds.paste(image, foreground, background)
      path = places.path_of(root, name, place)
      path.write_bytes(encoding.png(made))
      behind = f"{other.folder}/{other.name}"
      rows.append((place.split, name, place.folder, place.name, behind))
    return rows

  yield from prefetch.make_ahead(mix, images, threads=threads)


def draw(
  place: places.Place,
  by_class: Mapping[int, Sequence[places.Place]],
  variant: str,
  rng: np.random.Generator,
) -> places.Place:
  """The image whose background is used.

  It is another image, unless the class has only this one.

  Args:
    place: of the foreground.
    by_class: the images of each class; every class has one.
    variant: one of `DISTANCES`.
    rng: of the image and the variant.
  """
  distance, count = DISTANCES[variant], len(by_class)
  if distance is None:
    label = int(rng.integers(count))
  else:
    label = (place.label + distance) % count
  members = by_class[label]
  if label == place.label and len(members) > 1:
    members = [each for each in members if each.index != place.index]
  return members[int(rng.integers(len(members)))]
