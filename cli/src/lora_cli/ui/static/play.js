// Questions to one name, or to several side by side.

import { h, keyed, note, setText } from "./dom.js";
import { pane } from "./pane.js";

const SIDES_MOST = 4;

export function playView(section, page) {
  const sides = h("div", { class: "sides" });
  const panes = new Map();
  let keys = [];
  let made = 0;
  const question = h("textarea", { rows: 2, placeholder: "What would you like to know?", "aria-label": "Question", onkeydown: hurry });
  const system = h("input", { placeholder: "none", autocomplete: "off" });
  const tokens = h("input", { type: "number", min: 1, value: 128 });
  const temperature = h("input", { type: "number", min: 0, max: 2, step: 0.1, value: 0 });
  const again = h("input", { type: "checkbox", checked: true });
  const send = h("button", { class: "primary", onclick: ask }, "Ask");
  const stop = h("button", { onclick: () => each((side) => side.stop()) }, "Stop");
  const add = h("button", { onclick: () => open(free()) }, "Add a side");
  const fresh = h("button", { onclick: () => each((side) => side.forget()) }, "Start over");
  section.append(
    sides,
    h("div", { class: "card asking" },
      h("div", { class: "bar" }, question, h("div", { class: "buttons" }, send, stop)),
      h("div", { class: "bar" },
        field("System", system), field("Most tokens", tokens), field("Temperature", temperature),
        h("label", { class: "member" }, again, "Ask again when a new revision answers"),
        h("span", { class: "space" }), add, fresh)),
  );

  function each(act) {
    for (const key of keys) act(panes.get(key));
  }

  function how() {
    return { system: system.value, maxTokens: Number(tokens.value) || 1, temperature: Number(temperature.value) || 0 };
  }

  function ask() {
    const text = question.value.trim();
    if (text === "") {
      question.focus();
      return;
    }
    if (!page.mayAsk()) {
      note("You may not create services/proxy here, so pods cannot be asked", "bad");
      return;
    }
    question.value = "";
    each((side) => side.ask(text));
  }

  function hurry(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      ask();
    }
  }

  function names() {
    return [...[...page.adapters.keys()].sort(), ...[...page.models.keys()].sort().filter((name) => !page.adapters.has(name))];
  }

  function free() {
    const taken = keys.map((key) => panes.get(key).name);
    return names().find((name) => !taken.includes(name)) ?? names()[0];
  }

  function open(name) {
    if (name === undefined || keys.length === SIDES_MOST) return;
    keys = [...keys, made++];
    draw();
    panes.get(keys.at(-1)).choose(name);
    update();
  }

  function close(key) {
    keys = keys.filter((other) => other !== key);
    update();
  }

  function draw() {
    keyed(sides, panes, keys, (key) => pane(page, { how, again: () => again.checked, close: () => close(key) }));
  }

  function update() {
    draw();
    const offered = names();
    if (keys.length === 0 && offered.length > 0) open(offered[0]);
    each((side) => side.update(offered, keys.length > 1));
    add.disabled = keys.length >= SIDES_MOST || offered.length === 0;
    setText(add, keys.length >= SIDES_MOST ? "Four sides at most" : "Add a side");
  }

  return {
    update,
    focus: () => question.focus(),
    choose(name) {
      if (keys.some((key) => panes.get(key).name === name)) return;
      const untouched = keys.find((key) => panes.get(key).silent);
      if (untouched === undefined && keys.length < SIDES_MOST) open(name);
      else panes.get(untouched ?? keys[0]).choose(name);
      update();
    },
  };
}

function field(words, input) {
  return h("label", { class: "field" }, h("span", {}, words), input);
}
