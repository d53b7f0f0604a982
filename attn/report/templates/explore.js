"use strict";
// State of the page, its address and its requests. Of several requests of a kind only the latest is answered.
const byId = (id) => document.getElementById(id);
const NAMES = SETTING.classes, METHODS = Object.keys(SETTING.methods);
const MOST_CLASSES = 6, TOP = 8, KEPT = 200;
const state = { video: null, frame: null, classes: [], q: "", predicted: "", labelled: "", wrong: false, order: "id", sort: METHODS[0] };
const narrow = matchMedia("(max-width: 60rem)");
let list = [], total = 0; // rows of the list
let video = null, position = 0, whole = null; // the shown video, its frame, its curves
let guessed = false; // whether the classes are to be those that the first method predicts
let answer = null, picture = null, kept = new Map(), playing = null;

async function ask(path, query) {
  const reply = await fetch(`/api/${path}?${new URLSearchParams(query)}`);
  if (!reply.ok) throw Object.assign(new Error((await reply.json()).error), { status: reply.status });
  return path === "picture" ? createImageBitmap(await reply.blob()) : reply.json();
}

// Runs `work` for the latest wish only: while one runs, only the last of the later ones is remembered.
function latest(work) {
  let busy = false, waiting = null;
  return async function wish(...wanted) {
    waiting = wanted;
    if (busy) return;
    busy = true;
    while (waiting) {
      const next = waiting;
      waiting = null;
      await work(...next);
    }
    busy = false;
  };
}

function tell(problem) {
  byId("problem").textContent = problem;
  byId("problem").hidden = !problem;
}

function best(scores) {
  return scores.indexOf(Math.max(...scores));
}

function swatch(place) {
  const made = element("span", "", { class: "swatch" });
  made.style.color = colour(place);
  return made;
}

// The address ----------------------------------------------------------------------------------------------------

function readAddress() {
  const asked = new URLSearchParams(location.search);
  for (const name of ["q", "predicted", "labelled"]) state[name] = asked.get(name) ?? "";
  state.wrong = asked.has("wrong");
  state.order = ["least", "most"].includes(asked.get("order")) ? asked.get("order") : "id";
  state.sort = METHODS.includes(asked.get("sort")) ? asked.get("sort") : METHODS[0];
  state.video = asked.get("video");
  state.frame = asked.has("frame") ? Number(asked.get("frame")) : null;
  state.classes = asked.getAll("class").map((name) => NAMES.indexOf(name)).filter((one) => one >= 0).slice(0, MOST_CLASSES);
}

function address() {
  const said = new URLSearchParams();
  if (state.video !== null) said.set("video", state.video);
  if (video) said.set("frame", video.frames[position]);
  for (const one of state.classes) said.append("class", NAMES[one]);
  for (const name of ["q", "predicted", "labelled"]) if (state[name]) said.set(name, state[name]);
  if (state.wrong) said.set("wrong", "1");
  if (state.order !== "id") said.set("order", state.order);
  if (state.sort !== METHODS[0]) said.set("sort", state.sort);
  return `?${said}`;
}

let saving = null; // browsers limit how often an address may change
function saveAddress() {
  clearTimeout(saving);
  saving = setTimeout(() => history.replaceState(null, "", address()), 150);
}

// The list -------------------------------------------------------------------------------------------------------

const wishList = latest(async (start) => {
  const id = (name) => state[name] === "" ? "" : NAMES.indexOf(state[name]);
  const query = { q: state.q, predicted: id("predicted"), labelled: id("labelled"), order: state.order, start };
  if (state.wrong) query.wrong = "1";
  try {
    const found = await ask("videos", query);
    list = start ? [...list, ...found.videos] : found.videos;
    total = found.total;
  } catch (error) {
    tell(error.message);
  }
  showList();
});

