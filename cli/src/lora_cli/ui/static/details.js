// All that is to be said of one object, and the revisions it had.

import { complain, h, note, table } from "./dom.js";
import { get } from "./server.js";

export function detailsDialog(dialog, page) {
  let name = null;
  let drawn = null;
  dialog.addEventListener("close", () => { name = null; });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

  function version() {
    return (page.adapters.get(name) ?? page.models.get(name))?.version;
  }

  async function draw() {
    const [asked, seen] = [name, version()];
    drawn = seen;
    try {
      const details = await get(`details?name=${encodeURIComponent(asked)}`);
      if (asked === name) fill(asked, details);
    } catch (error) {
      complain(error);
      dialog.close();
    }
  }

  function fill(of, { lines, history, returnable }) {
    const focused = dialog.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const [title, ...rest] = lines;
    dialog.replaceChildren(
      h("div", { class: "bar" },
        h("h2", { id: "details-title" }, title.text), h("span", { class: "space" }),
        h("button", { "data-key": "close", onclick: () => dialog.close() }, "Close")),
      h("div", { class: "lines" }, ...rest.map((line) => h("p", { class: line.tone }, line.tone === "command" ? `$ ${line.text}` : line.text))),
    );
    if (history !== null) {
      dialog.append(
        h("h3", {}, "Revisions"),
        table(history, (row, number) => (returnable[number]
          ? h("button", { "data-key": `back-${number}`, disabled: !page.mayChange(), "aria-label": `Roll back to ${row.cells[0]}`, onclick: () => back(of, row.cells[0]) }, "Roll back")
          : null)),
      );
    }
    (dialog.querySelector(`[data-key="${focused}"]`) ?? dialog.querySelector("button")).focus();
  }

  async function back(of, revision) {
    try {
      const { remarks } = await page.change("rollback", { name: of, revision });
      note(`${of} is to be ${revision} again`, "good");
      remarks.forEach((remark) => note(remark));
    } catch {
      // It has been said.
    }
  }

  return {
    open(of) {
      name = of;
      dialog.replaceChildren(h("h2", { id: "details-title" }, of));
      if (!dialog.open) dialog.showModal();
      draw();
    },
    update() {
      if (name === null || version() === drawn) return;
      if (version() === undefined) dialog.close();
      else draw();
    },
  };
}
