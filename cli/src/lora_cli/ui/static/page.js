// The whole page: what is known, which view is shown, and in which colours.

import { adaptersView } from "./adapters.js";
import { blendView } from "./blend.js";
import { detailsDialog } from "./details.js";
import { complain } from "./dom.js";
import { memoryView } from "./memory.js";
import { playView } from "./play.js";
import { get, listen, post } from "./server.js";

const MAY_CHANGE = "patch loraadapters.lora-operator.io";
const MAY_CREATE = "create loraadapters.lora-operator.io";
const MAY_ASK = "create services/proxy";

const page = {
  models: new Map(),
  adapters: new Map(),
  rights: {},
  typed: (command) => command,
  may: (right) => page.rights[right] !== false,
  mayChange: () => page.may(MAY_CHANGE),
  mayCreate: () => page.may(MAY_CREATE),
  mayAsk: () => page.may(MAY_ASK),
  // Sends a change; says why if it is refused, and fails.
  async change(path, body) {
    try {
      return await post(path, body);
    } catch (error) {
      complain(error);
      throw error;
    }
  },
  ask(name) {
    views.play.choose(name);
    show("play");
    views.play.focus();
  },
  compose(name) {
    views.blend.open(name);
    show("blend");
  },
  details: (name) => details.open(name),
};

const views = {
  adapters: adaptersView(document.getElementById("adapters"), page),
  play: playView(document.getElementById("play"), page),
  blend: blendView(document.getElementById("blend"), page),
  memory: memoryView(document.getElementById("memory"), page),
};
const details = detailsDialog(document.getElementById("details"), page);

// -- what is known ----------------------------------------------------------------------------------------------------

function told(news) {
  for (const kind of ["models", "adapters"]) {
    if (news.whole) page[kind].clear();
    for (const [name, view] of Object.entries(news[kind])) {
      if (view === null) page[kind].delete(name);
      else page[kind].set(name, view);
    }
  }
  const trouble = document.getElementById("trouble");
  trouble.hidden = news.trouble === null;
  if (news.trouble !== null) trouble.textContent = `What is shown may be old. ${news.trouble.code}: ${news.trouble.message}`;
  redraw();
}

function redraw() {
  for (const view of [...Object.values(views), details]) view.update();
}

function connected(yes) {
  const chip = document.getElementById("connection");
  chip.textContent = yes ? "live" : "no longer connected: is the command that serves this page still running?";
  chip.className = yes ? "chip good" : "chip bad";
}

// -- views ------------------------------------------------------------------------------------------------------------

const tabs = [...document.querySelectorAll("[role=tab]")];

function show(name) {
  for (const tab of tabs) {
    const chosen = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    document.getElementById(tab.getAttribute("aria-controls")).hidden = !chosen;
  }
  history.replaceState(null, "", `#${name}`);
  views[name].shown?.();
}

tabs.forEach((tab, place) => {
  tab.addEventListener("click", () => show(tab.getAttribute("aria-controls")));
  tab.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (steps === undefined) return;
    const next = tabs[(place + steps + tabs.length) % tabs.length];
    next.focus();
    next.click();
  });
});

// -- colours ----------------------------------------------------------------------------------------------------------

const COLOURS = ["auto", "light", "dark"];

function colour(name) {
  document.documentElement.dataset.theme = name;
  const button = document.getElementById("theme");
  button.textContent = `◐ ${name}`;
  button.setAttribute("aria-label", `Colours: ${name === "auto" ? "as the system has them" : name}`);
}

document.getElementById("theme").addEventListener("click", () => {
  colour(COLOURS[(COLOURS.indexOf(document.documentElement.dataset.theme) + 1) % COLOURS.length]);
});
colour(COLOURS[0]);

// -- begin ------------------------------------------------------------------------------------------------------------

show(location.hash.slice(1) in views ? location.hash.slice(1) : "adapters");
listen(told, connected);
get("place").then((place) => {
  page.rights = place.rights;
  page.typed = (command) => place.typed.replace("COMMAND", () => command);
  document.getElementById("kind").textContent = place.kind;
  document.getElementById("place").textContent = place.name;
  document.title = `kubectl lora: ${place.name}`;
  const remark = document.getElementById("remark");
  remark.textContent = place.remark;
  remark.hidden = place.remark === "";
  redraw();
}, complain);
