"""torch's DataLoader with Pillow, as in torchvision's examples."""

import pathlib
from collections.abc import Iterator

import numpy as np
import torch

from loaders import MEAN, STD, pillow


class _Images(torch.utils.data.Dataset):
  """The normalised image (3, 224, 224) float32 of each file."""

  def __init__(self, files: list[str]):
    self.files = files
    self.rng = np.random.default_rng()
    self.mean = torch.tensor(MEAN).view(3, 1, 1) / 255
    self.std = torch.tensor(STD).view(3, 1, 1) / 255

  def __len__(self) -> int:
    return len(self.files)

  def __getitem__(self, index: int) -> torch.Tensor:
    image = np.array(pillow.augmented(self.files[index], self.rng))
    tensor = torch.from_numpy(image).permute(2, 0, 1).contiguous()
    return tensor.to(torch.float32).div(255).sub_(self.mean).div_(self.std)


def batches(
  folder: pathlib.Path, *, batch_size: int, workers: int
) -> Iterator[torch.Tensor]:
  """Yields (b, 3, 224, 224) float32.

  Args:
    folder: of a directory per class.
    batch_size: b.
    workers: processes; 0 means this process.
  """
  torch.set_num_threads(1)
  files = sorted(map(str, folder.glob("*/*.jpg")))
  loader = torch.utils.data.DataLoader(
    _Images(files),
    batch_size=batch_size,
    sampler=torch.utils.data.RandomSampler(
      files, replacement=True, num_samples=2**40
    ),
    num_workers=workers,
    multiprocessing_context="spawn" if workers else None,
  )
  yield from loader
