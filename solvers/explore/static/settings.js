// Settings of the page: presets, and the address that holds a setting.

// What the papers look at. `text` says what to see. A list shorter than the frames goes on with its
// last value.
export const PRESETS = {
  starved: {
    title: "starved first frame",
    text: "The first frame gets almost no bits. Under PLF-JD its error remains in every later frame; "
      + "under PLF-FMD and PLF-SA the reconstruction recovers at once, with a jump.",
    frames: 4, rho: 0.9, rates: [0.1, 4], levels: [0], scale: "log",
  },
  low: {
    title: "low rate throughout",
    text: "A quarter of a bit for each frame. PLF-FMD costs the least. PLF-SA moves more than the source, "
      + "PLF-FMD less.",
    frames: 4, rho: 0.9, rates: [0.25], levels: [0], scale: "linear",
  },
  high: {
    title: "high rate throughout",
    text: "Three bits for each frame: all losses cost about the same.",
    frames: 4, rho: 0.9, rates: [3], levels: [0], scale: "log",
  },
  late: {
    title: "high, then low rate",
    text: "Later frames live from the first one. PLF-FMD follows the estimate and may freeze; PLF-JD and "
      + "PLF-SA pay for motion.",
    frames: 4, rho: 0.9, rates: [4, 0.1], levels: [0], scale: "linear",
  },
  lookahead: {
    title: "weight on the last frame",
    text: "Only the last distortion counts. Under PLF-JD a decoder that looks ahead keeps the early "
      + "frames ready for the later ones, and the last error falls.",
    frames: 3, rho: 0.9, rates: [0.05, 8], levels: [0], weights: [0, 0, 1], scale: "linear",
  },
  ripple: {
    title: "quality that ripples",
    text: "The rates of hierarchical coding, half a bit or so on average. Below, in the long run: the ripple costs "
      + "next to nothing under PLF-FMD, and doubles the distortion of a PLF-JD decoder that does not plan.",
    frames: 8, rho: 0.97, rates: [0.25, 1.05, 0.25, 0.65, 0.25, 0.65, 0.25, 0.65], levels: [0], scale: "log",
  },
  relaxed: {
    title: "realism within a threshold",
    text: "A squared Wasserstein-2 distance of 0.1 is allowed: most of the cost of realism has gone.",
    frames: 3, rho: 0.9, rates: [0.1, 1], levels: [0.1], scale: "linear",
  },
};

const LISTS = ["rates", "levels", "weights"];

// A setting as the part of the address after "#".
export function toHash(setting) {
  const words = Object.entries(setting)
    .filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => `${name}=${encodeURIComponent([value].flat().join(","))}`
      .replaceAll("%2C", ","));
  return `#${words.join("&")}`;
}

// The setting of an address; null where it holds none.
export function fromHash(hash) {
  if (!hash.includes("=")) return null;
  const found = {};
  for (const [name, text] of new URLSearchParams(hash.slice(1))) {
    found[name] = LISTS.includes(name) ? text.split(",") : text;
  }
  return found;
}

// A list for all frames: the last value goes on.
export function extended(values, count) {
  return Array.from({ length: count }, (_, t) => values[Math.min(t, values.length - 1)]);
}

// What the curves of a setting have in common, for the title of a picture.
export function describe(request) {
  const same = (values) => (values.every((value) => value === values[0]) ? values[0] : `(${values.join(", ")})`);
  const parts = [`\u03c1 = ${[request.rho].flat().join(", ")}`];
  if (request.sigma !== 1) parts.push(`\u03c3 = ${[request.sigma].flat().join(", ")}`);
  parts.push(`R = ${same(request.rates)} bits`, `P = ${same(request.levels)}`);
  if (request.weights) parts.push(`weights ${same(request.weights)}`);
  if (request.window) parts.push(`PLF-JD of ${request.window} frames`);
  return parts.join(", ");
}