function showList() {
  byId("count").textContent = total.toLocaleString("en");
  byId("more").hidden = list.length >= total;
  byId("videos").replaceChildren(...list.map((row) => {
    const button = element("button", row.video, { type: "button" });
    const said = [];
    if (row.predicted !== null) said.push(`${NAMES[row.predicted]} ${(100 * row.confidence).toFixed(0)} %`);
    if (row.label !== null && row.label !== row.predicted) said.push(`labelled ${NAMES[row.label]}`);
    const wrong = row.label !== null && row.predicted !== null && row.label !== row.predicted;
    button.append(element("small", said.join(" · "), wrong ? { class: "wrong" } : {}));
    if (row.video === state.video) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => openVideo(row.video));
    const line = document.createElement("li");
    line.append(button);
    return line;
  }));
  if (!list.length) byId("videos").append(element("li", "No video fits.", { class: "note" }));
}

function markCurrent() {
  list.forEach((row, place) => {
    const button = byId("videos").children[place].querySelector("button");
    if (row.video !== state.video) return button.removeAttribute("aria-current");
    button.setAttribute("aria-current", "true");
    const box = byId("videos"), top = button.offsetTop - box.offsetTop;
    if (top < box.scrollTop || top + button.offsetHeight > box.scrollTop + box.clientHeight) box.scrollTop = top - 40;
  });
}

function stepVideo(by) {
  const place = list.findIndex((row) => row.video === state.video);
  const next = list[place < 0 ? 0 : place + by];
  if (next) openVideo(next.video);
}

// A video --------------------------------------------------------------------------------------------------------

function openVideo(name) {
  if (name === state.video && video) return;
  Object.assign(state, { video: name, frame: null, classes: [] });
  video = null;
  history.pushState(null, "", address());
  if (narrow.matches) byId("finder").open = false;
  loadVideo();
}

async function loadVideo() {
  const name = state.video;
  stop();
  markCurrent();
  [video, whole, answer, picture] = [null, null, null, null];
  kept = new Map();
  byId("empty").hidden = name !== null;
  byId("viewer").hidden = name === null;
  if (name === null) return;
  byId("name").textContent = name;
  tell(SETTING.whyNoFrames ? `Maps without frames: ${SETTING.whyNoFrames}` : "");
  try {
    const found = await ask("video", { video: name });
    if (state.video !== name) return;
    video = found;
  } catch (error) {
    byId("facts").textContent = "";
    return tell(error.message);
  }
  const nearest = video.frames.findLastIndex((frame) => frame <= (state.frame ?? 0));
  position = Math.max(nearest, 0);
  if (!state.classes.length) state.classes = [video.predicted, video.label].filter((one, place, all) => one !== null && all.indexOf(one) === place);
  guessed = !state.classes.length;
  if (guessed) state.classes = [0];
  showFacts();
  byId("position").max = video.frames.length - 1;
  showClasses();
  scrubTo(position);
}

function showFacts() {
  const facts = [];
  if (video.label !== null) facts.push(`labelled ${NAMES[video.label]}`);
  if (whole) for (const [method, scores] of Object.entries(whole.scores)) facts.push(`${method}: ${NAMES[best(scores)]}`);
  else if (video.predicted !== null) facts.push(`${SETTING.predicts}: ${NAMES[video.predicted]}`);
  facts.push(`${video.frames.length} frames`);
  if (video.truncated) facts.push("cut off at the end");
  byId("facts").textContent = facts.join(" · ");
}

function showClasses() {
  const panels = !SETTING.hasMaps ? [] : state.classes.map((one, place) => {
    const roles = [one === video.label && "labelled", one === video.predicted && "predicted"].filter(Boolean).join(", ");
    return panel(NAMES[one], roles, { "data-class": one }, place);
  });
  for (const method of Object.keys(whole?.weights ?? {})) panels.push(panel(method, "attention", { "data-method": method }));
  if (!panels.length && !SETTING.whyNoFrames) panels.push(panel("frame", "without a map", { "data-method": "" }));
  byId("panels").replaceChildren(...panels);
  wishCurves();
}

function panel(title, role, attributes, place) {
  const shown = element("figure", undefined, attributes);
  const caption = document.createElement("figcaption");
  if (place !== undefined) {
    caption.append(swatch(place));
  }
  const names = document.createElement("span");
  names.append(element("b", title), ` ${role}`);
  caption.append(names);
  if (place !== undefined) {
    const drop = element("button", "×", { type: "button", class: "drop", "aria-label": `Hide ${title}` });
    drop.addEventListener("click", () => toggle(Number(attributes["data-class"])));
    caption.append(drop);
  }
  shown.append(element("canvas", undefined, { width: 320, height: 320, role: "img", "aria-label": `Map of ${title}` }), caption);
  return shown;
}

