"""The settings that select a data set."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Source:
  """A data set of any kind.

  Attributes:
    kind: "tfds", "folder", "captions", "webdataset", "npz", "mixture", or the
      user's own "FILE.py:FUNCTION".
    name: tfds: NAME[:VERSION]. npz, folder: the path. captions: the file of
      captions or its folder. webdataset: the folder, or a pattern. mixture: any
      text. FILE.py:FUNCTION: its argument.
    data_dir: tfds: the folder of the data sets; None is the default folder.
    num_classes: 0 infers it; any other number must agree with the data.
    labels: kind of the label of an image: "classes", one class; "sets", any
      number of classes; "numbers", one or several real numbers; "none", images
      without labels.
    sources: mixture: (weight, kind, name, split) of each source.
  """

  kind: str
  name: str = ""
  data_dir: str | os.PathLike | None = None
  num_classes: int = 0
  labels: str = "classes"
  sources: Sequence[Any] = ()
