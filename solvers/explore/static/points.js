// Points of the user, laid over the curves: read from text, placed on the axes of the page.

const MOST = 1000;
const NAMES = { // of a column or field, in any case
  label: ["label", "name", "codec"], rate: ["rate", "rates", "bits", "r"],
  distortion: ["distortion", "d", "mse"], perception: ["perception", "threshold", "p"],
};

const known = (word) => Object.keys(NAMES).find((name) => NAMES[name].includes(word.trim().toLowerCase()));

// Points of a text: CSV, or JSON as `rdp.save_points` writes it, or a JSON list of objects. Rate,
// distortion and perception are numbers, or lists with one for each frame.
export function parsePoints(text) {
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
    .map((line) => line.split(/[,;\t]|\s+(?=\S)/).map((word) => word.trim()).filter((word) => word !== ""));
  if (lines.length === 0) return [];
  const heads = lines[0].map(known);
  const named = lines[0].some((word) => !Number.isFinite(Number(word)));
  if (named && !(heads.includes("rate") && heads.includes("distortion"))) {
    throw new Error("points: expected columns bits and distortion");
  }
  const columns = named ? heads : ["rate", "distortion", "perception"];
  return lines.slice(named ? 1 : 0).map((words) => Object.fromEntries(words
    .map((word, i) => [columns[i], columns[i] === "label" ? word : Number(word)])
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

// Points on the two curves of a request: x, y and labels, for "rate" and "perception".
export function placed(points, request, quantity) {
  const weights = request.weights ?? Array(request.frames).fill(1);
  const total = (values) => values.reduce((sum, value, t) => sum + weights[t] * value, 0);
  const frame = quantity === "sum" ? null : Number(quantity);
  const on = (axis) => {
    const found = points.map((point) => ({
      x: valueOf(point[axis], request.frames, request.swept, mean),
      y: valueOf(point.distortion, request.frames, frame, total), text: String(point.label ?? ""),
    })).filter(({ x, y }) => x !== null && y !== null);
    return { x: found.map(({ x }) => x), y: found.map(({ y }) => y), text: found.map(({ text }) => text) };
  };
  return { rate: on("rate"), perception: on("perception") };
}
