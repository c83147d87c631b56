// Controls -> request -> server -> tables -> plots. Requests that are out of date are skipped.

import { draw, drawClip, keep, legend, picture } from "./plots.js";
import { ownPlaced, readOwn, sharedPoints, tieOwn } from "./points.js";
import { PRESETS, describe, extended, fromHash, toHash } from "./settings.js";

const $ = (id) => document.getElementById(id);
const PARTS = ["point", "rate", "perception", "steady"]; // one is drawn while the next is computed
const PATIENCE = 400; // ms that an update may take before the next one ends it
const MOST_RATE = 6; // end of a slider; the number beside it may be larger
const tables = {}; // tables by name, for CSV
let start; // first answer of the server
let state; // values of each frame, kept when the number of frames changes
let timer = null;

// --- the request ----------------------------------------------------------------------------

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

function readControls() {
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
    swept: $("swept").value === "all" ? null : Number($("swept").value),
    seed: state.seed,
    window: $("window").value === "all" ? null : Number($("window").value),
  };
}

// --- updates --------------------------------------------------------------------------------

let updating = false;
let again = false;
let ending = null; // ends the update that is being computed
let begun = 0; // when it began
let idle = () => {}; // called after the last update
let since = null; // time of the first change of a control that is not yet drawn

export function update() {
  since ??= performance.now();
  if (updating) {
    again = true;
    if (performance.now() - begun > PATIENCE) ending.abort();
    return;
  }
  updating = true;
  queueMicrotask(updateOnce); // after all listeners of this event
}

async function updateOnce() {
  again = false;
  ending = new AbortController();
  begun = performance.now();
  const patience = setTimeout(() => { if (again) ending.abort(); }, PATIENCE);
  const began = since;
  since = null;
  try {
    const request = readControls();
    remember(request);
    const body = JSON.stringify(request);
    setStatusLater("computing\u2026");
    const parts = await Promise.allSettled(PARTS.map(async (part) => {
      receive(part, request, await post(`view/${part}`, body, { "Content-Type": "application/json" },
        ending.signal));
    }));
    if (ending.signal.aborted) return;
    const failed = parts.find(({ status }) => status === "rejected");
    if (failed) throw failed.reason;
    setError(null);
    requestAnimationFrame(() => setTimeout(() => { // after the browser has painted
      const spent = performance.measure("update", { start: began, end: performance.now() });
      setStatus(`updated in ${spent.duration.toFixed(0)} ms`);
    }));
  } catch (error) {
    setError(error.message);
    setStatus("");
  } finally {
    clearTimeout(patience);
    if (again) queueMicrotask(updateOnce);
    else {
      updating = false;
      idle();
    }
  }
}

