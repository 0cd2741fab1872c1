// Elements from words. Text is only ever set as text: what an adapter or a model says cannot become markup.

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function byName(one, other) {
  return one.name < other.name ? -1 : 1;
}

// Keeps one element for each key, in order; elements that stay are not touched, so that focus and sliders stay, too.
export function keyed(parent, made, keys, make) {
  const kept = new Set(keys);
  for (const [key, part] of made) {
    if (!kept.has(key)) {
      part.element.remove();
      made.delete(key);
    }
  }
  keys.forEach((key, place) => {
    if (!made.has(key)) made.set(key, make(key));
    const { element } = made.get(key);
    if (parent.children[place] !== element) parent.insertBefore(element, parent.children[place] ?? null);
  });
}

export function table(found, lastCell = null) {
  if (found.rows.length === 0) return h("p", { class: "muted" }, found.empty);
  const columns = lastCell === null ? found.columns : [...found.columns, ""];
  return h(
    "div", { class: "scroll" },
    h(
      "table", {},
      h("thead", {}, h("tr", {}, ...columns.map((column) => h("th", { scope: "col" }, column.toLowerCase())))),
      h(
        "tbody", {},
        ...found.rows.map((row, number) => h(
          "tr", { class: row.mood },
          ...row.cells.map((cell) => h("td", {}, cell)),
          lastCell === null ? null : h("td", { class: "actions" }, lastCell(row, number)),
        )),
      ),
    ),
  );
}

const NOTE_MILLISECONDS = 9000;

export function note(words, mood = "plain") {
  const shown = h("p", { class: `note ${mood}` }, words);
  document.getElementById("notes").append(shown);
  setTimeout(() => shown.remove(), NOTE_MILLISECONDS);
}

export function complain(error) {
  note(`${error.code ? `${error.code}: ` : ""}${error.message}${error.then ? `\n$ ${error.then}` : ""}`, "bad");
}