function toggle(one) {
  const shown = state.classes.includes(one);
  state.classes = shown ? state.classes.filter((other) => other !== one) : [...state.classes, one].slice(-MOST_CLASSES);
  showClasses();
  scrubTo(position);
}

const wishCurves = latest(async () => {
  const name = state.video, classes = [...state.classes];
  try {
    const found = await ask("curves", [["video", name], ...classes.map((one) => ["class", one])]);
    if (state.video !== name || !video) return;
    const first = !whole && Object.keys(found.weights).length;
    whole = found;
    showFacts();
    if (guessed) {
      guessed = false;
      state.classes = [best(Object.values(found.scores)[0])];
      kept = new Map();
      showClasses();
      return scrubTo(position);
    }
    drawCurves(byId("curves"), found, classes, video.frames.length, scrubTo);
    moveCursors(byId("curves"), position, video.frames.length);
    if (first) {
      kept = new Map(); // frames now have the attention weights too
      showClasses();
      scrubTo(position);
    }
    showFrame();
  } catch (error) {
    tell(error.message);
  }
});

// A frame --------------------------------------------------------------------------------------------------------

function scrubTo(wanted) {
  if (!video) return;
  position = Math.min(Math.max(wanted, 0), video.frames.length - 1);
  byId("position").value = position;
  const when = `frame ${video.frames[position]} · ${video.times[position].toFixed(2)} s`;
  byId("when").textContent = when;
  byId("position").setAttribute("aria-valuetext", when);
  moveCursors(byId("curves"), position, video.frames.length);
  saveAddress();
  wishFrame(position);
  if (!SETTING.whyNoFrames) wishPicture(position);
}

const wishFrame = latest(async (wanted) => {
  const name = state.video, key = [wanted, ...state.classes].join(" ");
  try {
    answer = kept.get(key) ?? await ask("frame", [["video", name], ["position", wanted], ...state.classes.map((one) => ["class", one])]);
  } catch (error) {
    return tell(error.message);
  }
  if (state.video !== name || !video) return;
  kept.set(key, answer);
  if (kept.size > KEPT) kept.delete(kept.keys().next().value);
  showFrame();
});

const wishPicture = latest(async (wanted) => {
  const name = state.video;
  try {
    const found = await ask("picture", { video: name, position: wanted });
    if (state.video !== name) return;
    picture = found;
  } catch (error) {
    if (state.video !== name) return;
    if (error.status === 409) return setTimeout(() => wanted === position && wishPicture(wanted), 200);
    picture = null;
    tell(`Maps without frames: ${error.message}`);
  }
  showFrame();
});

function showFrame() {
  if (!answer || !video) return;
  const scales = whole ? state.classes.map((one) => whole.largest[one]) : Object.values(answer.maps).flat(2);
  const scale = Math.max(0, ...scales.filter(Number.isFinite));
  for (const shown of byId("panels").children) {
    const { class: one, method } = shown.dataset;
    const map = method === undefined ? answer.maps[one] : answer.weights[method];
    drawPanel(shown.querySelector("canvas"), picture, map, method === undefined ? scale : whole?.weights[method]);
  }
  byId("scale").hidden = !Object.keys(answer.maps).length;
  byId("largest").textContent = `${figure(scale)}, the largest of these classes in ${whole ? "this video" : "this frame"}`;
  showValues();
}

