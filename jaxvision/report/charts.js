// Draws the charts of a page with Chart.js, and makes them answer: values under
// the pointer, series on and off, zoom, smoothing, axes. jaxvision/report/
// charts.py writes the elements that this file looks for.
"use strict";

const colour = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);
const DASHES = { solid: [], dashed: [7, 4], dotted: [2, 3] };

function written(value) {
  if (value === null || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e5 || (size > 0 && size < 1e-3)) return value.toExponential(3);
  return String(Number(value.toPrecision(4)));
}

// The moving average of TensorBoard, without its bias towards 0 at the start;
// gaps stay gaps.
function smooth(points, weight) {
  let total = 0, norm = 0;
  return points.map(({ x, y, row }) => {
    if (y === null) return { x, y, row };
    total = weight * total + (1 - weight) * y;
    norm = weight * norm + (1 - weight);
    return { x, y: total / norm, row };
  });
}

// The nearest point of each shown curve. The curves have different steps.
// Points without a line may be above each other.
function nearestOfEach(chart, position) {
  const found = [];
  for (const meta of chart.getSortedVisibleDatasetMetas()) {
    const { faint, apart } = chart.data.datasets[meta.index];
    if (faint) continue;
    let best = null, distance = Infinity;
    meta.data.forEach((element, index) => {
      const away = apart ?
        Math.hypot(element.x - position.x, element.y - position.y) :
        Math.abs(element.x - position.x);
      const known = chart.data.datasets[meta.index].data[index].y !== null;
      const { left, right } = chart.chartArea;
      const inside = element.x >= left - 1 && element.x <= right + 1;
      if (known && inside && away < distance) {
        best = { element, datasetIndex: meta.index, index };
        distance = away;
      }
    });
    if (best) found.push(best);
  }
  const closest = Math.min(
    ...found.map((each) => Math.abs(each.element.x - position.x)));
  return found.filter(
    (each) => Math.abs(each.element.x - position.x) < closest + 24);
}

const marks = {
  id: "marks",
  afterDatasetsDraw(chart, _, { steps = [] }) {
    const { ctx, chartArea: { top, bottom, left, right } } = chart;
    ctx.save();
    ctx.strokeStyle = colour("soft");
    ctx.setLineDash(DASHES.dotted);
    for (const step of steps) {
      const x = chart.scales.x.getPixelForValue(step);
      if (x < left || x > right) continue;
      ctx.beginPath();
      ctx.moveTo(x, top);
      ctx.lineTo(x, bottom);
      ctx.stroke();
    }
    ctx.restore();
  },
};

// One figure: its elements, what it shows, and its chart.
function makeFigure(element) {
  const spec = JSON.parse(element.querySelector("script").textContent);
  const frame = element.querySelector(".canvas");
  const label = frame.dataset.label;
  frame.textContent = "";
  const canvas = document.createElement("canvas");
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  const band = document.createElement("div");
  band.className = "band";
  band.hidden = true;
  const spoken = document.createElement("div");
  spoken.className = "unseen";
  spoken.setAttribute("aria-live", "polite");
  frame.append(canvas, band, tip, spoken);
  return {
    element, spec, frame, canvas, tip, band, spoken,
    axis: Object.keys(spec.axes)[0], smoothing: 0, log: spec.log,
    hidden: new Set(), zoom: null, chart: null,
  };
}

function points(figure, series) {
  const x = series.x[figure.axis];
  return series.y.map(
    (y, i) => ({ x: x[i], y, row: series.rows ? series.rows[i] : null,
      text: series.texts ? series.texts[i] : null }));
}

