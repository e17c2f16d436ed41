"""Figures of the reports: SVG charts, and small images as PNG data URIs.

The colours of charts are custom properties of the page, `var(--train)`, so a
figure is legible in the light and in the dark scheme. matplotlib has no such
colours: it draws with placeholders, which are replaced in the SVG text. Text
stays text in the font of the page. Class names are not drawn here: the page
shows them as HTML, which supports all scripts and emoji.
"""

import base64
import io
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

# Larger images (pixels) are JPEG: as PNG they would make a very large page.
_PNG_UP_TO = 96

# A browser drops cells of an image that has more cells than screen pixels.
_MOST_CELLS = 400

# Okabe and Ito's blue and vermillion: hits and misses, plus and minus.
_BLUE, _VERMILLION = (0, 114, 178), (213, 94, 0)


def confusion_image(shares: np.ndarray) -> str:
  """Draws a confusion matrix of many classes as inline SVG.

  Args:
    shares: (k, k) float in [0, 1]; rows are true classes, columns predicted.

  Returns:
    An `<svg>` element. The diagonal is blue, mistakes are vermillion. Opacity
    grows with the square root of the fraction, so that a single mistake among
    hundreds is visible. Above 400 classes a cell is a block of classes, with
    the largest fraction of the block.
  """
  from matplotlib.figure import Figure

  cells = _largest_of_blocks(shares, math.ceil(len(shares) / _MOST_CELLS))
  hit = np.eye(len(cells), dtype=bool)[..., None]
  opacity = np.where(cells > 0, 0.25 + 0.75 * np.sqrt(cells), 0)
  pixels = _with_alpha(np.where(hit, _BLUE, _VERMILLION), opacity)
  colours = {"ink": "#010000", "grid": "#010001"}
  figure = Figure(figsize=(6.4, 6.4), layout="constrained")
  axes = figure.add_subplot()
  end = len(shares) - 0.5
  axes.imshow(pixels, interpolation="none", extent=(-0.5, end, end, -0.5))
  axes.set_xlabel("predicted class (index)")
  axes.set_ylabel("true class (index)")
  colour_frame(axes, colours)
  return svg(figure, colours, salt="confusion")


def is_small(image: np.ndarray) -> bool:
  """Whether an image (h, w, c) is enlarged without smoothing."""
  return max(image.shape[:2]) <= _PNG_UP_TO


def image_uri(image: np.ndarray, *, exact: bool = False) -> str:
  """Encodes an image as a data URI.

  Args:
    image: (h, w, c) uint8; c is 1 (grey), 3 (colour) or 4 (colour with alpha).
      Other numbers of channels are shown as the mean over channels.
    exact: whether an image of any size is stored without loss.

  Returns:
    A lossless PNG for images up to 96 pixels or with alpha, and for exact ones;
    otherwise a JPEG.
  """
  from PIL import Image

  if image.shape[-1] not in (1, 3, 4):
    image = image.mean(axis=-1, keepdims=True).astype(np.uint8)
  picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
  exact = exact or is_small(image) or image.shape[-1] == 4
  kind = "png" if exact else "jpeg"
  buffer = io.BytesIO()
  picture.save(buffer, format=kind, **({} if exact else {"quality": 88}))
  return f"data:image/{kind};base64," + base64.b64encode(
    buffer.getvalue()
  ).decode("ascii")


def filter_images(filters: np.ndarray) -> np.ndarray:
  """Converts filters to images; each filter is scaled by its largest weight.

  Args:
    filters: (n, h, w, c) float.

  Returns:
    (n, h, w, 4) uint8. Filters with three channels are colours, with grey for
    0. Others are the mean over channels: blue for positive weights, vermillion
    for negative weights, transparent for 0.
  """
  filters = np.nan_to_num(np.asarray(filters, np.float32))
  colour = filters.shape[-1] == 3
  if not colour:
    filters = filters.mean(axis=-1, keepdims=True)
  largest = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
  scaled = filters / np.maximum(largest, np.finfo(np.float32).tiny)
  if colour:
    opaque = np.ones(scaled.shape[:-1])
    return _with_alpha(np.rint(127.5 + 127.5 * scaled), opaque)
  signs = np.where(scaled >= 0, _BLUE, _VERMILLION)
  return _with_alpha(signs, np.abs(scaled[..., 0]))


def tile(images: np.ndarray) -> np.ndarray:
  """Tiles images into a sheet of about 3 : 1, with one clear pixel between.

  Args:
    images: (n, h, w, 4) uint8.

  Returns:
    (H, W, 4) uint8, row by row.
  """
  count, height, width, channels = images.shape
  columns = min(count, math.ceil(math.sqrt(3 * count)))
  rows = math.ceil(count / columns)
  sheet = np.zeros((rows * columns, height + 1, width + 1, channels), np.uint8)
  sheet[:count, :height, :width] = images
  sheet = sheet.reshape(rows, columns, height + 1, width + 1, channels)
  sheet = sheet.transpose(0, 2, 1, 3, 4)
  sheet = sheet.reshape(rows * (height + 1), columns * (width + 1), channels)
  return sheet[:-1, :-1]


def _with_alpha(colours: np.ndarray, opacity: np.ndarray) -> np.ndarray:
  alpha = np.rint(255 * opacity)[..., None]
  return np.concatenate([colours, alpha], axis=-1).astype(np.uint8)


def _largest_of_blocks(values: np.ndarray, block: int) -> np.ndarray:
  """Maximum over blocks: `(k, k)` to `(ceil(k / block), ceil(k / block))`."""
  count = math.ceil(len(values) / block)
  padded = np.pad(values, (0, count * block - len(values)))
  return padded.reshape(count, block, count, block).max(axis=(1, 3))


def colour_frame(axes: Any, colours: Mapping[str, str]) -> None:
  """Sets the colour of ticks, labels and spines to "ink"."""
  axes.tick_params(
    colors=colours["ink"], labelsize=8, length=2.5, width=0.7, which="both"
  )
  for axis in (axes.xaxis, axes.yaxis):
    axis.label.set(color=colours["ink"], fontsize=8.5)
  for spine in axes.spines.values():
    spine.set(edgecolor=colours["ink"], linewidth=0.7)


def svg(figure: Any, colours: Mapping[str, str], *, salt: str) -> str:
  """A matplotlib figure as inline SVG.

  Args:
    figure: a figure that is drawn with placeholder colours.
    colours: {CSS custom property: its placeholder, "#rrggbb"}.
    salt: text that is different for each chart of a page.
  """
  import matplotlib

  buffer = io.StringIO()
  # The charts of a page share one name space for ids. The salt makes the ids of
  # clip paths and markers reproducible and different in each chart. The ids of
  # groups are equal in all charts and unused, so they are removed.
  settings = {"svg.fonttype": "none", "svg.hashsalt": salt}
  with matplotlib.rc_context(settings):
    figure.savefig(buffer, format="svg", transparent=True)
  text = buffer.getvalue()
  text = text[text.index("<svg") :]
  text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
  text = re.sub(r'<g id="[^"]*"', "<g", text)
  for name, colour in colours.items():
    text = text.replace(colour, f"var(--{name})")
  return text