function showValues() {
  const methods = METHODS.filter((method) => answer.values[method]);
  const by = methods.includes(state.sort) ? state.sort : methods[0];
  const head = byId("values").querySelector("thead tr"), body = byId("values").querySelector("tbody");
  const heads = methods.map((method) => {
    const cell = element("th", undefined, { class: "number", scope: "col" });
    const button = element("button", method, { type: "button", title: `Score of a video: ${SETTING.methods[method].definition}` });
    button.addEventListener("click", () => { state.sort = method; saveAddress(); showValues(); });
    if (method === by) cell.setAttribute("aria-sort", "descending");
    cell.append(button, element("small", SETTING.methods[method].values));
    return cell;
  });
  head.replaceChildren(element("th", "class", { scope: "col" }), ...heads);
  if (!by) return body.replaceChildren();
  const ranked = NAMES.map((_, one) => one).sort((a, b) => answer.values[by][b] - answer.values[by][a]);
  const listed = [...new Set([...ranked.slice(0, TOP), ...state.classes])];
  listed.sort((a, b) => answer.values[by][b] - answer.values[by][a]);
  body.replaceChildren(...listed.map((one) => {
    const row = element("tr", undefined, state.classes.includes(one) ? { class: "shown" } : {});
    const label = document.createElement("label"), box = element("input", undefined, { type: "checkbox" });
    box.checked = state.classes.includes(one);
    box.addEventListener("change", () => toggle(one));
    label.append(box);
    if (box.checked) label.append(swatch(state.classes.indexOf(one)));
    label.append(NAMES[one]);
    const cell = document.createElement("td");
    cell.append(label);
    row.append(cell, ...methods.map((method) => element("td", figure(answer.values[method][one]), { class: "number" })));
    return row;
  }));
}

// Playing and keys -----------------------------------------------------------------------------------------------

function stop() {
  clearTimeout(playing);
  playing = null;
  byId("play").textContent = "▶";
  byId("play").setAttribute("aria-pressed", "false");
}

function play() {
  if (playing !== null) return stop();
  if (!video || video.frames.length < 2) return;
  byId("play").textContent = "❚❚";
  byId("play").setAttribute("aria-pressed", "true");
  if (position === video.frames.length - 1) scrubTo(0);
  const step = () => {
    if (position >= video.frames.length - 1) return stop();
    playing = setTimeout(() => { scrubTo(position + 1); step(); }, 1000 * (video.times[position + 1] - video.times[position]));
  };
  step();
}

const KEYS = {
  ArrowLeft: (event) => scrubTo(position - (event.shiftKey ? 10 : 1)),
  ArrowRight: (event) => scrubTo(position + (event.shiftKey ? 10 : 1)),
  Home: () => scrubTo(0),
  End: () => scrubTo(Infinity),
  ArrowUp: () => stepVideo(-1),
  ArrowDown: () => stepVideo(1),
  " ": play,
  "/": () => { byId("finder").open = true; byId("search").focus(); },
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("select, input:not([type=range], [type=checkbox])");
  const pressing = event.key === " " && event.target.matches("button, input, summary");
  if (typing || pressing || event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(KEYS, event.key)) return;
  event.preventDefault();
  KEYS[event.key](event);
});

function showFilters() {
  byId("search").value = state.q;
  byId("wrong").checked = state.wrong;
  for (const name of ["predicted", "labelled", "order"]) byId(name).value = state[name];
}

function start() {
  const names = [...NAMES].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
  for (const id of ["predicted", "labelled", "add"]) for (const name of names) byId(id).add(new Option(name, name));
  drawScale(byId("scale").querySelector("canvas"));
  if (!SETTING.predicts) document.querySelectorAll(".of-logits").forEach((one) => { one.hidden = true; });
  const filter = (name, value) => { state[name] = value; saveAddress(); wishList(0); };
  byId("search").addEventListener("input", (event) => filter("q", event.target.value));
  byId("wrong").addEventListener("change", (event) => filter("wrong", event.target.checked));
  for (const name of ["predicted", "labelled", "order"]) byId(name).addEventListener("change", (event) => filter(name, event.target.value));
  byId("more").addEventListener("click", () => wishList(list.length));
  byId("position").addEventListener("input", (event) => scrubTo(Number(event.target.value)));
  byId("play").addEventListener("click", play);
  byId("add").addEventListener("change", (event) => {
    const one = NAMES.indexOf(event.target.value);
    event.target.value = "";
    if (one >= 0 && !state.classes.includes(one)) toggle(one);
  });
  if (narrow.matches && new URLSearchParams(location.search).has("video")) byId("finder").open = false;
  const load = () => { readAddress(); showFilters(); wishList(0); loadVideo(); };
  addEventListener("popstate", load);
  load();
}

start();
