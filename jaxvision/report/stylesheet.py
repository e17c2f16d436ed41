"""The stylesheet of the pages (light and dark), and the script for sorting.

The colours of the splits are the same on all pages: train is blue, validation
vermillion, test green. They and the series of a comparison use Okabe and Ito's
palette, which suits all kinds of colour vision. Dark mode has lighter colours.
"""

CSS = """
:root {
  --paper: #fbfbfa; --card: #ffffff; --ink: #1d2126; --soft: #636b74;
  --grid: #e4e6e8; --line: #dcdfe2; --accent: #0067a3; --mark: #fdf0d8;
  --train: #0072b2; --validation: #d55e00; --test: #00805c; --ema: #a8518a;
  --good: #00805c; --warn: #a06800; --bad: #b3261e;
  --series-0: #0072b2; --series-1: #d55e00; --series-2: #009e73;
  --series-3: #b3558f; --series-4: #a87900; --series-5: #2f8ac4;
  --series-6: #5b6168;
  --hit: 0 114 178; --miss: 213 94 0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --card: #1b1f23; --ink: #e5e8ea; --soft: #98a1aa;
    --grid: #2b3137; --line: #30363c; --accent: #6cbcf0; --mark: #3a2f17;
    --train: #56b4e9; --validation: #f28b45; --test: #35c79b; --ema: #df92c1;
    --good: #35c79b; --warn: #e0ab3b; --bad: #f28b82;
    --series-0: #56b4e9; --series-1: #f28b45; --series-2: #35c79b;
    --series-3: #df92c1; --series-4: #e0bd3b; --series-5: #2f8fd0;
    --series-6: #a9b1b8;
    --hit: 56 150 210; --miss: 235 120 40;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans",
    "Helvetica Neue", Arial, sans-serif;
}
main { max-width: max(1120px, 62vw); margin: 0 auto; padding: 36px 24px 72px; }
h1 { font-size: 38px; line-height: 1.15; letter-spacing: -.022em;
  font-weight: 650; margin: 4px 0 12px; overflow-wrap: anywhere; }
h2 { font-size: 20px; letter-spacing: -.01em; font-weight: 620;
  margin: 0 0 4px; }
h3 { font-size: 13px; font-weight: 600; margin: 0 0 6px; }
p { margin: 0 0 12px; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
code, pre { font: 12.5px/1.55 ui-monospace, SFMono-Regular, Menlo, Consolas,
  "DejaVu Sans Mono", monospace; }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere;
  user-select: all; }
section { margin-top: 44px; }
.kicker, .note, figcaption, .soft { color: var(--soft); }
.kicker { margin: 0; font-size: 14px; overflow-wrap: anywhere; }
.note { max-width: 92ch; font-size: 14px; margin-bottom: 14px;
  overflow-wrap: anywhere; }
.status { font-weight: 600; margin-right: 10px; }
.status::before { content: "●"; margin-right: 6px; font-size: 11px;
  vertical-align: 1px; }
.good { color: var(--good); } .warn { color: var(--warn); }
.bad { color: var(--bad); }
.problems { margin: 18px 0 0; padding: 12px 16px 12px 34px; font-size: 14px;
  background: var(--card); border: 1px solid var(--line);
  border-left: 3px solid var(--warn); border-radius: 6px;
  overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: 4px 20px; margin-top: 20px;
  padding-bottom: 10px; border-bottom: 1px solid var(--line);
  font-size: 14px; }
.tiles { display: grid; gap: 1px; margin: 22px 0 0; overflow: hidden;
  grid-template-columns: repeat(auto-fill, minmax(165px, 1fr));
  border: 1px solid var(--line); border-radius: 8px; background: var(--card); }
.tiles div { padding: 11px 16px 10px; box-shadow: 0 0 0 1px var(--line); }
dt { color: var(--soft); font-size: 12.5px; overflow-wrap: anywhere; }
dd { margin: 0; font-size: 17px; font-weight: 600; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
figure { margin: 0; min-width: 0; }
figcaption { font-size: 13px; margin-top: 6px; overflow-wrap: anywhere; }
.card, .charts figure { background: var(--card); padding: 14px 16px;
  border: 1px solid var(--line); border-radius: 8px; min-width: 0; }
.charts { display: grid; gap: 16px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); }
.pair { display: grid; gap: 16px; align-items: start;
  grid-template-columns: minmax(0, 1.75fr) minmax(0, 1fr); }
@media (max-width: 860px) { .pair { grid-template-columns: minmax(0, 1fr); } }
svg { display: block; width: 100%; height: auto; }
svg text { font-family: inherit !important; }
.key { display: inline-block; margin-right: 16px; }
.key i { display: inline-block; width: 20px; margin-right: 6px;
  border-top: 2.5px solid; vertical-align: 4px; }
.scroll { overflow: auto; max-height: 560px; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px;
  font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 5px 14px 5px 0; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th { position: sticky; top: 0; background: var(--card); color: var(--soft);
  font-weight: 500; font-size: 12.5px; white-space: nowrap; z-index: 1; }
tr:last-child td { border-bottom: 0; }
td.number { white-space: nowrap; }
th button { all: unset; cursor: pointer; }
th button:hover, th button:focus-visible { color: var(--accent);
  text-decoration: underline; }
th button::after { content: " ↕"; opacity: .5; }
th[aria-sort=ascending] button::after { content: " ↑"; opacity: 1; }
th[aria-sort=descending] button::after { content: " ↓"; opacity: 1; }
.confusion, .heat { table-layout: fixed; }
.confusion th, .confusion td, .heat th, .heat td {
  padding: 6.5px 6px; text-align: center;
  border: 2px solid var(--card); font-size: 13px;
  overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.confusion th, .heat th { color: var(--ink); }
.heat th { white-space: normal; }
.confusion thead th:first-child, .heat thead th:first-child {
  width: 138px; font-size: 11.5px; }
.confusion tbody th, .heat tbody th { position: sticky; left: 0; top: auto;
  text-align: right; }
.confusion td, .heat td { border-radius: 6px; min-width: 0; }
.heat td { background: rgb(var(--hit) / var(--a)); }
.heat .none { background: none; color: var(--soft); }
.confusion .hit { background: rgb(var(--hit) / var(--a)); }
.confusion .miss { background: rgb(var(--miss) / var(--a)); }
.confusion .none { color: var(--grid); }
.pictures { display: grid; gap: 18px 16px;
  grid-template-columns: repeat(auto-fill, minmax(116px, 1fr)); }
.pictures img, .explained img {
  display: block; width: 100%; border-radius: 5px;
  background: var(--card); outline: 1px solid var(--line); }
.pictures p, .explained p {
  margin: 6px 0 0; font-size: 13px; line-height: 1.4;
  overflow-wrap: anywhere; }
.explained small, .pictures small {
  display: block; color: var(--soft); font-size: 11.5px;
  overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
  direction: rtl; text-align: left; }
.explained { display: grid; gap: 22px 24px; margin-bottom: 22px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr)); }
.triple { display: grid; gap: 6px; grid-template-columns: repeat(3, 1fr); }
.maps { grid-template-columns:
  repeat(auto-fill, minmax(min(100%, 200px), 1fr)); margin-bottom: 14px; }
.classes { max-width: 520px; }
.wide { grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); }
.strips { grid-template-columns:
  repeat(auto-fill, minmax(min(100%, 460px), 1fr)); }
.strips img { outline: 0; border-radius: 0; background: none; }
.pictures + .pictures { margin-top: 22px; }
.small { grid-template-columns: repeat(auto-fill, minmax(92px, 1fr)); }
.pixels { image-rendering: pixelated; }
.sheet { display: block; width: 100%; max-width: 720px; }
.config { columns: 3 320px; column-gap: 16px; }
.config .card { break-inside: avoid; margin-bottom: 16px; }
.config td { overflow-wrap: anywhere; padding-right: 8px; }
.config td:first-child { color: var(--soft); width: 1%; white-space: nowrap;
  padding-right: 16px; }
.pair td, .charts td { overflow-wrap: anywhere; min-width: 58px; }
.charts { align-items: stretch; }
.tiles + .charts { margin-top: 22px; }
td:last-child:not(:first-child) { padding-right: 0; }
.starts td { white-space: nowrap; }
.starts td:last-child { white-space: normal; min-width: 340px; }
.config tr.override td { background: var(--mark); color: var(--ink); }
.config tr.changed td { color: var(--ink); font-weight: 600; }
.config td, .mono { font: 12px/1.5 ui-monospace, SFMono-Regular, Menlo,
  Consolas, "DejaVu Sans Mono", monospace; }
.config small { display: block; color: var(--soft); font-size: 11px;
  font-weight: 400; }
section:has(.differing:checked) .config :is(tr:not(.changed, .override),
  .card:not(:has(.changed, .override))) { display: none; }
#metrics td:last-child { min-width: 210px; }
.commands { display: grid; gap: 14px; }
.chart .head { display: flex; justify-content: space-between; gap: 8px;
  align-items: baseline; flex-wrap: wrap; }
.canvas { position: relative; height: 270px; min-width: 0; }
.canvas canvas { touch-action: pan-y; }
.canvas canvas:focus-visible { outline: 2px solid var(--accent);
  outline-offset: 2px; }
.tall .canvas { height: 420px; }
.band { position: absolute; background: var(--accent); opacity: .18;
  pointer-events: none; }
.tip { position: absolute; pointer-events: none; z-index: 2;
  max-width: 260px; padding: 6px 9px; font-size: 12.5px; line-height: 1.45;
  background: var(--card); border: 1px solid var(--soft); border-radius: 6px;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.tip i { display: inline-block; width: 9px; height: 9px; margin-right: 6px;
  border-radius: 2px; }
.tip b { font-weight: 600; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%); white-space: nowrap; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 6px; margin-top: 8px; }
.legend button, .buttons button, .controls button { font: inherit;
  font-size: 13px; color: var(--ink); background: none; cursor: pointer;
  border: 1px solid transparent; border-radius: 5px; padding: 2px 6px; }
.buttons { display: flex; gap: 10px; font-size: 13px; color: var(--soft); }
.buttons button, .legend .all, .legend .none { color: var(--accent); }
.buttons button:disabled { color: var(--soft); opacity: .55;
  cursor: default; }
.legend button:hover, .buttons button:enabled:hover {
  border-color: var(--line); }
.legend button[aria-pressed=false] { text-decoration: line-through;
  color: var(--soft); }
.legend button[aria-pressed=false] i { opacity: .3; }
.legend .key { margin: 0; }
button:focus-visible, select:focus-visible, input:focus-visible,
summary:focus-visible, a:focus-visible {
  outline: 2px solid var(--accent); outline-offset: 1px; }
.controls { display: flex; flex-wrap: wrap; gap: 8px 22px; margin: 6px 0 14px;
  align-items: center; font-size: 14px; }
.controls label { display: inline-flex; align-items: center; gap: 8px;
  flex-wrap: wrap; }
.controls select, .controls input { font: inherit; font-size: 13.5px;
  color: var(--ink); background: var(--card); max-width: 100%;
  border: 1px solid var(--soft); border-radius: 5px; padding: 2px 6px; }
.controls input[type=range] { padding: 0; width: 130px;
  accent-color: var(--accent); }
.controls output { min-width: 2.4em; font-variant-numeric: tabular-nums; }
.controls input[type=number] { width: 4.6em; }
.best { font-size: 18px; overflow-wrap: anywhere; }
.bars { margin: 0; display: grid; gap: 8px; }
.bars div { display: grid; grid-template-columns: 1fr auto; gap: 2px 12px; }
.bars dd { font-size: 13.5px; }
.bars i { grid-column: 1 / -1; height: 9px; border-radius: 3px;
  background: var(--train); }
.thumb { width: 48px; border-radius: 4px; background-repeat: no-repeat;
  outline: 1px solid var(--line); }
.tip .thumb { width: 96px; margin-bottom: 4px; }
.examples td { vertical-align: middle; overflow-wrap: anywhere; }
.examples .wrong { color: var(--bad); }
.examples small { color: inherit; opacity: .8; }
tr[hidden] { display: none; }
.tall { grid-template-columns: minmax(0, 1fr); }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
@media (max-width: 520px) {
  main { padding: 22px 14px 48px; }
  h1 { font-size: 29px; }
  .tiles { grid-template-columns: repeat(2, 1fr); }
  .card, .charts figure { padding: 12px; }
  .pictures { grid-template-columns: repeat(3, 1fr); gap: 14px 12px; }
  .maps { grid-template-columns: repeat(2, 1fr); }
  .wide { grid-template-columns: repeat(2, 1fr); }
  .strips { grid-template-columns: 1fr; }
}
@media print { .scroll { max-height: none; overflow: visible; } }
"""

SORTING = """
for (const head of document.querySelectorAll(".sortable th")) {
  head.querySelector("button").addEventListener("click", () => {
    const body = head.closest("table").tBodies[0];
    const down = head.getAttribute("aria-sort") !== "descending";
    const key = (row) => {
      const cell = row.cells[head.cellIndex];
      const value = cell.dataset.value;
      return value === undefined ? cell.textContent : Number(value);
    };
    const order = (a, b) => {
      if (Number.isNaN(a)) return 1;  // missing values are last
      if (Number.isNaN(b)) return -1;
      return (a < b ? -1 : a > b ? 1 : 0) * (down ? -1 : 1);
    };
    for (const other of head.parentNode.cells) {
      other.removeAttribute("aria-sort");
    }
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...[...body.rows].sort((a, b) => order(key(a), key(b))));
  });
}
"""