async function post(path, body, headers = {}, signal = null) {
  let response;
  try {
    response = await fetch(path, { method: "POST", body, headers, signal });
  } catch {
    throw new Error("The server does not answer; is rdp explore still running?");
  }
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

function setStatusLater(text) { // only if the update takes long
  clearTimeout(timer);
  timer = setTimeout(() => { $("status").textContent = text; }, 300);
}

function setStatus(text) {
  clearTimeout(timer);
  $("status").textContent = text;
}

function setError(text) {
  $("error").hidden = text === null;
  $("error").textContent = text ?? "";
}

// --- answers --------------------------------------------------------------------------------

const answers = {}; // the answer of each part, with its request

function receive(part, request, answer) {
  if (["rate", "perception"].includes(part)) addSum(answer.tables[part], request);
  answers[part] = { request, answer };
  Object.assign(tables, answer.tables);
  redraw(part);
  const notes = Object.values(answers).flatMap((entry) => entry.answer.notes);
  $("notes").replaceChildren(...notes.map((text) => element("li", { textContent: text })));
  if (part === "point") {
    $("code").textContent = answer.code;
    fillNumbers(request, answer);
  }
  if (part === "steady") fillSchedule(answer);
}

function redraw(part) {
  const { request, answer } = answers[part];
  const sweptValue = (values) => {
    const chosen = request.swept === null ? values : [values[request.swept - 1]];
    return chosen.every((value) => value === chosen[0]) ? chosen[0] : null;
  };
  const options = {
    quantity: $("quantity").value, swept: request.swept, log: $("log").value === "log",
    at: { rate: sweptValue(request.rates), threshold: sweptValue(request.levels) },
    own: ownPlaced(request, $("quantity").value),
  };
  for (const [name, table] of Object.entries(answer.tables)) draw(name, table, options);
}

const redrawAll = () => {
  Object.keys(answers).forEach(redraw);
  if (answers.point) remember(answers.point.request);
};

// --- the setting: presets, address, comparison -------------------------------------------------

let compared = null; // address of the setting that is kept
let returning = false; // the kept setting of an address is drawn first

function settingOf(request) {
  const { seed, ...rest } = request;
  const setting = { ...rest, seed: seed || null, y: $("quantity").value, scale: $("log").value };
  if (setting.sigma === 1) setting.sigma = null;
  return setting;
}

function remember(request) { // the address holds all that is seen: reload, bookmark, share
  if (returning) return;
  const hash = toHash({ ...settingOf(request), kept: compared, points: sharedPoints() });
  history.replaceState(null, "", hash);
  document.title = `${describe(request)} \u2013 rate, distortion, perception`;
}

function apply(setting) { // set the controls; they are checked when they are read
  const given = (name, usual) => setting[name] ?? usual;
  $("frames").value = given("frames", start.request.frames);
  const rho = String(given("rho", start.request.rho));
  $("rho-list").value = rho.includes(",") ? rho : "";
  if (!rho.includes(",")) $("rho").value = $("rho-number").value = rho;
  $("sigma-list").value = given("sigma", "");
  state.seed = Number(given("seed", 0)) || 0;
  state.columns = {
    rate: extended(given("rates", start.request.rates), start.most_frames),
    threshold: extended(given("levels", start.request.levels), start.most_frames),
    weight: extended(given("weights", [1]), start.most_frames),
  };
  $("objective").value = setting.weights ? "weighted" : "sequential";
  $("frame-table").classList.toggle("weighted", Boolean(setting.weights));
  buildRows();
  for (const [id, name, usual] of [["swept", "swept", "all"], ["window", "window", "all"],
    ["quantity", "y", "sum"], ["log", "scale", "linear"]]) {
    const value = String(given(name, usual));
    $(id).value = [...$(id).options].some((option) => option.value === value) ? value : usual;
  }
}

function choosePreset() {
  const preset = PRESETS[$("preset").value];
  $("message").textContent = preset ? preset.text : "";
  if (!preset) return;
  apply(preset);
  update();
}

function tiePresets() {
  const options = Object.entries(PRESETS).map(([value, { title }]) =>
    element("option", { value, textContent: title }));
  $("preset").replaceChildren(element("option", { value: "", textContent: "own values" }), ...options);
  $("preset").addEventListener("input", (event) => { event.stopPropagation(); choosePreset(); });
  $("controls").addEventListener("input", () => {
    $("preset").value = "";
    $("message").textContent = "";
  });
  $("keep").addEventListener("click", () => {
    keepCurves($("keep").getAttribute("aria-pressed") !== "true");
    redrawAll();
  });
  $("share").addEventListener("click", () => copyText("share", location.href));
  $("latex").addEventListener("click", () => copyText("latex", latex()));
}

function keepCurves(on) {
  const { request } = answers.point;
  $("keep").setAttribute("aria-pressed", on);
  $("keep").textContent = on ? "drop" : "keep";
  $("kept").textContent = on ? `thin: ${describe(request)}` : "";
  compared = on ? toHash(settingOf(request)).slice(1) : null;
  keep(on);
}

function latex() { // the table of numbers, for a paper
  const lines = [...$("numbers").rows].map((row) => [...row.cells].map((cell) =>
    cell.textContent.replace(/([\u2080-\u2089])/gu, (c) => `_${c.codePointAt(0) - 0x2080}`)
      .replace(/^([DP]_\d)$/, "$$$1$$")));
  const body = lines.map((cells, i) => `${cells.join(" & ")} \\\\${i ? "" : " \\hline"}`);
  return `\\begin{tabular}{l${"r".repeat(lines[0].length - 1)}}\n${body.join("\n")}\n\\end{tabular}\n`;
}

async function copyText(id, text) {
  const label = $(id).textContent;
  try {
    await navigator.clipboard.writeText(text);
    $(id).textContent = "copied";
  } catch { // the browser refuses
    window.prompt("Copy with Ctrl-C", text);
  }
  setTimeout(() => { $(id).textContent = label; }, 1500);
}

function addSum(table, request) {
  const weights = request.weights ?? Array(request.frames).fill(1);
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

function fillNumbers(request, answer) {
  const frames = Array.from({ length: request.frames }, (_, t) => t + 1);
  const heads = ["", ...frames.map((t) => `D${sub(t)}`), ...frames.map((t) => `P${sub(t)}`),
    "objective", "certified within"];
  const body = Object.entries(answer.bounds).map(([plf, { objective, gap }]) => {
    const at = answer.tables.frames.plf.flatMap((name, i) => (name === plf ? [i] : []));
    const cells = ["distortion", "perception"].flatMap((name) =>
      at.map((i) => digits(answer.tables.frames[name][i])));
    return [plf === "MMSE" ? "MMSE" : `PLF-${plf}`, ...cells, digits(objective), gap && gap.toExponential(0)];
  });
  fill($("numbers"), heads, body);
}

function fillSchedule({ schedule, text }) {
  $("steady-text").textContent = text;
  $("steady-result").hidden = schedule.length === 0;
  fill($("schedule"), ["", "mean D", "at a constant rate", "the pattern costs"], schedule.map((row) => [
    row.plf === "MMSE" ? "MMSE" : `PLF-${row.plf}`, digits(row.mean), digits(row.constant),
    `${row.percent < 0 ? "\u2212" : "+"}${Math.abs(row.percent).toFixed(row.percent < 10 ? 1 : 0)} %`]));
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
  if (!tables[name]) return;
  const url = URL.createObjectURL(new Blob([csv(tables[name])], { type: "text/csv" }));
  element("a", { href: url, download: `rdp-${name}.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

async function copy() {
  const text = $("code").textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch { // the browser refuses: select the text, so that a key copies it
    getSelection().selectAllChildren($("code"));
    $("copy").textContent = "selected";
    return;
  }
  $("copy").textContent = "copied";
  setTimeout(() => { $("copy").textContent = "copy"; }, 1500);
}

// --- controls -------------------------------------------------------------------------------

function keepValues() { // before the rows are built again
  for (const [kind, values] of Object.entries(state.columns)) {
    for (const input of document.querySelectorAll(`#frame-table .${kind}[data-frame]`)) {
      values[input.dataset.frame - 1] = input.value;
    }
  }
}

const TIPS = {
  rate: "Bits of this frame for each sample of the source; at most 20.",
  threshold: "How far the reconstruction may be from the source: squared Wasserstein-2 distance, in squared "
    + "units of the source. 0 is perfect realism.",
  weight: "Weight of the distortion of this frame in the sum.",
};

function cells(label, frame, values) {
  const box = (kind, what, value) => {
    const input = element("input", { type: "number", className: kind, min: 0, step: "any", value,
      title: TIPS[kind] });
    input.ariaLabel = `${what}, ${label}`;
    return input;
  };
  const slider = element("input", { type: "range", className: "rate-slider", min: 0, max: MOST_RATE,
    step: 0.05, value: values.rate, title: TIPS.rate });
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
  $("frame-count").textContent = frames;
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
  choices("swept", [["all", "every frame"]], frames, "frame");
  choices("window", [["all", "all frames"]], frames, "frames:");
  choices("quantity", [["sum", "sum of distortions"]], frames, "distortion of frame");
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
  $("frames").addEventListener("input", () => { keepValues(); buildRows(); });
  $("objective").addEventListener("input", () => {
    $("frame-table").classList.toggle("weighted", $("objective").value === "weighted");
  });
  $("redraw").addEventListener("click", () => { state.seed += 1; update(); });
  $("copy").addEventListener("click", copy);
  for (const id of ["quantity", "log"]) $(id).addEventListener("input", redrawAll);
  $("controls").addEventListener("input", (event) => {
    if (!["quantity", "log"].includes(event.target.id)) update();
  });
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  for (const button of document.querySelectorAll("[data-csv]")) {
    button.addEventListener("click", () => download(button.dataset.csv));
  }
  for (const button of document.querySelectorAll("[data-png]")) {
    button.addEventListener("click", () => {
      const title = button.dataset.png === "clip" ? $("clip-summary").textContent.split(":")[0]
        : describe(answers.point.request);
      picture(button.dataset.png, button.dataset.format ?? "png", title);
    });
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
    tables.clip = answer.curves;
    $("clip-result").hidden = false;
    $("clip-status").textContent = "";
    describeClip(file ? file.name : "the sample clip", answer);
  } catch (error) {
    $("clip-status").textContent = error.message;
  }
}

function redrawClip() {
  if (tables.clip) drawClip(tables.clip);
}

function describeClip(name, { summary, modes }) {
  const share = (value) => (value === null ? "none" : `${(100 * value).toFixed(1)}%`);
  $("clip-summary").textContent = `${name}: ${summary.frames} frames of ${summary.width}\u00d7${summary.height}, `
    + `${summary.modes} modes of 8\u00d78 blocks; ${share(summary.innovation)} of the variance is innovation; `
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
      update();
      $("controls").scrollIntoView({ behavior: "smooth" });
    });
    return [`(${modes.row[i]}, ${modes.column[i]})`, digits(sigma), modes.rho[i].toFixed(4), use];
  });
  fill($("clip-modes"), ["mode", "\u03c3", "\u03c1", "explore \u03c1 with \u03c3 = 1"], body);
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

// Set the page as an address says: its points, the setting that was kept, its own setting.
async function returnTo(given) {
  if (given.points) {
    $("own-text").value = given.points;
    $("own").open = true;
    readOwn(given.points);
  }
  const before = given.kept ? fromHash(`#${given.kept}`) : null;
  if (before) {
    returning = true;
    apply(before);
    await new Promise((resolve) => { idle = resolve; update(); });
    returning = false;
    if (answers.point) keepCurves(true);
  }
  apply(given);
}

// --- start ----------------------------------------------------------------------------------

async function begin() {
  start = await (await fetch("start")).json();
  const redrawEach = () => { redrawAll(); redrawClip(); };
  legend($("legend"), start.styles, redrawEach);
  state = { seed: start.request.seed, columns: {} };
  $("frames").max = start.most_frames;
  tiePresets();
  tie();
  tieClip();
  tieOwn(redrawAll);
  const given = fromHash(location.hash);
  if (given) await returnTo(given);
  else {
    $("preset").value = "starved";
    $("message").textContent = PRESETS.starved.text;
    apply(PRESETS.starved);
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    legend($("legend"), start.styles, redrawEach);
    redrawEach();
  });
  setStatusLater("computing\u2026");
  update();
}

begin();
