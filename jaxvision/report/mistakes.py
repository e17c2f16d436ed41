"""The report section of mistakes, with the maps of where the network looked."""

import numpy as np

from jaxvision.report import figures, html, numbers
from jaxvision.runs import reading
from jaxvision.runs.reading import Run


def section(run: Run) -> tuple[str, str, str]:
  """The section `(title, HTML, note)` of the most confident mistakes."""
  return _title(run), _pictures(run), _note(run)


def _is_explained(run: Run) -> bool:
  """Whether some mistakes have heat maps."""
  return bool(len(run.explanations.get("predicted", ())))


def _title(run: Run) -> str:
  if _is_explained(run):
    return "Mistakes, and where the network looked"
  return "Most confident mistakes"


def _note(run: Run) -> str:
  note = (
    "Wrong predictions with the highest probability: often hard images, "
    "sometimes wrong labels."
  )
  if limit := str(run.explanations.get("limit", "")):
    note += f" {limit}"
  if not _is_explained(run):
    return note
  return (
    f"{note} The maps ({run.explanations['method']}) show the pixels that "
    "support the predicted class and the true class; red is most. Each map is "
    "scaled from its minimum to its maximum. docs/interpretation.md explains "
    "the methods."
  )


def _pictures(run: Run) -> str:
  names, mistakes = reading.class_names(run), run.evaluation
  if not len(mistakes["mistake_labels"]):
    return '<p class="soft">No mistakes.</p>'
  taught = mistakes.get("mistake_teachers")
  teachers = [""] * len(mistakes["mistake_labels"])
  if taught is not None:
    teachers = [names[label] for label in taught]
  rows = zip(
    mistakes["mistake_images"],
    mistakes["mistake_labels"],
    mistakes["mistake_predictions"],
    mistakes["mistake_confidences"],
    mistakes["mistake_ids"],
    teachers,
    strict=True,
  )
  shown = [
    (
      image,
      names[label],
      names[prediction],
      _text(names[label], names[prediction], confidence, identity, teacher),
    )
    for image, label, prediction, confidence, identity, teacher in rows
  ]
  maps = ()
  if _is_explained(run):
    found = run.explanations
    maps = list(zip(found["predicted"], found["true"], strict=True))
  explained = "".join(
    _explained(*mistake, *pair)
    for mistake, pair in zip(shown, maps, strict=False)
  )
  others = "".join(
    f"<div>{_picture(image, f'image of {true}')}{text}</div>"
    for image, true, _, text in shown[len(maps) :]
  )
  return (f'<div class="explained">{explained}</div>' if explained else "") + (
    f'<div class="pictures">{others}</div>' if others else ""
  )


def _explained(
  image: np.ndarray,
  true: str,
  predicted: str,
  text: str,
  of_predicted: np.ndarray,
  of_true: np.ndarray,
) -> str:
  """A mistake with the maps of both classes."""
  pictures = "".join(
    f"<div>{_picture(each, alt)}<p>{html.escape(caption)}</p></div>"
    for each, alt, caption in (
      (image, f"image of {true}", "image"),
      (
        of_predicted,
        f"heat map of the predicted class {predicted}",
        "predicted class",
      ),
      (of_true, f"heat map of the true class {true}", "true class"),
    )
  )
  return f'<div><div class="triple">{pictures}</div>{text}</div>'


def _picture(image: np.ndarray, alt: str) -> str:
  kind = ' class="pixels"' if figures.is_small(image) else ""
  return (
    f'<img{kind} src="{figures.image_uri(image)}" alt="{html.escape(alt)}">'
  )


def _text(
  true: str, predicted: str, confidence: float, identity: str, teacher: str
) -> str:
  true, predicted = html.escape(true), html.escape(predicted)
  taught = f"<br>teacher <b>{html.escape(teacher)}</b>" if teacher else ""
  identity = html.escape(identity)
  return (
    f"<p>true <b>{true}</b><br>predicted <b>{predicted}</b><br>"
    f"{numbers.percent(float(confidence))}{taught}"
    # A long path is cut at its start: its end is the name of the file.
    f'<small title="{identity}"><bdi dir="ltr">{identity}</bdi></small>'
    "</p>"
  )
