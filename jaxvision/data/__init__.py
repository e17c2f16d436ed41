"""Data sets, transforms of images, and batches.

A batch is `{image (b, h, w, c) uint8, label (b,) int32, mask (b,) float32}`.
Rows with mask 0 are ignored: the padding of the last evaluation batch and, in
evaluation, unreadable images.

Only the device transforms need JAX. They are imported on first use, so that
listing and inspecting data starts fast.
"""

import importlib
from typing import Any

from jaxvision.data.batches.fields import read_texts
from jaxvision.data.batches.pipeline import Batches, make_batches
from jaxvision.data.batches.worker_processes import Died as WorkerDied
from jaxvision.data.dataset import LABEL_TYPES, Dataset, Field, relabel
from jaxvision.data.decoding import UnreadableImage, decode, read_image
from jaxvision.data.decoding.image_files import list_images
from jaxvision.data.decoding.unreadable import reason_of
from jaxvision.data.formats.box_files import read as read_boxes
from jaxvision.data.formats.caption_files import (
  Captioned,
  check_captions,
  listed,
)
from jaxvision.data.formats.caption_files import read as read_captions
from jaxvision.data.inspection.counts import SplitSummary, inspect, sample
from jaxvision.data.inspection.doctor import diagnose
from jaxvision.data.inspection.finding import Finding
from jaxvision.data.inspection.identity import (
  differences,
  identify,
  keeps_classes,
  overlaps,
)
from jaxvision.data.inspection.overlay import overlay
from jaxvision.data.inspection.variants import sample as sample_variants
from jaxvision.data.preparation import (
  ForegroundRules,
  assign_pictures,
  boxes_of,
  make_backgrounds,
  original_names,
  prepare,
)
from jaxvision.data.sources import (
  Source,
  hold_out,
  kind_of,
  open_dataset,
  split_sizes,
)
from jaxvision.data.sources.prepared import Prepared, list_datasets
from jaxvision.data.sources.variants import (
  VARIANTS,
  open_variant,
  variants_of,
)
from jaxvision.data.transforms.host import HostTransform, make_host_transform

__all__ = [
  "LABEL_TYPES",
  "VARIANTS",
  "Batches",
  "Captioned",
  "Dataset",
  "Field",
  "Finding",
  "ForegroundRules",
  "HostTransform",
  "Normalization",
  "Prepared",
  "Source",
  "SplitSummary",
  "UnreadableImage",
  "WorkerDied",
  "assign_pictures",
  "boxes_of",
  "check_captions",
  "decode",
  "diagnose",
  "differences",
  "hold_out",
  "identify",
  "inspect",
  "keeps_classes",
  "kind_of",
  "list_datasets",
  "list_images",
  "listed",
  "make_backgrounds",
  "make_batches",
  "make_device_transform",
  "make_host_transform",
  "moves_pixels",
  "normalize",
  "open_dataset",
  "open_variant",
  "original_names",
  "overlaps",
  "overlay",
  "prepare",
  "read_boxes",
  "read_captions",
  "read_image",
  "read_texts",
  "reason_of",
  "relabel",
  "sample",
  "sample_variants",
  "split_sizes",
  "to_pixels",
  "variants_of",
]


_ON_DEVICE = (
  "Normalization",
  "make_device_transform",
  "moves_pixels",
  "normalize",
  "to_pixels",
)


def __getattr__(name: str) -> Any:
  if name in _ON_DEVICE:
    module = importlib.import_module("jaxvision.data.transforms.device")
    return getattr(module, name)
  raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
