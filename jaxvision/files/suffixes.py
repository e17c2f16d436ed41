"""File suffixes and the formats that they stand for."""

import pathlib

from jaxvision.files import atomic
from jaxvision.files.escaping import printable

# Suffixes that identify a file format.
_KNOWN = (
  ".onnx .pb .tflite .h5 .hdf5 .keras .pt .pth .pt2 .ckpt .mar .safetensors "
  ".npz .npy .mlmodel .mlpackage .engine .trt .plan .xml .gguf .msgpack .pkl "
  ".pickle .joblib .mlir .jax .zip .tar .gz .tgz .xz .zst .json .jsonl .yaml "
  ".yml .toml .csv .tsv .txt .md .rst .py .ipynb .html .htm .pdf .ps .eps .svg "
  ".png .jpg .jpeg .jpe .webp .gif .bmp .tif .tiff .ico .avif .heic .docx "
  ".xlsx .pptx .db .sqlite .parquet .arrow .tfrecord"
)


def check(path: atomic.StrPath, *endings: str, what: str) -> None:
  """Raises ValueError if the suffix of a path belongs to another format.

  Args:
    path: of a file that will be written.
    endings: the suffixes that fit, the usual one first. Suffixes of no known
      format are accepted.
    what: the content of the file, such as "a page of HTML".
  """
  path = pathlib.Path(path)
  ending = path.suffix.lower()
  if ending in _KNOWN.split() and ending not in endings:
    raise ValueError(
      f"{printable(path)} has the suffix of another format, but {what} will "
      f"be written; name it {printable(path.with_suffix(endings[0]))}"
    )
