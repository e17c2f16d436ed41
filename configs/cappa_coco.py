"""Trains CapPa, or Cap, on the captions of COCO: ViT-B/16 and a decoder.

  jaxvision train --config configs/cappa_coco.py --workdir runs/cappa
  jaxvision train --config configs/cappa_coco.py:cap --workdir runs/cap
  jaxvision train --config configs/cappa_coco.py --workdir runs/cappa \\
    --config.task.options.vocabulary=c4_en.model

Tschannen et al. 2023, Image Captioners Are Scalable Vision Learners Too, with
the numbers of the authors' big_vision: 6 decoder blocks without biases, 75 % of
the examples predicted in parallel, images resized to 224 x 224 without crop or
flip. A SentencePiece file of 32,000 pieces, as of the authors, replaces the
words of the training captions.

Different from the authors: they train on 3 billion pairs of WebLI, 366,500
steps of 8192 with 10,000 steps of warm-up, and use COCO only as a short test.
Here it is 20 epochs of COCO's 118,287 training images of 2017, of whose
captions each step draws one, with a batch of 1024. The optimizer is theirs,
Adafactor. Their weight decay 1e-4 is not multiplied by the peak of the learning
rate; ours is, so it is 0.1.

The paper pre-trains an encoder: it reports classification, not captions. Not
yet run here.
"""

from jaxvision.configs import default

_SHARES = {"cappa": 0.75, "cap": 0.0}


def get_config(kind: str = "cappa") -> default.ConfigDict:
  """The recipe of "cappa" or "cap"."""
  if kind not in _SHARES:
    raise ValueError(
      f"configs/cappa_coco.py has no recipe {kind!r}; it has "
      f"{', '.join(_SHARES)}"
    )
  config = default.get_config()
  config.model.name = "vit_b16"
  # All patches are tokens of the decoder: there is no class token.
  config.model.options = {"pool": "mean"}

  config.task.name = "captioning"
  config.task.options = {
    "masked_share": _SHARES[kind],
    "vocabulary": "words",
    "minimum_count": 5,
    "maximum_words": 32_000,
    "length": 64,
    "captions": 5,
    "depth": 6,
    "width": 768,
    "mlp_dim": 3072,
    "num_heads": 12,
    "dropout": 0.0,
    "attention_bias": False,
    "decoder_bias": False,
  }

  # The folder with COCO's images and annotations, see docs/captions.md.
  config.data.kind = "captions"
  config.data.name = "coco"
  config.data.test = ""
  config.data.train_transforms = ("resize((224, 224))",)
  config.data.eval_transforms = ("resize((224, 224))",)

  config.optimizer.name = "adafactor"
  config.optimizer.learning_rate = 1e-3
  config.optimizer.weight_decay = 0.1
  config.optimizer.gradient_clip = 1.0
  config.schedule.name = "cosine"
  config.schedule.warmup = "10 percent"

  config.train.batch_size = 1024
  config.train.duration = "20 epochs"
  config.evaluate.every = "5 epochs"
  config.checkpoint.every = "1 epochs"
  return config
