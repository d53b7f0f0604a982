"use strict";
// Sorting, filtering and choosing. Without it the page shows the same content, unsorted.
const STEP = 200;
const MISSING = /^[–-]?$/;

let cells = null; // cells of all long tables, read when the first of them is used

function unpack(lines) {
  cells ??= JSON.parse(document.getElementById("cells").textContent);
  return lines.split("\n").map((line) => line.split(" ").map((place) => cells[place]));
}

function number(text) {
  return parseFloat(text.replace("−", "-"));
}

function compare(numeric, sign) {
  return ([a], [b]) => {
    const gone = MISSING.test(a) - MISSING.test(b); // missing cells last in both directions
    if (gone) return gone;
    return sign * (numeric ? number(a) - number(b) : a.localeCompare(b, undefined, { numeric: true }));
  };
}

function enliven(box) {
  const heads = [...box.querySelectorAll("th")];
  const body = box.querySelector("tbody");
  const [input, count, more] = ["input", ".count", ".more"].map((one) => box.querySelector(one));
  const packed = box.querySelector(".rows");
  let rows = null, found = null, shown = STEP;

  function load() {
    if (rows) return;
    if (packed) {
      rows = unpack(packed.textContent);
    } else {
      rows = [...body.rows].map((row) => [...row.cells].map((cell) => cell.textContent));
    }
    found = rows;
  }

  function draw() {
    body.replaceChildren(...found.slice(0, shown).map((row) => {
      const line = document.createElement("tr");
      row.forEach((text, place) => {
        const cell = line.insertCell();
        cell.textContent = text;
        cell.className = heads[place].className;
      });
      return line;
    }));
    if (count) count.textContent = found.length === rows.length ? `${rows.length} rows` : `${found.length} of ${rows.length} rows`;
    if (more) more.hidden = shown >= found.length;
  }

  function filter() {
    load();
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    found = rows.filter((row) => {
      const text = row.join("\n").toLowerCase();
      return words.every((word) => text.includes(word));
    });
    shown = STEP;
    draw();
  }

  heads.forEach((head, place) => head.querySelector("button").addEventListener("click", () => {
    load();
    const numeric = head.classList.contains("number");
    const before = head.getAttribute("aria-sort");
    // Numbers are first sorted from large to small, since the best is wanted.
    const order = before ? (before === "ascending" ? "descending" : "ascending") : numeric ? "descending" : "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    const by = compare(numeric, order === "ascending" ? 1 : -1);
    const sorted = rows.map((row) => [row[place], row]).sort(by).map(([, row]) => row);
    const kept = new Set(found);
    rows = sorted;
    found = rows.filter((row) => kept.has(row));
    draw();
  }));
  if (input) input.addEventListener("input", filter);
  if (more) more.addEventListener("click", () => { load(); shown += STEP; draw(); });
}

function choose(box) {
  const options = [...box.children];
  if (options.length < 2) return;
  const picker = document.createElement("label");
  picker.className = "picker";
  const select = document.createElement("select");
  options.forEach((option, place) => select.add(new Option(option.dataset.label, place)));
  picker.append("Show ", select);
  const pick = () => options.forEach((option, place) => { option.hidden = place !== Number(select.value); });
  box.querySelectorAll(":scope > .option > .label").forEach((label) => { label.hidden = true; });
  select.addEventListener("change", pick);
  box.prepend(picker);
  pick();
}

document.querySelectorAll(".table").forEach(enliven);
document.querySelectorAll(".choice").forEach(choose);