function datasets(figure) {
  const { spec, smoothing } = figure;
  return spec.series.flatMap((series, index) => {
    const own = points(figure, series);
    const ink = colour(series.colour);
    const few = own.length <= 20 && series.dash !== "dotted";
    const apart = series.dash === "none";
    const common = {
      label: series.name, series: index,
      hidden: figure.hidden.has(series.name),
      borderColor: ink, backgroundColor: ink, borderWidth: 1.8,
      borderDash: DASHES[series.dash] || [], spanGaps: false,
      pointStyle: series.shape, showLine: spec.kind === "line" && !apart, apart,
      pointRadius: spec.kind === "points" || apart ? 4 :
        own.length === 1 ? 5 : few * 2.5,
      pointHoverRadius: 6, pointHitRadius: 8,
      pointBorderColor: spec.kind === "points" ? colour("card") : ink,
      pointBorderWidth: spec.kind === "points" ? 0.5 : 1,
      barPercentage: 1, categoryPercentage: 0.9, clip: 5,
    };
    if (spec.kind === "points" || apart) {
      // Crosses and stars have no area: they are drawn with their border.
      const lines = ["cross", "crossRot", "star"].includes(series.shape);
      if (lines) Object.assign(common, { pointBorderColor: ink,
        pointBorderWidth: 1.5 });
    }
    if (!smoothing || apart || own.length < 3) return [{ ...common, data: own }];
    const faint = ink.startsWith("#") ? ink + "40" : ink;
    return [
      { ...common, data: own, faint: true, borderColor: faint,
        pointRadius: 0, pointHoverRadius: 0 },
      { ...common, data: smooth(own, smoothing), pointRadius: 0 },
    ];
  });
}

function scales(figure) {
  const { spec, axis, zoom } = figure;
  const ink = colour("soft"), grid = colour("grid");
  const title = (text) =>
    ({ display: true, text, color: ink, font: { size: 12 } });
  const ticks = { color: ink, font: { size: 11 }, maxRotation: 0,
    callback: (value) => Math.abs(value) >= 1e4 ?
      `${value / 1e3}k` : String(Number(value.toPrecision(4))) };
  const bounds = { ...spec.bounds };
  const names = spec.categories[axis], wide = spec.wide.includes(axis);
  if (names) bounds.x = [-0.5, names.length - 0.5];
  const short = (text) => text.length > 18 ? `${text.slice(0, 17)}…` : text;
  const places = names && {
    callback: (value) => short(names[value] ?? ""), stepSize: 1,
    includeBounds: false };
  if (spec.kind === "line" && !bounds.x && !wide) {
    // A curve ends at the frame.
    const all = spec.series.flatMap((series) => series.x[axis]);
    bounds.x = [Math.min(0, ...all), Math.max(...all)];
  }
  const stacked = spec.kind === "bars";
  return {
    x: { stacked, type: wide ? "logarithmic" : "linear",
      title: title(spec.axes[axis]), offset: false,
      ticks: { ...ticks, autoSkipPadding: 18,
        includeBounds: !spec.bounds.x, ...places },
      afterBuildTicks: names && ((scale) => {
        scale.ticks = names.map((_, value) => ({ value }))
          .filter(({ value }) => value >= scale.min && value <= scale.max);
      }),
      grid: { display: false },
      border: { color: ink }, min: zoom ? zoom[0] : bounds.x?.[0],
      max: zoom ? zoom[1] : bounds.x?.[1] },
    y: { stacked, type: figure.log ? "logarithmic" : "linear", title: title(spec.label),
      ticks: { ...ticks, autoSkip: true, maxTicksLimit: 8 },
      grid: { color: grid }, border: { display: false },
      min: zoom ? undefined : bounds.y?.[0],
      max: zoom ? undefined : bounds.y?.[1] },
  };
}

function refresh(figure) {
  figure.chart.data.datasets = datasets(figure);
  figure.chart.options.scales = scales(figure);
  const steps = (figure.spec.marks || {})[figure.axis];
  figure.chart.options.plugins.marks.steps = steps || [];
  figure.chart.update("none");
  const reset = figure.element.querySelector(".reset");
  if (reset) reset.disabled = !figure.zoom;
}

// The rows of the tip: the place on the horizontal axis, and each value.
function describe(figure, items) {
  const { spec } = figure;
  const at = items[0].raw;
  const name = spec.axes[figure.axis];
  const place = spec.categories[figure.axis]?.[at.x] ?? written(at.x);
  const lines = items.map((item) => ({
    text: `${item.raw.text ?? item.dataset.label}: ${written(item.raw.y)}`,
    colour: colour(spec.series[item.dataset.series].colour), item,
  }));
  if (spec.kind !== "points") {
    return { head: `${name} ${place}`, lines, at };
  }
  const row = document.querySelector(`[data-example="${at.row}"]`);
  return { head: row ? row.dataset.text : items[0].dataset.label, lines: [], at };
}

