// Which expert answered: tokens by experts, for one layer or the mean over them.

import { h } from "./dom.js";
import { get } from "./server.js";

const FULLEST = 50; // per cent of colour behind the largest number: letters stay readable on it in both themes
const DIGITS = 3;

export function heatMap(name, id) {
  const body = h("div", { class: "small muted" }, "asking the pod that answered");
  let asked = false;
  return h("details", { class: "heat", ontoggle: open }, h("summary", {}, "Which expert answered"), body);

  // Once: the pod keeps it for a while only, and what is shown stays.
  async function open({ target }) {
    if (!target.open || asked) return;
    asked = true;
    try {
      const { generations } = await get(`scalings?${new URLSearchParams({ name, id })}`);
      body.className = "";
      body.replaceChildren(...generations.map(generationView));
    } catch (error) {
      asked = false; // closed and opened again, it asks again
      body.className = "small bad";
      body.textContent = `${error.code ? `${error.code}: ` : ""}${error.message}`;
    }
  }
}

function generationView(found) {
  const shown = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Scalings of each token" });
  const layer = h(
    "select", { "aria-label": "Layer", onchange: draw },
    h("option", {}, "mean over all layers"), ...found.layers.map(({ name }) => h("option", {}, name)),
  );
  draw();
  return h("div", {}, found.layers.length > 0 ? layer : null, shown);

  function draw() {
    const rows = layer.selectedIndex > 0 ? found.layers[layer.selectedIndex - 1].rows : found.mean;
    const largest = Math.max(...rows.map((row) => Math.max(...row.map(Math.abs))));
    shown.replaceChildren(h(
      "table", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "token"), ...found.experts.map((expert) => h("th", { scope: "col" }, expert)))),
      h("tbody", {}, ...rows.map((row, place) => h("tr", {}, token(found.tokens[place], place), ...row.map((value) => cell(value, largest))))),
    ));
  }
}

function token({ text, prompt }, place) {
  return h("th", { scope: "row", class: prompt ? "asked" : "answered" }, `${place} ${text}`);
}

function cell(value, largest) {
  const share = largest > 0 ? Math.abs(value) / largest : 0;
  const made = h("td", { class: value < 0 ? "below" : null }, value === null ? "∞" : value.toFixed(DIGITS));
  // The page's policy forbids the attribute `style`, not this.
  made.style.setProperty("--share", `${Math.round(share * FULLEST)}%`);
  return made;
}
