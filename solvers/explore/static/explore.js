// Controls -> question -> server -> tables -> plots. Answers that are no longer asked for are skipped.

import { draw, drawClip, legend, picture } from "./plots.js";

const $ = (id) => document.getElementById(id);
const PARTS = ["point", "rate", "perception"]; // one request each: drawn while the next is computed
const MOST_RATE = 6; // of a slider; a number may be larger
const known = {}; // tables by name, for CSV
let start; // what the server says first
let state; // the per-frame part of the question, kept when the number of frames changes
let timer = null;

// --- the question ---------------------------------------------------------------------------

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function numbers(text) {
  return text.split(",").map((part) => (part.trim() === "" ? NaN : Number(part)));
}

function number(input, name) {
  if (input.value.trim() === "" || !Number.isFinite(Number(input.value))) {
    throw new Error(`${name}: expected a number`);
  }
  return Number(input.value);
}

function list(id, name) {
  const found = numbers($(id).value);
  if (found.some(Number.isNaN)) throw new Error(`${name}: expected numbers separated by commas`);
  return found.length === 1 ? found[0] : found;
}

function question() {
  const frames = Number($("frames").value);
  const column = (name) => [...$("frame-table").tBodies[0].querySelectorAll(`.${name}[data-frame]`)]
    .map((input) => number(input, `${name} of frame ${input.dataset.frame}`));
  return {
    frames,
    rho: $("rho-list").value.trim() ? list("rho-list", "rho") : number($("rho-number"), "rho"),
    sigma: $("sigma-list").value.trim() ? list("sigma-list", "sigma") : 1,
    rates: column("rate"),
    levels: column("threshold"),
    weights: $("objective").value === "weighted" ? column("weight") : null,
    moved: $("moved").value === "all" ? null : Number($("moved").value),
    seed: state.seed,
  };
}

// --- asking ---------------------------------------------------------------------------------

let asking = false;
let again = false;
let since = null; // when the first control changed that is not yet drawn

export function ask() {
  since ??= performance.now();
  if (asking) { again = true; return; }
  asking = true;
  queueMicrotask(round); // when all listeners of this event have run
}

async function round() {
  again = false;
  const began = since;
  since = null;
  try {
    const asked = question();
    const body = JSON.stringify(asked);
    busy("computing\u2026");
    const parts = await Promise.allSettled(PARTS.map(async (part) => {
      show(part, asked, await post(`view/${part}`, body, { "Content-Type": "application/json" }));
    }));
    const failed = parts.find(({ status }) => status === "rejected");
    if (failed) throw failed.reason;
    fault(null);
    requestAnimationFrame(() => setTimeout(() => { // after the browser has painted
      const spent = performance.measure("update", { start: began, end: performance.now() });
      said(`updated in ${spent.duration.toFixed(0)} ms`);
    }));
  } catch (error) {
    fault(error.message);
    said("");
  }
  if (again) queueMicrotask(round);
  else asking = false;
}