function showTip(figure, { chart, tooltip }) {
  const { tip, frame } = figure;
  if (!tooltip.opacity || !tooltip.dataPoints?.length) {
    tip.hidden = true;
    return;
  }
  const { head, lines, at } = describe(figure, tooltip.dataPoints);
  tip.replaceChildren();
  const picture = document.querySelector(`[data-example="${at.row}"] .thumb`);
  if (figure.spec.kind === "points" && picture) {
    const copy = picture.cloneNode(true);
    copy.removeAttribute("role");
    tip.append(copy);
  }
  const title = document.createElement("b");
  title.textContent = head;
  tip.append(title);
  for (const line of lines) {
    const row = document.createElement("div"), key = document.createElement("i");
    key.style.background = line.colour;
    row.append(key, line.text);
    tip.append(row);
  }
  tip.hidden = false;
  const width = tip.offsetWidth, room = frame.clientWidth;
  const left = tooltip.caretX + 14 + width > room ?
    tooltip.caretX - width - 14 : tooltip.caretX + 14;
  tip.style.left = `${Math.max(0, Math.min(left, room - width))}px`;
  const height = Math.max(0, frame.clientHeight - tip.offsetHeight);
  const top = Math.min(height, tooltip.caretY - 12);
  tip.style.top = `${Math.max(0, top)}px`;
  figure.spoken.textContent = figure.byKey ?
    [head, ...lines.map((line) => line.text)].join(", ") : "";
}

function draw(figure) {
  const { spec, canvas } = figure;
  figure.chart = new Chart(canvas, {
    type: spec.kind === "bars" ? "bar" : spec.kind === "line" ? "line" :
      "scatter",
    data: { datasets: [] },
    options: {
      animation: false, responsive: true, maintainAspectRatio: false,
      // Without parsing, Chart.js takes the points for sorted; curves are.
      parsing: spec.kind === "points", normalized: spec.kind !== "points",
      interaction: spec.kind === "points" ?
        { mode: "nearest", intersect: false } :
        { mode: "nearestOfEach", intersect: false },
      plugins: {
        legend: { display: false }, marks: {},
        tooltip: { enabled: false, external: (on) => showTip(figure, on) },
      },
    },
    plugins: [marks],
  });
  refresh(figure);
}

// The places on the horizontal axis at which some shown curve has a value.
function places(figure) {
  const found = new Set();
  for (const { data, hidden } of figure.chart.data.datasets) {
    if (!hidden) data.forEach(({ x, y }) => y !== null && found.add(x));
  }
  const { min, max } = figure.chart.scales.x;
  return [...found].filter((x) => x >= min && x <= max).sort((a, b) => a - b);
}

function activate(figure, items, position) {
  const { chart } = figure;
  chart.setActiveElements(items);
  chart.tooltip.setActiveElements(items, position);
  chart.update("none");
}

function moveByKey(figure, step) {
  const { chart } = figure;
  const all = places(figure);
  if (!all.length) return;
  const last = all.length - 1;
  const before = figure.place ?? (step > 0 ? -1 : all.length);
  figure.place = Math.max(0, Math.min(last, before + step));
  const x = chart.scales.x.getPixelForValue(all[figure.place]);
  const position = { x, y: (chart.chartArea.top + chart.chartArea.bottom) / 2 };
  let items = nearestOfEach(chart, position);
  if (figure.spec.kind === "points") items = items.slice(0, 1);
  figure.byKey = true;
  activate(figure, items, position);
}

function zoomAll(figure, range) {
  const group = figure.linked ? figure.group : [figure];
  for (const each of group) {
    each.zoom = range;
    each.place = undefined;
    refresh(each);
  }
}

function zoomByKey(figure, factor) {
  const { left, right } = figure.chart.chartArea;
  const centre = (left + right) / 2, half = ((right - left) / 2) * factor;
  zoomAll(figure, [centre - half, centre + half]
    .map((pixel) => figure.chart.scales.x.getValueForPixel(pixel)));
}

