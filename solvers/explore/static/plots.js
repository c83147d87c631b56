// Plots of the tables of the server. Columns are arrays; null is a gap in a curve.

const LABEL = (plf) => (plf === "MMSE" ? "MMSE" : `PLF-${plf}`);
const GREY = "#b9c0c8";
const INK = "#1d2126";
const DARK = { "#4D4D4D": "#b5b5b5", "#0072B2": "#56a8dd", [INK]: "#e4e7eb" }; // colours that a dark ground swallows
const CONFIG = { responsive: true, displayModeBar: false };
// Fitting the margins to the labels would take a quarter of the drawing time.
const AXIS = { linecolor: "#8a939e", zeroline: false, ticks: "outside", tickcolor: "#8a939e",
  automargin: false, ticklabeloverflow: "allow" };

const dark = () => matchMedia("(prefers-color-scheme: dark)").matches;
const onGround = (color, night = dark()) => (night ? DARK[color] ?? color : color);

let styles = {};
const hidden = new Set();

// One legend for all plots: the box of a loss hides its curves in each of them.
export function legend(place, given, redraw) {
  styles = given;
  const entries = Object.keys(styles).map((plf) => {
    const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: !hidden.has(plf) });
    box.addEventListener("input", () => {
      if (box.checked) hidden.delete(plf);
      else hidden.add(plf);
      redraw();
    });
    return entry(LABEL(plf), sample({ ...styles[plf], color: onGround(styles[plf].color) }), box);
  });
  place.replaceChildren(...entries, entry("source X", sample({ color: GREY, dash: "solid" }, 6)));
}

function entry(text, picture, box) {
  const label = document.createElement(box ? "label" : "span");
  if (!box) label.className = "entry";
  label.append(...(box ? [box] : []), picture, text);
  return label;
}

const PATTERN = { solid: "", dot: "2 3", dash: "7 4", dashdot: "8 3 2 3" };

function sample({ color, dash }, width = 2.5) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const line = document.createElementNS(space, "line");
  for (const [name, value] of Object.entries({ width: 34, height: 10, "aria-hidden": true })) {
    svg.setAttribute(name, value);
  }
  const drawn = { x1: 0, x2: 34, y1: 5, y2: 5, stroke: color, "stroke-width": width,
    "stroke-dasharray": PATTERN[dash] };
  for (const [name, value] of Object.entries(drawn)) line.setAttribute(name, value);
  svg.append(line);
  return svg;
}

// FMD has a ring around the symbols of the other losses, to show where curves coincide.
function marker(color, symbol) {
  return symbol === "circle" ? { color, symbol: "circle-open", size: 13, line: { width: 2 } }
    : { color, symbol, size: 8 };
}

function rows(table, plf) {
  return table.plf.flatMap((name, i) => (name === plf ? [i] : []));
}

// Curves that were kept to compare with: by plot, as drawn then.
const kept = {};
let keeping = false;

export function keep(on) {
  keeping = on;
  for (const name of ["rate", "perception", "frames"]) {
    kept[name] = on ? document.getElementById(`plot-${name}`).data.filter((trace) => trace.line).map((trace) => ({
      ...trace, name: `${trace.name}, kept`, mode: "lines", opacity: 0.75,
      line: { ...trace.line, width: 1.2 },
    })) : [];
  }
}

function traces(table, x, y, markers) {
  return [...new Set(table.plf)].filter((plf) => !hidden.has(plf)).map((plf) => {
    const at = rows(table, plf);
    const { dash, symbol } = styles[plf];
    const color = onGround(styles[plf].color);
    return {
      name: LABEL(plf), x: at.map((i) => table[x][i]), y: at.map((i) => table[y][i]),
      mode: markers ? "lines+markers" : "lines", line: { color, dash, width: 2 },
      marker: marker(color, symbol), hovertemplate: "%{y:.5g}", connectgaps: false,
    };
  });
}

function layout(x, y, more = {}) {
  const { xaxis, yaxis, ...rest } = more;
  return {
    font: { family: "system-ui, sans-serif", size: 12, color: onGround(INK) },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    hoverlabel: dark() ? { bgcolor: "#20252c" } : {},
    margin: { l: 70, r: 14, t: 12, b: 44 }, hovermode: "x", showlegend: false,
    xaxis: { ...AXIS, gridcolor: dark() ? "#3a424d" : "#e6e9ed", ...xaxis, title: { text: x, standoff: 6 } },
    yaxis: { ...AXIS, gridcolor: dark() ? "#3a424d" : "#e6e9ed", ...yaxis, title: { text: y, standoff: 6 } },
    uirevision: "keep", ...rest,
  };
}

