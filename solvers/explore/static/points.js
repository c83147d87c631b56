// Points of the user, laid over the curves: read from text, placed on the axes of the page.

const $ = (id) => document.getElementById(id);
const MOST = 1000;
const MOST_SHARED = 4000; // characters of points in the address
const NAMES = { // of a column or field, in any case
  label: ["label", "name", "codec"], rate: ["rate", "rates", "bits", "r"],
  distortion: ["distortion", "d", "mse"], perception: ["perception", "threshold", "p"],
  plf: ["plf", "loss"],
};

const known = (word) => Object.keys(NAMES).find((name) => NAMES[name].includes(word.trim().toLowerCase()));

// Points of a text: CSV, or JSON as `rdp.save_points` writes it, or a JSON list of objects. Rate,
// distortion and perception are numbers, or lists with one for each frame.
function parsePoints(text) {
  const points = /^\s*[[{]/.test(text) ? fromJSON(text) : fromCSV(text);
  if (points.length > MOST) throw new Error(`points: expected at most ${MOST}, got ${points.length}`);
  points.forEach((point, i) => {
    for (const name of ["rate", "distortion"]) {
      if (![point[name]].flat().every(Number.isFinite) || [point[name]].flat().length === 0) {
        throw new Error(`point ${i + 1}: ${name}: expected a number`);
      }
    }
  });
  return points;
}

function fromJSON(text) {
  let data;
  try {
    data = JSON.parse(text);
  } catch {
    throw new Error("points: expected JSON or CSV");
  }
  const list = Array.isArray(data) ? data : data.points;
  if (!Array.isArray(list)) throw new Error("points: expected a list");
  return list.map((item) => Object.fromEntries(Object.entries(item ?? {})
    .map(([name, value]) => [known(name), value]).filter(([name]) => name)));
}

function fromCSV(text) {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() && !line.startsWith("#"))
    .map((line) => line.split(/[,;\t]/.test(line) ? /[,;\t]/ : /\s+(?=\S)/).map((word) => word.trim()).filter((word) => word !== ""));
  if (lines.length === 0) return [];
  const heads = lines[0].map(known);
  const named = lines[0].some((word) => !Number.isFinite(Number(word)));
  if (named && !(heads.includes("rate") && heads.includes("distortion"))) {
    throw new Error("points: expected columns bits and distortion");
  }
  const columns = named ? heads : ["rate", "distortion", "perception"];
  return lines.slice(named ? 1 : 0).map((words) => Object.fromEntries(words
    .map((word, i) => [columns[i], ["label", "plf"].includes(columns[i]) ? word : Number(word)])
    .filter(([name]) => name)));
}

// The value of a point on an axis: a number is taken as it is; of a list, that of one frame, the
// weighted sum, or (rates and thresholds of every frame) the common value. null does not fit.
function valueOf(value, frames, frame, combine) {
  if (!Array.isArray(value)) return Number.isFinite(value) ? value : null;
  if (value.length !== frames) return null;
  return frame === null ? combine(value) : value[frame - 1];
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

// Points on the two curves of a request: x, y, labels and losses, for "rate" and "perception".
function placed(points, request, quantity) {
  const weights = request.weights ?? Array(request.frames).fill(1);
  const total = (values) => values.reduce((sum, value, t) => sum + weights[t] * value, 0);
  const frame = quantity === "sum" ? null : Number(quantity);
  const on = (axis) => {
    const found = points.map((point) => ({
      x: valueOf(point[axis], request.frames, request.swept, mean),
      y: valueOf(point.distortion, request.frames, frame, total), text: String(point.label ?? ""),
      plf: String(point.plf ?? "").toUpperCase().replace(/^PLF-/, ""),
    })).filter(({ x, y }) => x !== null && y !== null);
    return Object.fromEntries(["x", "y", "text", "plf"].map((name) => [name, found.map((point) => point[name])]));
  };
  return { rate: on("rate"), perception: on("perception") };
}

// --- the box of the page ----------------------------------------------------------------------

let own = [];
let shared = null; // what the address holds of them
let wrong = null; // why the text cannot be read

// The points on the axes of a request; says below the box how many there are.
export function ownPlaced(request, quantity) {
  const found = placed(own, request, quantity);
  const fitting = found.rate.x.length;
  const noun = own.length === 1 ? "point, drawn as a star" : "points, drawn as stars";
  const words = [`${own.length} ${noun}`];
  if (fitting < own.length) words[0] = `${fitting} of ${own.length} points drawn: the others do not have ${request.frames} frames`;
  if (own.length && shared === null) words.push("too many for the link, which leaves them out");
  $("own-status").textContent = wrong ?? (own.length ? words.join("; ") : "");
  return found;
}

// The points as text for the address; null if there are none, or too many.
export const sharedPoints = () => (own.length ? shared : null);

// Take points from a text.
export function readOwn(text) {
  try {
    own = parsePoints(text);
    wrong = null;
  } catch (error) {
    own = [];
    wrong = error.message;
  }
  const shorter = [text, JSON.stringify(own)].sort((a, b) => a.length - b.length)[0];
  shared = shorter.length > MOST_SHARED ? null : shorter;
}

// Tie the box and the file to the points.
export function tieOwn(redraw) {
  const take = (text) => { readOwn(text); redraw(); };
  const quiet = (listener) => (event) => { event.stopPropagation(); listener(event); }; // nothing to compute
  $("own-text").addEventListener("input", quiet(() => take($("own-text").value)));
  $("own-file").addEventListener("input", quiet(async () => {
    const file = $("own-file").files[0];
    if (!file) return;
    $("own-text").value = file.size > 1e6 ? "" : await file.text();
    if (file.size > 1e6) $("own-status").textContent = "points: expected a file of at most 1 MB";
    else take($("own-text").value);
  }));
}