function listenToKeys(figure) {
  const keys = {
    ArrowRight: () => moveByKey(figure, 1),
    ArrowLeft: () => moveByKey(figure, -1),
    Home: () => moveByKey(figure, -Infinity),
    End: () => moveByKey(figure, Infinity),
    "+": () => zoomByKey(figure, 0.5),
    "=": () => zoomByKey(figure, 0.5),
    "-": () => figure.zoom && zoomByKey(figure, 2),
    Escape: () => { activate(figure, [], { x: 0, y: 0 });
      zoomAll(figure, null); },
  };
  figure.canvas.addEventListener("keydown", (event) => {
    if (!keys[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    keys[event.key]();
  });
  figure.canvas.addEventListener("blur", () => {
    figure.place = undefined;
    activate(figure, [], { x: 0, y: 0 });
  });
  figure.canvas.addEventListener("pointermove", () => {
    figure.byKey = false;
  });
}

// A mouse drags over the part to see; a finger scrolls the page.
function listenToDrags(figure) {
  const { canvas, band } = figure;
  let from = null;
  const inside = (event) => {
    const { left, right } = figure.chart.chartArea;
    return Math.max(left, Math.min(right, event.offsetX));
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch" || event.button) return;
    from = inside(event);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (from === null) return;
    const { top, bottom } = figure.chart.chartArea;
    const to = inside(event);
    band.hidden = Math.abs(to - from) < 6;
    Object.assign(band.style, {
      left: `${Math.min(from, to)}px`, width: `${Math.abs(to - from)}px`,
      top: `${top}px`, height: `${bottom - top}px`,
    });
  });
  canvas.addEventListener("pointerup", (event) => {
    if (from === null) return;
    const scale = figure.chart.scales.x, to = inside(event);
    const range = [from, to].sort((a, b) => a - b)
      .map((pixel) => scale.getValueForPixel(pixel));
    if (!band.hidden) zoomAll(figure, range);
    from = null;
    band.hidden = true;
  });
  canvas.addEventListener("pointercancel", () => {
    from = null;
    band.hidden = true;
  });
  canvas.addEventListener("dblclick", () => zoomAll(figure, null));
}

function listenToButtons(figure) {
  const keys = [...figure.element.querySelectorAll("button.key")];
  const apply = () => {
    for (const key of keys) {
      const shown = !figure.hidden.has(key.dataset.name);
      key.setAttribute("aria-pressed", String(shown));
    }
    refresh(figure);
  };
  for (const key of keys) {
    const { name } = key.dataset;
    key.addEventListener("click", () => {
      if (!figure.hidden.delete(name)) figure.hidden.add(name);
      apply();
    });
  }
  const on = (name, act) =>
    figure.element.querySelector(name)?.addEventListener("click", act);
  on(".all", () => { figure.hidden.clear(); apply(); });
  on(".none", () => {
    keys.forEach((key) => figure.hidden.add(key.dataset.name));
    apply();
  });
  on(".reset", () => zoomAll(figure, null));
  figure.element.querySelector(".log")?.addEventListener("change", (event) => {
    figure.log = event.target.checked;
    refresh(figure);
  });
}

// The controls of a section act on all its charts.
function listenToControls(section, group) {
  const axis = section.querySelector(".controls .axis");
  const smoothing = section.querySelector(".controls .smoothing");
  axis?.addEventListener("change", () => {
    for (const each of group) {
      each.zoom = null;
      if (axis.value in each.spec.axes) each.axis = axis.value;
      refresh(each);
    }
  });
  smoothing?.addEventListener("input", () => {
    section.querySelector(".controls output").textContent = smoothing.value;
    for (const each of group) {
      each.smoothing = Number(smoothing.value);
      refresh(each);
    }
  });
  axis?.form.reset();
}

async function unpack(id) {
  const packed = atob(document.getElementById(id).textContent);
  const bytes = Uint8Array.from(packed, (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream();
  const script = document.createElement("script");
  script.textContent = await new Response(
    stream.pipeThrough(new DecompressionStream("gzip"))).text();
  document.head.append(script);
}

async function drawAll() {
  if (typeof DecompressionStream === "undefined") return;
  await unpack("chart-library");
  Chart.Interaction.modes.nearestOfEach = nearestOfEach;
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  const all = [];
  for (const section of document.querySelectorAll("section")) {
    const group = [...section.querySelectorAll("figure.chart")].map(makeFigure);
    const linked = section.querySelector(".controls .axis") !== null;
    for (const figure of group) {
      Object.assign(figure, { group, linked });
      draw(figure);
      listenToKeys(figure);
      listenToDrags(figure);
      listenToButtons(figure);
    }
    listenToControls(section, group);
    all.push(...group);
  }
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", () => all.forEach(refresh));
  document.documentElement.dataset.charts = "drawn";
}

drawAll();
