// What adapters take in each pod, and the room there is.

import { complain, h, table } from "./dom.js";
import { get } from "./server.js";

const REST_MILLISECONDS = 500;

export function memoryView(section, page) {
  let timer = null;
  const list = h("div", { class: "stack" });
  section.append(list);

  async function draw() {
    timer = null;
    try {
      const models = await get("memory");
      list.replaceChildren(...models.map(({ sentences, table: taken, model }) => h(
        "article", { class: "card", "aria-label": `Memory of ${model}` },
        h("h2", {}, model),
        ...sentences.map((sentence) => h("p", { class: "sentence" }, sentence)),
        table(taken),
      )));
      if (models.length === 0) list.replaceChildren(h("p", { class: "card muted" }, "No LoRAModels here."));
    } catch (error) {
      complain(error);
    }
  }

  function update() {
    if (!section.hidden && timer === null) timer = setTimeout(draw, REST_MILLISECONDS);
  }

  return { update, shown: draw };
}
