// Models, and the adapters of each with their sliders.

import { byName, h, keyed, setText } from "./dom.js";
import { weightControl } from "./weight.js";

const REST_MILLISECONDS = 250;
const SHOWN_MOST = 200;
const AT_A_GLANCE = 10;

export function adaptersView(section, page) {
  const filter = h("input", { type: "search", placeholder: "Filter by name", "aria-label": "Filter adapters by name", oninput: update });
  const count = h("span", { class: "muted", role: "status" });
  const list = h("div", { class: "stack" });
  const empty = h("p", { class: "card muted" });
  const cards = new Map();
  const bar = h("div", { class: "bar" }, filter, count);
  section.append(bar, empty, list);

  function update() {
    const wanted = [...page.adapters.values()].filter((adapter) => adapter.name.includes(filter.value));
    const shown = wanted.sort(byName).slice(0, SHOWN_MOST);
    setText(count, shown.length < page.adapters.size ? `${shown.length} of ${page.adapters.size}` : "");
    bar.hidden = filter.value === "" && page.adapters.size <= AT_A_GLANCE;
    setText(empty, `Nothing is declared here yet: ${page.typed("add NAME --model MODEL --from SOURCE")}`);
    empty.hidden = page.models.size + page.adapters.size > 0;
    const models = [...new Set([...page.models.keys(), ...shown.map((adapter) => adapter.model)])].sort();
    keyed(list, cards, models, (name) => modelCard(name, page));
    for (const name of models) cards.get(name).update(shown.filter((adapter) => adapter.model === name));
  }

  return { update };
}

function modelCard(name, page) {
  const mood = h("span", { class: "dot", "aria-hidden": "true" });
  const facts = h("span", { class: "muted" });
  const message = h("p", { class: "message" });
  const rows = h("tbody");
  const none = h("p", { class: "muted" }, "No adapters.");
  const titles = ["adapter", "weight", "revision", "loaded", "ready", "age", ""];
  const table = h("table", { class: "adapters" }, h("thead", {}, h("tr", {}, ...titles.map((title) => h("th", { scope: "col" }, title)))), rows);
  const ask = h("button", { onclick: () => page.ask(name) }, "Ask the base");
  const element = h(
    "article", { class: "card", "aria-label": `Model ${name}` },
    h("div", { class: "bar" }, mood, h("h2", {}, h("button", { class: "link", onclick: () => page.details(name) }, name)), facts, h("span", { class: "space" }), ask),
    message, h("div", { class: "scroll" }, table), none,
  );
  const made = new Map();

  return {
    element,
    update(adapters) {
      const model = page.models.get(name);
      mood.className = `dot ${model?.mood ?? "bad"}`;
      setText(facts, model ? `${model.cells.SOURCE} · ${model.cells.PODS} pods · ${model.cells.REASON} · ${model.cells.AGE}` : "there is no such LoRAModel");
      message.hidden = !model || model.mood === "good";
      setText(message, model?.message ?? "");
      ask.disabled = !model || !page.mayAsk();
      table.hidden = adapters.length === 0;
      none.hidden = adapters.length > 0;
      const names = adapters.map((adapter) => adapter.name);
      keyed(rows, made, names, (adapter) => adapterRow(adapter, page));
      for (const adapter of adapters) made.get(adapter.name).update(adapter);
    },
  };
}

function adapterRow(name, page) {
  const origin = h("div", { class: "muted small" });
  const moment = h("div", { class: "moment small", role: "status" });
  const revision = h("td", { class: "mono" });
  const loaded = h("td");
  const mood = h("span", { class: "dot", "aria-hidden": "true" });
  const reason = h("span");
  const message = h("div", { class: "small muted" });
  const age = h("td");
  const weight = weightControl(name, (value) => page.change("weight", { name, weight: value }), REST_MILLISECONDS);
  const ask = h("button", { "aria-label": `Ask ${name}`, onclick: () => page.ask(name) }, "Ask");
  const blend = h("button", { "aria-label": `Change the blend ${name}`, onclick: () => page.compose(name), hidden: true }, "Blend");
  const element = h(
    "tr", {},
    h("td", {}, h("button", { class: "link", "aria-label": `Details of ${name}`, onclick: () => page.details(name) }, name), origin),
    h("td", {}, weight.element, moment),
    revision, loaded,
    h("td", {}, mood, reason, message),
    age,
    h("td", { class: "actions" }, blend, ask),
  );

  return {
    element,
    update(adapter) {
      const { cells } = adapter;
      setText(origin, adapter.madeOf);
      setText(revision, cells.REVISION);
      setText(loaded, cells.LOADED);
      setText(reason, cells.REASON);
      setText(message, adapter.mood === "good" ? "" : adapter.message);
      setText(age, cells.AGE);
      mood.className = `dot ${adapter.mood}`;
      weight.set(adapter.weight);
      weight.enable(page.mayChange(), "You may not patch LoRAAdapters here");
      setText(moment, adapter.moment?.words ?? "");
      moment.className = `moment small ${adapter.moment?.mood ?? ""}`;
      ask.disabled = !page.mayAsk();
      blend.hidden = adapter.blend === null;
    },
  };
}
