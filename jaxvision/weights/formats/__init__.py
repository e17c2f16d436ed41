"""File formats of weights: .npz, .safetensors and torch's own files.

`open_file` maps a file into memory and describes its arrays; an array is read
at its access.
"""

from jaxvision.weights.formats.array_file import ArrayFile
from jaxvision.weights.formats.files import note, open_file, write

__all__ = ["ArrayFile", "note", "open_file", "write"]