const here = (x) => (x === null ? [] : [{
  type: "line", xref: "x", yref: "paper", x0: x, x1: x, y0: 0, y1: 1,
  line: { color: "#8a939e", width: 1, dash: "dot" },
}]);

function distortionAxis(log) {
  return log ? { type: "log", exponentformat: "e" } : { type: "linear", rangemode: "tozero" };
}

// --- one plot for each table ------------------------------------------------------------------

const frameName = (swept) => (swept === null ? "every frame" : `frame ${swept}`);
const frameAxis = (frames) => ({ dtick: 1, range: [0.8, Math.max(...frames) + 0.2] });

function curves(table, x, title, at, { quantity, log }) {
  const y = quantity === "sum" ? "sum of distortions" : `distortion D of frame ${quantity}`;
  return [traces(table, x, `distortion_${quantity}`),
    layout(title, y, { yaxis: distortionAxis(log), shapes: here(at <= Math.max(...table[x]) ? at : null) })];
}

const PLOTS = {
  rate: (table, options) => curves(table, "rate",
    `rate R of ${frameName(options.swept)} (bits)`, options.at.rate, options),
  perception: (table, options) => curves(table, "threshold",
    `threshold P of ${frameName(options.swept)} (squared W<sub>2</sub>)`, options.at.threshold, options),
  frames: (table, { log }) => [traces(table, "frame", "distortion", true),
    layout("frame", "distortion D (squared units)",
      { yaxis: distortionAxis(log), xaxis: frameAxis(table.frame) })],
  steady: (table, { log }) => [traces(table, "frame", "distortion", true),
    layout("frame of the period", "distortion D (squared units)",
      { yaxis: distortionAxis(log), xaxis: frameAxis(table.frame) })],
  paths: (table) => [paths(table),
    layout("frame", "value (units of the source)", { xaxis: frameAxis(table.frame) })],
};

export function draw(name, table, options) {
  const [data, arrangement] = PLOTS[name](table, options);
  const own = options.own?.[name];
  if (own?.x.length) {
    const color = own.plf.map((plf) => onGround(styles[plf]?.color ?? INK)); // that of the loss
    data.push({ ...own, name: "own points", mode: "markers", hovertemplate: "%{y:.5g} %{text}",
      marker: { symbol: "star", size: 11, color } });
  }
  const before = keeping ? kept[name] ?? [] : [];
  Plotly.react(`plot-${name}`, [...before, ...data], arrangement, CONFIG);
}

function paths(table) {
  const source = { name: "source X", x: table.frame, y: table.source, mode: "lines",
    line: { color: GREY, width: 7 }, hovertemplate: "%{y:.3g}" };
  const reconstructions = Object.keys(table).filter((name) => name in styles && !hidden.has(name)).map((plf) => {
    const { dash, symbol } = styles[plf];
    const color = onGround(styles[plf].color);
    return { name: LABEL(plf), x: table.frame, y: table[plf], mode: "lines+markers",
      line: { color, dash, width: 2 }, marker: marker(color, symbol), hovertemplate: "%{y:.3g}" };
  });
  return table.source ? [source, ...reconstructions] : reconstructions;
}

// A picture for a paper or a slide: with title and legend, on white.
export function picture(name, format, title) {
  const place = document.getElementById(`plot-${name}`);
  const { width, height } = place.getBoundingClientRect();
  const day = (color) => Object.entries(DARK).find(([, night]) => night === color)?.[0] ?? color;
  const each = (change, value) => (Array.isArray(value) ? value.map(change) : change(value));
  const data = place.data.map((trace) => ({
    ...trace, ...(trace.line ? { line: { ...trace.line, color: day(trace.line.color) } } : {}),
    ...(trace.marker ? { marker: { ...trace.marker, color: each(day, trace.marker.color) } } : {}),
  }));
  const { layout: shown } = place;
  const layout = {
    ...shown, paper_bgcolor: "#fff", plot_bgcolor: "#fff", font: { ...shown.font, color: INK },
    xaxis: { ...shown.xaxis, gridcolor: "#e6e9ed" }, yaxis: { ...shown.yaxis, gridcolor: "#e6e9ed" },
    title: { text: title, font: { size: 13 }, x: 0.5 }, margin: { ...shown.margin, t: 40, r: 150 },
    showlegend: true, legend: { x: 1.02, y: 1 },
  };
  Plotly.downloadImage({ data, layout, config: CONFIG }, {
    format, width: width + 136, height: height + 28, scale: format === "png" ? 3 : 1, filename: `rdp-${name}`,
  });
}

export function drawClip(curves) {
  Plotly.react("plot-clip", traces(curves, "bits_per_pixel", "psnr_db", true),
    layout("rate (bits per pixel)", "PSNR (dB)",
      { xaxis: { type: "log", tickvals: [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2] } }), CONFIG);
}
