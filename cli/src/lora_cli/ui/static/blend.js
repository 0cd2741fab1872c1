// A blend composed by hand.

import { byName, h, keyed, note, setText } from "./dom.js";
import { weightControl } from "./weight.js";

const EXACT = "Concat";
const METHODS = [
  [EXACT, "Concat: exact, ranks add up"],
  ["SVD", "SVD: limited to a rank"],
  ["TIES", "TIES: where signs agree"],
  ["DARE", "DARE: a random share, scaled up"],
];
const DENSITY = ["TIES", "DARE"];
const OFFERED_MOST = 50;

export function blendView(section, page) {
  const name = h("input", { required: true, placeholder: "polite-pirate", autocomplete: "off", spellcheck: "false", oninput: update });
  const model = h("select", { onchange: update });
  const method = h("select", { onchange: update }, ...METHODS.map(([value, words]) => h("option", { value }, words)));
  const rank = h("input", { type: "number", min: 1, placeholder: "as the model allows", oninput: update });
  const density = h("input", { type: "number", min: 0, max: 1, step: 0.05, placeholder: "default", oninput: update });
  const rankField = field("Rank", rank);
  const densityField = field("Density", density);
  const filter = h("input", { type: "search", placeholder: "Filter members", "aria-label": "Filter members by name", oninput: update });
  const members = h("tbody");
  const titles = ["member", "share", "made of"].map((title) => h("th", { scope: "col" }, title));
  const table = h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ...titles)), members));
  const none = h("p", { class: "muted" });
  const command = h("code", { class: "command" });
  const serve = h("button", { class: "primary", type: "submit" }, "Serve it");
  const ask = h("button", { type: "button", onclick: () => page.ask(name.value) }, "Ask it");
  const standing = h("p", { class: "moment", role: "status" });
  const rows = new Map();
  let opened = []; // members of the blend that is being changed
  section.append(h(
    "form", { class: "card", onsubmit: submit },
    h("h2", {}, "Serve several adapters as one"),
    h("div", { class: "fields" }, field("Name", name), field("Model", model), field("Method", method), rankField, densityField),
    filter, table, none,
    h("p", { class: "muted small" }, "A share is multiplied with the member's own weight. The same in a shell:"),
    command,
    h("div", { class: "bar" }, serve, ask, standing),
  ));

  function chosen() {
    return [...rows].filter(([, row]) => row.chosen).map(([member, row]) => [member, row.share]);
  }

  function submit(event) {
    event.preventDefault();
    const exact = method.value === EXACT;
    const body = {
      name: name.value,
      members: Object.fromEntries(chosen()),
      method: method.value,
      rank: exact || rank.value === "" ? null : Number(rank.value),
      density: !DENSITY.includes(method.value) || density.value === "" ? null : Number(density.value),
    };
    page.change("blend", body).then(() => note(`${body.name} is on its way`, "good"), () => undefined);
  }

  function open(of) {
    const { blend, model: home } = page.adapters.get(of);
    name.value = of;
    model.value = home;
    method.value = blend.method;
    rank.value = blend.rank ?? "";
    density.value = blend.density ?? "";
    opened = Object.keys(blend.members);
    update();
    for (const [member, row] of rows) row.put(blend.members[member]);
    update();
  }

  function update() {
    const models = [...page.models.keys()].sort();
    if (models.join() !== [...model.options].map((option) => option.value).join()) {
      const before = model.value;
      model.replaceChildren(...models.map((one) => h("option", {}, one)));
      if (models.includes(before)) model.value = before;
    }
    const adapters = [...page.adapters.values()].filter((adapter) => adapter.model === model.value && adapter.name !== name.value);
    const taken = (adapter) => rows.get(adapter.name)?.chosen || opened.includes(adapter.name);
    const free = adapters.filter((adapter) => !taken(adapter) && adapter.name.includes(filter.value)).sort(byName);
    const shown = [...adapters.filter(taken), ...free.slice(0, OFFERED_MOST)].sort(byName);
    keyed(members, rows, shown.map((adapter) => adapter.name), (member) => memberRow(member, update));
    for (const adapter of shown) rows.get(adapter.name).update(adapter);
    filter.hidden = adapters.length <= OFFERED_MOST;
    table.hidden = adapters.length === 0;
    none.hidden = adapters.length > 0;
    setText(none, `There are no adapters to blend yet: ${page.typed("add NAME --model MODEL --from SOURCE")}`);
    rankField.hidden = method.value === EXACT;
    densityField.hidden = !DENSITY.includes(method.value);
    const parts = chosen().map(([member, share]) => `${member}=${share}`);
    const more = [
      method.value === EXACT ? "" : ` --method ${method.value}`,
      rankField.hidden || rank.value === "" ? "" : ` --rank ${rank.value}`,
      densityField.hidden || density.value === "" ? "" : ` --density ${density.value}`,
    ].join("");
    setText(command, page.typed(`blend ${name.value || "NAME"} ${parts.join(" ") || "MEMBER=SHARE"}${more}`));
    const there = page.adapters.get(name.value);
    serve.disabled = parts.length === 0 || name.value === "" || !(there ? page.mayChange() : page.mayCreate());
    ask.hidden = there === undefined || there.blend === null;
    standing.className = `moment ${there?.moment?.mood ?? there?.mood ?? ""}`;
    setText(standing, there ? there.moment?.words ?? (there.mood === "good" ? `served as ${there.revision}` : there.message) : "");
  }

  return { update, open };
}

function memberRow(name, changed) {
  const box = h("input", { type: "checkbox", id: `member-${name}`, onchange: changed });
  const share = weightControl(`${name} in the blend`, (value) => { box.checked = true; share.set(value); changed(); });
  const origin = h("td", { class: "muted small" });
  const element = h("tr", {}, h("td", {}, h("label", { class: "member" }, box, name)), h("td", {}, share.element), origin);
  share.set(1);
  return {
    element,
    get chosen() { return box.checked; },
    get share() { return share.value; },
    put(value) {
      box.checked = value !== undefined;
      share.set(value ?? 1);
    },
    update(adapter) { setText(origin, adapter.madeOf); },
  };
}

function field(words, input) {
  return h("label", { class: "field" }, h("span", {}, words), input);
}
