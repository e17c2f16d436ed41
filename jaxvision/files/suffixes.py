"""The suffix of a file that is written says the format that is in it."""

import pathlib

from jaxvision.files import atomic
from jaxvision.files.escaping import printable

# That say what is in a file.
_KNOWN = (
  ".onnx .pb .tflite .h5 .hdf5 .keras .pt .pth .pt2 .ckpt .mar .safetensors "
  ".npz .npy .mlmodel .mlpackage .engine .trt .plan .xml .gguf .msgpack .pkl "
  ".pickle .joblib .mlir .jax .zip .tar .gz .tgz .xz .zst .json .jsonl .yaml "
  ".yml .toml .csv .tsv .txt .md .rst .py .ipynb .html .htm .pdf .ps .eps .svg "
  ".png .jpg .jpeg .jpe .webp .gif .bmp .tif .tiff .ico .avif .heic .docx "
  ".xlsx .pptx .db .sqlite .parquet .arrow .tfrecord"
)


def check(path: atomic.StrPath, *endings: str, what: str) -> None:
  """Raises ValueError for a path whose ending says another format.

  Args:
    path: of a file that will be written.
    endings: that fit, the usual one first; those of no known format pass.
    what: is written, such as "a page of HTML".
  """
  path = pathlib.Path(path)
  ending = path.suffix.lower()
  if ending in _KNOWN.split() and ending not in endings:
    raise ValueError(
      f"{printable(path)} has the ending of another format: {what} will "
      f"be written; call it {printable(path.with_suffix(endings[0]))}"
    )
