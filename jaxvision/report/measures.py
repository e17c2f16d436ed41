"""The metrics of a run: the main one, its direction, units and meanings."""

from collections.abc import Iterable, Mapping

from jaxvision.report import numbers
from jaxvision.runs import reading
from jaxvision.runs.reading import Run

# The metric that stands for a run is the first of these that it has.
_MAIN = (
  *("top1", "mean_average_precision", "r2", "cider", "pixel_frechet"),
  "agreement",
)
_SMALLER = (
  *("loss", "label_loss", "perplexity", "hamming_loss", "pixel_frechet"),
  *("mean_absolute_error", "root_mean_squared_error"),
)
# Tasks whose loss is a negative log probability with these losses of labels.
_LIKELIHOODS = {
  "classification": ("softmax", "sigmoid"),
  "multilabel": ("sigmoid",),
}

_MEANINGS: Mapping[str, str] = {
  "top1": "share of the examples whose most probable class is the label",
  "top5": "share of the examples whose label is among the five most probable "
  "classes",
  "calibration_error": "mean difference of confidence and accuracy, over bins "
  "of the confidence",
  "agreement": "share of the examples to which student and teacher give the "
  "same class",
  "agreement_top5": "share of the examples whose class of the teacher is among "
  "the first five of the student",
  "teacher_top1": "top1 of the teacher",
  "label_loss": "mean loss of the labels, without the teacher",
  "mean_average_precision": "mean over the classes of the area below the curve "
  "of precision and recall",
  "subset_accuracy": "share of the examples with no wrong class",
  "hamming_loss": "share of wrong decisions, over all examples and classes",
  "r2": "1 - squared errors / scatter of the labels; 1 is best",
  "mean_absolute_error": "in the units of the labels",
  "root_mean_squared_error": "in the units of the labels",
  "cider": "CIDEr-D: similarity to the references by rare groups of words, 0 "
  "to 10",
  "rouge_l": "longest common sequence of words with a reference, 0 to 1",
  "exact_match": "share of the captions that equal a reference, word by word",
  "perplexity": "exp of the loss per word; 1 is best",
  "pixel_frechet": "Fréchet distance of real and generated images, reduced to "
  "8x8 cells; smaller is better",
  "critic_distance": "mean score of real pairs, minus that of generated pairs",
  "diversity": "mean difference of two images made of the same one, in units "
  "of [0, 1]; 0 means that the noise has no effect",
  "generated_score": "mean score that the critic gives to generated pairs",
  "real_score": "mean score that the critic gives to real pairs",
  "slope": "mean norm of the critic's gradient; the penalty keeps it near 1",
  "penalty": "mean penalty of the critic's gradient, with its weight",
  **{
    f"bleu{n}": f"share of groups of {text} that a reference has, 0 to 1"
    for n, text in enumerate(
      ("one word", "up to two words", "up to three words", "up to four words"),
      start=1,
    )
  },
}
_LOSSES = {
  "adversarial": "loss of the critic; a smaller one does not mean better "
  "images",
  "captioning": "mean negative log probability of a word, in nats",
  "distillation": "mean loss of the training",
}


def main(names: Iterable[str]) -> str:
  """The metric that stands for a run, among the names of its metrics."""
  names = list(names)
  first = next(iter(names), "loss")
  return next((each for each in _MAIN if each in names), first)


def main_of(run: Run) -> str:
  """The metric that stands for a run, finished or not; "loss" if unknown."""
  _, measured = reading.final(run)
  logged = [
    name.partition("/")[2]
    for line in run.lines
    for name in line
    if name.partition("/")[0] in ("validation", "validation_ema")
  ]
  return main([*measured, *logged])


def is_smaller_better(name: str) -> bool:
  """Whether a smaller value of a metric is better."""
  return name in _SMALLER


def task(run: Run) -> str:
  """The name of the task of a run."""
  return run.config.get("task", {}).get("name") or "classification"


def axis(name: str, run: Run) -> str:
  """The name and unit of a metric, for the axis of a chart."""
  if name == "top1":
    return "top-1 accuracy (%)"
  if name != "loss":
    return f"{name} (%)" if numbers.is_share(name) else name
  if task(run) == "captioning":
    return "loss per word (nats)"
  of_labels = run.config.get("loss", {}).get("name", "softmax")
  in_nats = of_labels in _LIKELIHOODS.get(task(run), ())
  return "loss (nats)" if in_nats else "loss"


def meaning(name: str, run: Run) -> str:
  """One sentence about a metric; "" for a metric that is not known."""
  if name == "loss":
    return _LOSSES.get(task(run), "mean loss of the examples")
  known, _, average = name.rpartition("_")
  if average in ("macro", "micro") and known in ("precision", "recall", "f1"):
    of = "mean over the classes" if average == "macro" else "of all decisions"
    return f"{known.replace('f1', 'F1')}, {of}"
  return _MEANINGS.get(name, "")
