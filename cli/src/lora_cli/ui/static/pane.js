// One side of the playground: a served name, its weight, and the conversation with it.

import { h, setText } from "./dom.js";
import { heatMap } from "./heat.js";
import { stream } from "./server.js";
import { weightControl } from "./weight.js";

const REST_MILLISECONDS = 250;

export function pane(page, { how, again, close }) {
  let name = "";
  let offered = ""; // the names to choose from, as they are drawn
  let talk = []; // turns, as OpenAI's API has them
  let asked = null; // the revision that gave the last answer
  let running = null; // the answer that is on its way
  const select = h("select", { "aria-label": "Whom to ask", onchange: () => { choose(select.value); } });
  const revision = h("span", { class: "mono" });
  const remove = h("button", { class: "quiet", "aria-label": "Close this side", onclick: () => { stop(); close(); } }, "✕");
  const weight = weightControl("the adapter asked here", (value) => page.change("weight", { name, weight: value }), REST_MILLISECONDS);
  const moment = h("span", { class: "moment", role: "status" });
  const turns = h("div", { class: "turns", tabindex: 0, role: "log", "aria-label": "Conversation" });
  const element = h(
    "article", { class: "card side" },
    h("div", { class: "bar" }, select, h("span", { class: "space" }), remove), h("div", {}, weight.element), h("p", { class: "small" }, revision, moment), turns,
  );

  function choose(wanted) {
    if (wanted === name) return;
    stop();
    name = wanted;
    weight.forget();
    forget();
    update();
  }

  function forget() {
    stop();
    talk = [];
    asked = null;
    turns.replaceChildren();
  }

  function stop() {
    if (running === null) return;
    if (running.text !== "") talk.push({ role: "assistant", content: running.text });
    running.request.abort();
    running = null;
  }

  function ask(text) {
    stop();
    talk.push({ role: "user", content: text });
    turns.append(h("p", { class: "user" }, text));
    answer();
  }

  // The last question once more, in place of the last answer.
  function askAgain() {
    stop();
    while (talk.at(-1)?.role === "assistant") talk.pop();
    while (turns.lastElementChild && !turns.lastElementChild.classList.contains("user")) turns.lastElementChild.remove();
    answer();
  }

  async function answer() {
    const mine = { request: new AbortController(), text: "" };
    running = mine;
    const said = h("p", { class: "assistant", "aria-busy": "true" });
    const about = h("p", { class: "about small muted" }, "waiting for the first word");
    turns.append(said, about);
    const { system, maxTokens, temperature } = how();
    const messages = [...(system === "" ? [] : [{ role: "system", content: system }]), ...talk];
    let by = "";
    let ended = false;
    try {
      for await (const { kind, data } of stream("ask", { name, messages, maxTokens, temperature }, mine.request.signal)) {
        if (kind === "begin") {
          asked = data.revision;
          by = data.revision === null ? "" : `${data.revision} · `;
        } else if (kind === "piece") {
          mine.text += data.text;
          said.textContent = mine.text;
          about.textContent = `${by}answering`;
          turns.scrollTop = turns.scrollHeight;
        } else if (kind === "end") {
          ended = true;
          about.textContent = by + data.words;
          const mixture = !page.adapters.has(name) && page.models.get(name)?.scalingsKept > 0;
          if (mixture && data.id) turns.append(heatMap(name, data.id));
        } else {
          throw data;
        }
      }
      if (!ended) throw new Error("the answer broke off: is the command that serves this page still running?");
      talk.push({ role: "assistant", content: mine.text });
    } catch (error) {
      if (mine.request.signal.aborted) {
        about.textContent = `${by}stopped`;
      } else {
        about.className = "about small bad";
        about.textContent = `${error.code ? `${error.code}: ` : ""}${error.message}`;
      }
    } finally {
      said.removeAttribute("aria-busy");
      if (mine.text === "") said.remove();
      if (running === mine) running = null;
    }
  }

  function update() {
    const adapter = page.adapters.get(name);
    const model = page.models.get(name);
    setText(revision, adapter ? adapter.revision ?? "no revision yet" : model ? "base model" : "there is none of this name any more");
    revision.className = `mono ${(adapter ?? model)?.mood ?? "bad"}`;
    weight.element.hidden = adapter === undefined;
    if (adapter) {
      weight.set(adapter.weight);
      weight.enable(page.mayChange(), "You may not patch LoRAAdapters here");
    }
    setText(moment, adapter?.moment?.words ?? "");
    moment.className = `moment ${adapter?.moment?.mood ?? ""}`;
    const changed = adapter && asked !== null && adapter.revision !== asked && adapter.mood === "good";
    if (changed && again() && talk.length > 0) {
      asked = adapter.revision;
      askAgain();
    }
  }

  return {
    element,
    choose,
    ask,
    stop,
    forget,
    get name() { return name; },
    get silent() { return talk.length === 0; },
    update(names, several) {
      const offers = names.includes(name) ? names : [name, ...names];
      if (offers.join("\n") !== offered) {
        offered = offers.join("\n");
        select.replaceChildren(...offers.map((one) => h("option", {}, one)));
      }
      select.value = name;
      remove.hidden = !several;
      update();
    },
  };
}
