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

// One figure per method: a line per class, and a cursor that `moveCursors` sets.
function drawCurves(box, curves, classes, count, scrubTo) {
  box.replaceChildren(...Object.entries(curves).map(([method, lines]) => {
    const values = classes.flatMap((one) => lines[one]).filter((value) => value !== null);
    const low = Math.min(...values), high = Math.max(...values);
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 1000 100");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", `${method} over time`);
    classes.forEach((one, place) => {
      const line = document.createElementNS(SVG, "polyline");
      const points = lines[one].map((value, at) => value === null ? "" : `${across(at, count)},${96 - 92 * (value - low) / (high - low || 1)}`);
      line.setAttribute("points", points.filter(Boolean).join(" "));
      line.style.color = colour(place);
      svg.append(line);
    });
    const cursor = document.createElementNS(SVG, "line");
    cursor.setAttribute("y1", "0");
    cursor.setAttribute("y2", "100");
    svg.append(cursor);
    const scrub = (event) => {
      if (event.type === "pointermove" && !event.buttons) return;
      const edge = svg.getBoundingClientRect();
      scrubTo(Math.round((event.clientX - edge.left) / edge.width * (count - 1)));
    };
    svg.addEventListener("pointerdown", scrub);
    svg.addEventListener("pointermove", scrub);
    const drawn = element("figure", undefined, { class: "curve" });
    const caption = element("figcaption", undefined, { class: "range" });
    caption.append(element("span", `${method}: ${SETTING.methods[method].values}`));
    caption.append(element("span", values.length ? `${figure(low)} to ${figure(high)}` : "no values"));
    drawn.append(caption, svg);
    return drawn;
  }));
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
