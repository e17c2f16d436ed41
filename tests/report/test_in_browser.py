"""The pages in a real browser: they render, answer, and fit.

  make test-browser

installs the driver and runs these tests with the Chromium of the machine;
CHROMIUM names another one. JAXVISION_SCREENSHOTS=FOLDER keeps pictures of the
page at the three widths, and report.png, the picture of the README;
JAXVISION_REPORT=FILE shows the page of another run on them.
"""

import base64
import io
import os
import pathlib
import shutil

import fake_runs
import fake_sweeps
import numpy as np
import pytest
from PIL import Image

from jaxvision import report

pytestmark = pytest.mark.browser

WIDTHS = {400: 800, 1280: 900, 3840: 2160}  # {width: height} in pixels


@pytest.fixture(scope="module")
def chromium():
  from playwright import sync_api

  path = os.environ.get("CHROMIUM") or shutil.which("chromium")
  assert path, "no chromium: install it, or set CHROMIUM to another browser"
  with sync_api.sync_playwright() as driver:
    browser = driver.chromium.launch(
      executable_path=path, args=["--no-sandbox"]
    )
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def addresses(tmp_path_factory):
  """The addresses of the pages of a run, a comparison and a sweep."""
  folder = tmp_path_factory.mktemp("runs")
  run = fake_runs.write_run(folder / "run", epochs=12)
  other = fake_runs.write_run(folder / "other", learning_rate=0.01)
  sweep = fake_sweeps.write(folder / "sweep", [*_trials()])
  pages = {
    "run": report.write_report(run),
    "comparison": report.write_comparison([run, other], folder / "two.html"),
    "sweep": report.write_sweep(sweep),
  }
  return {kind: page.as_uri() for kind, page in pages.items()}


def _trials():
  """Trials with a logarithmic setting, a linear one, labels and seeds."""
  rng = np.random.default_rng(0)
  for _ in range(40):
    rate, width = 10 ** rng.uniform(-4, -1), float(rng.uniform(8, 64))
    name = ["adam", "lion", "sgd"][rng.integers(3)]
    settings = {
      "optimizer.learning_rate": rate,
      "model.options.width": width,
      "optimizer.name": name,
    }
    value = 0.95 - 0.1 * (np.log10(rate) + 2) ** 2 + width / 2000
    for seed in (0, 1):
      yield {
        "settings": {**settings, "seed": seed},
        "value": float(value + rng.normal(0, 0.01)),
      }


@pytest.fixture
def opened(chromium, addresses):
  """opened(width, scheme, kind) -> a drawn page; no error may be logged."""
  problems, contexts = [], []

  def open_page(width=1280, scheme="light", kind="run"):
    size = {"width": width, "height": WIDTHS[width]}
    # Offline: a page that loads anything else fails.
    context = chromium.new_context(
      viewport=size, color_scheme=scheme, offline=True
    )
    contexts.append(context)
    page = context.new_page()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
      "console",
      lambda line: (
        line.type in ("error", "warning") and problems.append(line.text)
      ),
    )
    page.goto(addresses[kind])
    page.wait_for_selector("html[data-charts=drawn]")
    return page

  yield open_page
  for context in contexts:
    context.close()
  assert problems == []


def _figure(page, title):
  return page.locator(f"figure.chart[aria-label={title!r}]")


def _pixels(figure):
  """(h, w, 4) int, the pixels of a chart; transparent where nothing is."""
  uri = figure.locator("canvas").evaluate("canvas => canvas.toDataURL()")
  content = base64.b64decode(uri.partition(",")[2])
  picture = Image.open(io.BytesIO(content)).convert("RGBA")
  return np.asarray(picture).astype(int)


def _blue(figure):
  """The number of blue pixels, the colour of training."""
  red, _, blue, alpha = np.moveaxis(_pixels(figure), -1, 0)
  return ((blue - red > 120) & (alpha > 128)).sum()


def _ends(page, title):
  """The ends of the horizontal axis, and the kind of the vertical one."""
  return (
    _figure(page, title)
    .locator("canvas")
    .evaluate(
      """canvas => {
      const {x, y} = Chart.getChart(canvas).scales;
      return [x.min, x.max, y.type];
    }"""
    )
  )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
  ("kind", "charts"), [("run", 9), ("comparison", 4), ("sweep", 5)]
)
def test_the_page_is_drawn_and_fits(opened, kind, charts, width, scheme):
  page = opened(width, scheme, kind)
  beyond = "document.documentElement.scrollWidth - innerWidth"
  assert page.evaluate(beyond) <= 0
  figures = page.locator("figure.chart").all()
  assert len(figures) == charts
  for figure in figures:
    assert (_pixels(figure)[..., 3] > 0).sum() > 300


