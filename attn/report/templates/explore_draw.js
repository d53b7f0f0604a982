"use strict";
// Drawing of maps over frames and of curves over time. Texts are set as text, never as HTML.
const SETTING = JSON.parse(document.getElementById("setting").textContent);
const FINE = 80; // side in pixels to which maps are interpolated before the browser enlarges them
const SVG = "http://www.w3.org/2000/svg";
const COLOURS = 8;

function colour(place) {
  return `var(--line-${place % COLOURS})`;
}

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function figure(value) {
  return value === null || value === undefined ? "–" : Number(value.toPrecision(3)).toString().replace("-", "−");
}

// Colours of the maps as a bar from zero to the largest attention.
function drawScale(canvas) {
  const levels = SETTING.colours.length / 3, pixels = new ImageData(levels, 1);
  for (let level = 0; level < levels; level++) pixels.data.set([...SETTING.colours.slice(3 * level, 3 * level + 3), 255], 4 * level);
  canvas.width = levels;
  canvas.height = 1;
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

// Level between 0 and 1 at a place of a map, with the value of each cell at its centre.
function level(map, scale, x, y) {
  const rows = map.length, cols = map[0].length;
  const place = (at, count) => Math.min(Math.max(at * count - 0.5, 0), count - 1);
  const row = place(y, rows), col = place(x, cols);
  const top = Math.floor(row), left = Math.floor(col);
  const below = Math.min(top + 1, rows - 1), right = Math.min(left + 1, cols - 1);
  const down = row - top, across = col - left;
  const upper = map[top][left] * (1 - across) + map[top][right] * across;
  const lower = map[below][left] * (1 - across) + map[below][right] * across;
  return Math.min(Math.max((upper * (1 - down) + lower * down) / (scale || 1), 0), 1);
}

function heat(map, scale, opaque) {
  const pixels = new ImageData(FINE, FINE);
  for (let y = 0; y < FINE; y++) {
    for (let x = 0; x < FINE; x++) {
      const at = 4 * (y * FINE + x), value = level(map, scale, (x + 0.5) / FINE, (y + 0.5) / FINE);
      const from = 3 * Math.round(255 * value);
      for (let channel = 0; channel < 3; channel++) pixels.data[at + channel] = SETTING.colours[from + channel];
      pixels.data[at + 3] = opaque ? 255 : Math.round(255 * SETTING.opacity * value ** SETTING.power);
    }
  }
  const drawn = document.createElement("canvas");
  drawn.width = drawn.height = FINE;
  drawn.getContext("2d").putImageData(pixels, 0, 0);
  return drawn;
}

function drawPanel(canvas, picture, map, scale) {
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.clearRect(0, 0, canvas.width, canvas.height);
  if (picture) pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  if (map) pen.drawImage(heat(map, scale, !picture), 0, 0, canvas.width, canvas.height);
}

// Figures over time: the values of the classes by each method, then the attention of methods that weight frames. Each
// has a cursor that `moveCursors` sets.
function drawCurves(box, found, classes, count, scrubTo) {
  const values = Object.entries(found.curves).map(([method, lines]) =>
    curve(`${method}: ${SETTING.methods[method].values}`, classes.map((one, place) => [lines[one], colour(place)]), count, scrubTo));
  const attention = Object.entries(found.attention).map(([method, line]) =>
    curve(`${method}: attention over time`, [[line, "var(--ink)"]], count, scrubTo));
  box.replaceChildren(...values, ...attention);
}

function curve(title, lines, count, scrubTo) {
  const values = lines.flatMap(([line]) => line).filter((value) => value !== null);
  const low = Math.min(...values), high = Math.max(...values);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 1000 100");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", title);
  for (const [line, stroke] of lines) {
    const drawn = document.createElementNS(SVG, "polyline");
    const points = line.map((value, at) => value === null ? "" : `${across(at, count)},${96 - 92 * (value - low) / (high - low || 1)}`);
    drawn.setAttribute("points", points.filter(Boolean).join(" "));
    drawn.style.color = stroke;
    svg.append(drawn);
  }
  svg.append(document.createElementNS(SVG, "line")); // the cursor
  const scrub = (event) => {
    if (event.type === "pointermove" && !event.buttons) return;
    const edge = svg.getBoundingClientRect();
    scrubTo(Math.round((event.clientX - edge.left) / edge.width * (count - 1)));
  };
  svg.addEventListener("pointerdown", scrub);
  svg.addEventListener("pointermove", scrub);
  svg.lastChild.setAttribute("y1", "0");
  svg.lastChild.setAttribute("y2", "100");
  const drawn = element("figure", undefined, { class: "curve" });
  const caption = element("figcaption", undefined, { class: "range" });
  caption.append(element("span", title), element("span", values.length ? `${figure(low)} to ${figure(high)}` : "no values"));
  drawn.append(caption, svg);
  return drawn;
}

function across(at, count) {
  return count > 1 ? 1000 * at / (count - 1) : 500;
}

function moveCursors(box, at, count) {
  for (const cursor of box.querySelectorAll("svg > line")) {
    cursor.setAttribute("x1", across(at, count));
    cursor.setAttribute("x2", across(at, count));
  }
}