async function post(path, body, headers = {}) {
  let response;
  try {
    response = await fetch(path, { method: "POST", body, headers });
  } catch {
    throw new Error("The server does not answer; is rdp explore still running?");
  }
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

function busy(text) { // said only if it lasts
  clearTimeout(timer);
  timer = setTimeout(() => { $("status").textContent = text; }, 300);
}

function said(text) {
  clearTimeout(timer);
  $("status").textContent = text;
}

function fault(text) {
  $("error").hidden = text === null;
  $("error").textContent = text ?? "";
}

// --- showing --------------------------------------------------------------------------------

const shown = {}; // the answer of each part, and what it answers

function show(part, asked, answer) {
  if (part !== "point") addSum(answer.tables[part], asked);
  shown[part] = { asked, answer };
  Object.assign(known, answer.tables);
  redraw(part);
  const notes = Object.values(shown).flatMap((of) => of.answer.notes);
  $("notes").replaceChildren(...notes.map((text) => element("li", { textContent: text })));
  if (part === "point") {
    $("code").textContent = answer.code;
    showNumbers(asked, answer);
  }
}

function redraw(part) {
  const { asked, answer } = shown[part];
  const moving = (values) => {
    const chosen = asked.moved === null ? values : [values[asked.moved - 1]];
    return chosen.every((value) => value === chosen[0]) ? chosen[0] : null;
  };
  const options = {
    shown: $("shown").value, moved: asked.moved, log: $("log").value === "log",
    at: { rate: moving(asked.rates), threshold: moving(asked.levels) },
  };
  for (const [name, table] of Object.entries(answer.tables)) draw(name, table, options);
}

const redrawAll = () => Object.keys(shown).forEach(redraw);

function addSum(table, asked) {
  const weights = asked.weights ?? Array(asked.frames).fill(1);
  table.distortion_sum = table.plf.map((_, i) => {
    const terms = weights.map((weight, t) => table[`distortion_${t + 1}`][i]);
    return terms.includes(null) ? null : terms.reduce((sum, d, t) => sum + weights[t] * d, 0);
  });
}

function digits(value) {
  if (value === null) return "\u2013";
  if (value !== 0 && Math.abs(value) < 1e-12) return "< 1e-12";
  return Number(value.toPrecision(5)).toString();
}

const sub = (t) => String.fromCharCode(0x2080 + t); // the digit t as a subscript

function showNumbers(asked, answer) {
  const frames = Array.from({ length: asked.frames }, (_, t) => t + 1);
  const heads = ["", ...frames.map((t) => `D${sub(t)}`), ...frames.map((t) => `P${sub(t)}`),
    "objective", "certified within"];
  const body = Object.entries(answer.bounds).map(([plf, { objective, gap }]) => {
    const at = answer.tables.frames.plf.flatMap((name, i) => (name === plf ? [i] : []));
    const cells = ["distortion", "perception"].flatMap((name) =>
      at.map((i) => digits(answer.tables.frames[name][i])));
    return [plf === "MMSE" ? "MMSE" : `PLF-${plf}`, ...cells, digits(objective), gap.toExponential(0)];
  });
  fill($("numbers"), heads, body);
}

function fill(table, heads, body) {
  const head = element("tr", {}, ...heads.map((text) => element("th", { textContent: text, scope: "col" })));
  const lines = body.map((cells) => element("tr", {}, ...cells.map((cell, i) =>
    cell instanceof Node ? element("td", {}, cell)
      : element(i ? "td" : "th", { textContent: cell, ...(i ? {} : { scope: "row" }) }))));
  table.replaceChildren(element("thead", {}, head), element("tbody", {}, ...lines));
}

// --- CSV and code ---------------------------------------------------------------------------

export function csv(table) {
  const names = Object.keys(table);
  const lines = table[names[0]].map((_, i) => names.map((name) => table[name][i] ?? "").join(","));
  return [names.join(","), ...lines, ""].join("\n");
}

function download(name) {
  if (!known[name]) return;
  const url = URL.createObjectURL(new Blob([csv(known[name])], { type: "text/csv" }));
  element("a", { href: url, download: `rdp-${name}.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

async function copy() {
  const text = $("code").textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch { // not allowed: select it, so that a key copies it
    getSelection().selectAllChildren($("code"));
    $("copy").textContent = "selected";
    return;
  }
  $("copy").textContent = "copied";
  setTimeout(() => { $("copy").textContent = "copy"; }, 1500);
}

// --- controls -------------------------------------------------------------------------------

function keep() { // what the rows say, before they are built anew
  for (const [kind, values] of Object.entries(state.columns)) {
    for (const input of document.querySelectorAll(`#frame-table .${kind}[data-frame]`)) {
      values[input.dataset.frame - 1] = input.value;
    }
  }
}

function cells(label, frame, values) {
  const box = (kind, what, value) => {
    const input = element("input", { type: "number", className: kind, min: 0, step: "any", value });
    input.ariaLabel = `${what}, ${label}`;
    return input;
  };
  const slider = element("input", { type: "range", className: "rate-slider", min: 0, max: MOST_RATE,
    step: 0.05, value: values.rate });
  slider.ariaLabel = `rate slider, ${label}`;
  const inputs = { slider, rate: box("rate", "rate", values.rate),
    threshold: box("threshold", "threshold", values.threshold), weight: box("weight", "weight", values.weight) };
  if (frame) for (const input of Object.values(inputs)) input.dataset.frame = frame;
  return inputs;
}

function rowOf(label, inputs) {
  const weight = element("td", { className: "weight" }, inputs.weight ?? "");
  return element("tr", {}, element("td", { textContent: label }), element("td", {}, inputs.slider),
    element("td", {}, inputs.rate), element("td", {}, inputs.threshold), weight);
}

function buildRows() {
  const frames = Number($("frames").value);
  $("frames-shown").textContent = frames;
  const columns = state.columns;
  const rows = Array.from({ length: frames }, (_, t) => {
    const inputs = cells(`frame ${t + 1}`, t + 1,
      { rate: columns.rate[t], threshold: columns.threshold[t], weight: columns.weight[t] });
    inputs.slider.addEventListener("input", () => { inputs.rate.value = inputs.slider.value; });
    inputs.rate.addEventListener("input", () => { inputs.slider.value = inputs.rate.value; });
    return rowOf(t + 1, inputs);
  });
  const all = cells("all frames", null, { rate: columns.rate[0], threshold: "", weight: "" });
  all.rate.value = "";
  delete all.weight;
  const spread = (kind, value) => {
    for (const input of document.querySelectorAll(`#frame-table .${kind}[data-frame]`)) input.value = value;
  };
  all.slider.addEventListener("input", () => {
    all.rate.value = all.slider.value;
    spread("rate", all.slider.value);
    spread("rate-slider", all.slider.value);
  });
  all.rate.addEventListener("input", () => {
    all.slider.value = all.rate.value;
    spread("rate", all.rate.value);
    spread("rate-slider", all.rate.value);
  });
  all.threshold.addEventListener("input", () => spread("threshold", all.threshold.value));
  const first = rowOf("all", all);
  first.className = "all";
  $("frame-table").tBodies[0].replaceChildren(first, ...rows);
  choices("moved", [["all", "every frame"]], frames, "frame");
  choices("shown", [["sum", "sum of distortions"]], frames, "distortion of frame");
}

function choices(id, first, frames, word) {
  const before = $(id).value;
  const options = [...first, ...Array.from({ length: frames }, (_, t) => [String(t + 1), `${word} ${t + 1}`])];
  $(id).replaceChildren(...options.map(([value, textContent]) => element("option", { value, textContent })));
  const kept = options.some(([value]) => value === before);
  $(id).value = kept ? before : first[0][0];
}

function tie() {
  $("rho").addEventListener("input", () => { $("rho-number").value = $("rho").value; });
  $("rho-number").addEventListener("input", () => { $("rho").value = $("rho-number").value; });
  $("frames").addEventListener("input", () => { keep(); buildRows(); });
  $("objective").addEventListener("input", () => {
    $("frame-table").classList.toggle("weighted", $("objective").value === "weighted");
  });
  $("redraw").addEventListener("click", () => { state.seed += 1; ask(); });
  $("copy").addEventListener("click", copy);
  for (const id of ["shown", "log"]) $(id).addEventListener("input", redrawAll);
  $("controls").addEventListener("input", (event) => {
    if (!["shown", "log"].includes(event.target.id)) ask();
  });
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  for (const button of document.querySelectorAll("[data-csv]")) {
    button.addEventListener("click", () => download(button.dataset.csv));
  }
  for (const button of document.querySelectorAll("[data-png]")) {
    button.addEventListener("click", () => picture(button.dataset.png));
  }
}

// --- a clip ---------------------------------------------------------------------------------

async function fitClip(file) {
  const body = new FormData();
  body.append("frames", $("clip-frames").value);
  if (file) body.append("clip", file, "clip");
  $("clip-status").textContent = "fitting\u2026";
  $("clip-result").hidden = true;
  try {
    const answer = await post("clip", body);
    known.clip = answer.curves;
    $("clip-result").hidden = false;
    $("clip-status").textContent = "";
    showClip(file ? file.name : "the sample clip", answer);
  } catch (error) {
    $("clip-status").textContent = error.message;
  }
}

function redrawClip() {
  if (known.clip) drawClip(known.clip);
}

function showClip(name, { summary, modes }) {
  const share = (value) => (value === null ? "none" : `${(100 * value).toFixed(1)}%`);
  $("clip-summary").textContent = `${name}: ${summary.frames} frames of ${summary.width}\u00d7${summary.height}, `
    + `${summary.modes} modes of 8\u00d78 blocks; ${share(summary.innovation)} of the variance is new in a frame; `
    + `${share(summary.failing)} of the modes fail a test of the model at level 0.01.`;
  $("clip-horizon").textContent = `(mean over ${summary.horizon} frames)`;
  redrawClip();
  const body = modes.sigma.map((sigma, i) => {
    const use = element("button", { type: "button", textContent: "explore" });
    use.addEventListener("click", () => {
      $("rho-list").value = "";
      $("sigma-list").value = "";
      $("rho").value = modes.rho[i];
      $("rho-number").value = modes.rho[i];
      ask();
      $("controls").scrollIntoView({ behavior: "smooth" });
    });
    return [`(${modes.row[i]}, ${modes.column[i]})`, digits(sigma), modes.rho[i].toFixed(4), use];
  });
  fill($("clip-modes"), ["mode", "\u03c3", "\u03c1", "its \u03c1, \u03c3 = 1"], body);
}

function tieClip() {
  $("clip-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const file = $("clip-file").files[0];
    if (file) fitClip(file);
    else $("clip-status").textContent = "clip: expected a file, got none";
  });
  $("clip-sample").addEventListener("click", () => fitClip(null));
}

// --- start ----------------------------------------------------------------------------------

async function begin() {
  start = await (await fetch("start")).json();
  const { question: first } = start;
  legend($("legend"), start.styles, () => { redrawAll(); redrawClip(); });
  const longer = (values, more) => Array.from({ length: start.most_frames }, (_, t) => values[t] ?? more);
  state = {
    seed: first.seed,
    columns: {
      rate: longer(first.rates, first.rates.at(-1)),
      threshold: longer(first.levels, first.levels.at(-1)),
      weight: longer([], 1),
    },
  };
  $("frames").max = start.most_frames;
  $("frames").value = first.frames;
  $("rho").value = first.rho;
  $("rho-number").value = first.rho;
  buildRows();
  tie();
  tieClip();
  busy("computing\u2026 the first time, the solvers are compiled, which takes up to a minute");
  ask();
}

begin();