@pytest.mark.skipif(
  "JAXVISION_SCREENSHOTS" not in os.environ,
  reason="JAXVISION_SCREENSHOTS names no folder for pictures",
)
def test_pictures_are_kept(opened):
  folder = pathlib.Path(os.environ["JAXVISION_SCREENSHOTS"])
  shown = os.environ.get("JAXVISION_REPORT")
  pages = {}
  for width in WIDTHS:
    for scheme in ("light", "dark"):
      page = pages[width, scheme] = opened(width, scheme)
      if shown:
        page.goto(pathlib.Path(shown).resolve().as_uri())
        page.wait_for_selector("html[data-charts=drawn]")
      path = folder / f"report-{width}-{scheme}.png"
      page.screenshot(path=path, full_page=True)
    for kind in ("comparison", "sweep"):
      page = opened(width, "light", kind)
      page.screenshot(path=folder / f"{kind}-{width}.png", full_page=True)
  page = pages[1280, "light"]
  # A picture of a larger part than the window would lose the pointer.
  page.set_viewport_size({"width": 1280, "height": 2400})
  page.locator("figure.chart[aria-label=Loss] canvas").hover()
  left = _picture(page, "header", "#learning-curves")
  page.locator(".legend").last.hover()  # anywhere else
  right = _picture(page, "#predictions", "#embedding")
  height = min(left.height, right.height)
  both = Image.new("RGB", (left.width + right.width, height), "white")
  both.paste(left, (0, 0))
  both.paste(right, (left.width, 0))
  both.resize((1600, 1600 * height // both.width)).save(folder / "report.png")


def _picture(page, first, last):
  """The part of a page from one element to another, with a margin."""
  page.evaluate(
    """name => scrollTo({
      top: document.querySelector(name).getBoundingClientRect().top + scrollY
        - 30, behavior: "instant"})""",
    first,
  )
  boxes = page.evaluate(
    """names => names.map(name => {
      const {left, right, top, bottom} =
        document.querySelector(name).getBoundingClientRect();
      return {left, right, top, bottom};
    })""",
    [first, last],
  )
  clip = {
    "x": boxes[0]["left"] - 30,
    "y": boxes[0]["top"] - 20,
    "width": boxes[0]["right"] - boxes[0]["left"] + 60,
    "height": boxes[1]["bottom"] - boxes[0]["top"] + 40,
  }
  content = page.screenshot(clip=clip)
  return Image.open(io.BytesIO(content)).convert("RGB")


def test_colours_follow_the_scheme(opened):
  page = opened(scheme="dark")
  colour = """() => Chart.getChart(document.querySelector("canvas"))
    .data.datasets[0].borderColor"""
  dark = page.evaluate(colour)
  page.emulate_media(color_scheme="light")
  page.wait_for_function(f"({colour})() !== {dark!r}")


def test_the_pointer_and_the_keys_read_values(opened):
  page = opened()
  loss = _figure(page, "Loss")
  canvas, tip = loss.locator("canvas"), loss.locator(".tip")
  canvas.hover()
  assert tip.inner_text().startswith("step ")
  assert "train: " in tip.inner_text()
  page.mouse.move(0, 0)
  assert not tip.is_visible()
  canvas.focus()
  page.keyboard.press("Home")
  spoken = loss.locator("[aria-live]")
  first = spoken.inner_text()
  assert first.startswith("step 2, train: ")
  page.keyboard.press("ArrowRight")
  assert spoken.inner_text() != first
  page.keyboard.press("Escape")
  assert not tip.is_visible()


def test_a_slice_has_its_own_axis_and_names_its_trials(opened):
  page = opened(kind="sweep")
  kinds = """canvas => Chart.getChart(canvas).scales.x.type"""
  rates = _figure(page, "optimizer.learning_rate").locator("canvas")
  assert rates.evaluate(kinds) == "logarithmic"
  widths = _figure(page, "model.options.width").locator("canvas")
  assert widths.evaluate(kinds) == "linear"
  names = _figure(page, "optimizer.name")
  labels = names.locator("canvas").evaluate(
    "canvas => Chart.getChart(canvas).scales.x.ticks.map(x => x.label)"
  )
  assert labels == ["adam", "lion", "sgd"]
  place = names.locator("canvas").evaluate(
    """canvas => {
      const {x, y} = Chart.getChart(canvas).getDatasetMeta(1).data[3];
      return {x, y};
    }"""
  )
  names.locator("canvas").hover(position=place)
  lines = names.locator(".tip").inner_text().splitlines()
  assert lines[0] == "name adam"
  assert lines[1].startswith("mean: ")
  assert lines[2].startswith("trial ") and "name=adam" in lines[2]


def test_a_zoom_of_a_logarithmic_axis_keeps_its_middle(opened):
  page = opened(kind="sweep")
  title = "optimizer.learning_rate"
  low, high, _ = _ends(page, title)
  _figure(page, title).locator("canvas").press("+")
  near, far, _ = _ends(page, title)
  assert low < near < far < high
  assert near * far == pytest.approx(low * high, rel=0.05)


def test_a_name_hides_its_curve(opened):
  page = opened()
  loss = _figure(page, "Loss")
  key = loss.get_by_role("button", name="train")
  before = _blue(loss)
  assert before > 100
  key.press("Enter")  # by the keyboard
  assert key.get_attribute("aria-pressed") == "false"
  assert _blue(loss) == 0
  key.click()
  assert key.get_attribute("aria-pressed") == "true"
  assert _blue(loss) == before


def test_a_drag_zooms_all_curves_and_a_double_click_resets(opened):
  page = opened()
  loss = _figure(page, "Loss")
  low, high, _ = _ends(page, "Loss")
  reset = loss.get_by_role("button", name="reset zoom")
  assert reset.is_disabled()
  box = loss.locator("canvas").bounding_box()
  middle = box["y"] + box["height"] / 2
  page.mouse.move(box["x"] + 0.4 * box["width"], middle)
  page.mouse.down()
  page.mouse.move(box["x"] + 0.6 * box["width"], middle, steps=4)
  page.mouse.up()
  near, far, _ = _ends(page, "Loss")
  assert low < near < far < high
  assert far - near < (high - low) / 3
  assert _ends(page, "Accuracy")[:2] == [near, far]
  assert reset.is_enabled()
  loss.locator("canvas").dblclick()
  assert _ends(page, "Loss")[:2] == [low, high]
  loss.locator("canvas").press("+")
  assert _ends(page, "Loss")[1] < high
  reset.click()
  assert _ends(page, "Loss")[:2] == [low, high]


def test_axes_and_smoothing_change_all_curves(opened):
  page = opened()
  section = page.locator("#learning-curves")
  steps = _ends(page, "Loss")[1]
  section.locator("select.axis").select_option("epoch")
  assert _ends(page, "Loss")[1] < steps / 5
  section.locator("select.axis").select_option("time")
  canvas = _figure(page, "Gradient").locator("canvas")
  canvas.hover()
  tip = _figure(page, "Gradient").locator(".tip")
  assert tip.inner_text().startswith("time in the loop (s)")
  before = canvas.evaluate(
    "canvas => Chart.getChart(canvas).data.datasets[0].data.map(p => p.y)"
  )
  section.locator(".smoothing").fill("0.9")
  assert section.locator("output").inner_text() == "0.9"
  after = canvas.evaluate(
    "canvas => Chart.getChart(canvas).data.datasets[1].data.map(p => p.y)"
  )
  # The mean with weights 0.9^age, divided by the sum of the weights.
  expected = [
    sum(y * 0.9 ** (i - j) for j, y in enumerate(before[: i + 1]))
    / sum(0.9**j for j in range(i + 1))
    for i in range(len(before))
  ]
  assert after == pytest.approx(expected)


def test_the_vertical_axis_is_linear_or_logarithmic(opened):
  page = opened()
  box = _figure(page, "Learning rate").get_by_label("log")
  assert _ends(page, "Learning rate")[2] == "linear"
  box.check()
  assert _ends(page, "Learning rate")[2] == "logarithmic"


def test_the_table_filters_and_sorts(opened):
  page = opened()
  rows = page.locator("tr[data-example]:visible")
  form = page.locator("form.filters")
  total = rows.count()
  form.get_by_label("Result").select_option("wrong")
  wrong = rows.count()
  assert 0 < wrong < total
  assert form.locator("output").inner_text() == f"{wrong} of {total} examples"
  form.get_by_label("Class").select_option("8")
  chosen = rows.evaluate_all(
    "rows => rows.map(x => [x.dataset.true, x.dataset.predicted])"
  )
  everything = page.locator("tr[data-result=wrong]").evaluate_all(
    "rows => rows.map(x => [x.dataset.true, x.dataset.predicted])"
  )
  assert chosen == [pair for pair in everything if "8" in pair]
  assert {pair.index("8") for pair in chosen} == {0, 1}
  form.get_by_role("button", name="reset").click()
  page.wait_for_function(
    f"document.querySelector('.filters output').textContent"
    f" === '{total} of {total} examples'"
  )
  form.get_by_label("smallest confidence in percent").fill("50")
  read = "rows => rows.map(x => Number(x.dataset.confidence))"
  confidences = rows.evaluate_all(read)
  assert 0 < len(confidences) < total and min(confidences) >= 0.5
  page.locator(".examples").get_by_role("button", name="confidence").click()
  shown = rows.evaluate_all(read)
  assert shown == sorted(confidences, reverse=True)
  page.locator(".examples").get_by_role("button", name="confidence").click()
  assert rows.evaluate_all(read) == sorted(confidences)


def test_the_embedding_shows_pictures(opened):
  page = opened()
  figure = _figure(page, "Logits")
  outside = figure.locator("canvas").evaluate(
    """canvas => {
      const chart = Chart.getChart(canvas);
      const {left, right, top, bottom} = chart.chartArea;
      return chart.getSortedVisibleDatasetMetas().flatMap(meta => meta.data)
        .filter(({x, y}) => x < left || x > right || y < top || y > bottom)
        .length;
    }"""
  )
  assert outside == 0
  place = figure.locator("canvas").evaluate(
    """canvas => {
      const {x, y} = Chart.getChart(canvas).getDatasetMeta(0).data[0];
      return {x, y};
    }"""
  )
  figure.locator("canvas").hover(position=place)
  tip = figure.locator(".tip")
  assert tip.inner_text().startswith("test/")
  assert ": true 0, predicted " in tip.inner_text()
  thumb = tip.locator(".thumb")
  assert thumb.evaluate("x => getComputedStyle(x).backgroundImage").startswith(
    'url("data:image/png'
  )
  assert thumb.bounding_box()["width"] == 96


def test_only_what_differs_from_the_defaults(opened):
  page = opened()
  rows = page.locator(".config tr:visible")
  before = rows.count()
  page.get_by_label("only what differs from the defaults").check()
  classes = rows.evaluate_all("rows => rows.map(row => row.className)")
  assert 0 < len(classes) < before
  assert set(classes) == {"changed", "override"}


def test_every_control_is_reached_by_the_keyboard_and_has_a_name(opened):
  page = opened()
  unnamed = page.evaluate(
    """() => [...document.querySelectorAll("button, select, input, canvas")]
      .filter(x => !(x.textContent.trim() || x.ariaLabel ||
        x.labels?.[0]?.textContent.trim()))
      .map(x => x.outerHTML.slice(0, 80))"""
  )
  assert unnamed == []
  skipped = page.evaluate(
    """() => [...document.querySelectorAll("button, select, input, canvas")]
      .filter(x => x.tabIndex < 0).length"""
  )
  assert skipped == 0
  assert page.evaluate("document.documentElement.lang") == "en"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["run", "comparison", "sweep"])
def test_texts_have_the_contrast_of_wcag_aa(opened, kind, scheme):
  """4.5 : 1, or 3 : 1 for large text; disabled controls are exempt."""
  page = opened(scheme=scheme, kind=kind)
  assert page.evaluate(_CONTRAST) == []


# Relative luminance and contrast by WCAG 2.1. The background of an element is
# that of its nearest ancestor with an opaque one; transparent texts and cells
# of the confusion matrix, whose tints are mixed, are checked by their opacity.
_CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((value) => {
      const s = value / 255;
      return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = parse(getComputedStyle(each).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const wrong = new Set();
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some(
      (node) => node.nodeType === 3 && node.textContent.trim());
    const style = getComputedStyle(element);
    if (!own || !element.checkVisibility() || element.disabled ||
        element.matches("script, style, .confusion .none, .unseen")) continue;
    const ink = light(parse(style.color)), paper = light(behind(element));
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    const size = parseFloat(style.fontSize);
    // A sign of a legend is a graphic.
    const large = element.ariaHidden || size >= 24 ||
      (size >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) {
      wrong.add(`${element.tagName}.${element.className} ${ratio.toFixed(2)}`);
    }
  }
  return [...wrong];
}"""
