// A slider and a number for one weight.

import { h } from "./dom.js";

const USUAL = [0, 2];
const MOST = 10;
const STEP = 0.05;
const OVERTAKEN_MILLISECONDS = 3000; // what is stored by then, is; somebody else may have changed it, too

// `change` is called with each new value, once it has been at rest for `rest` milliseconds; if it is refused, the old one is back.
export function weightControl(label, change, rest = 0) {
  const slider = h("input", { type: "range", step: STEP, "aria-label": `Weight of ${label}` });
  const number = h("input", { type: "number", min: -MOST, max: MOST, step: STEP, "aria-label": `Weight of ${label}, as a number` });
  const element = h("span", { class: "weight" }, slider, number);
  let known = 1;
  let wanted = null; // by the user, and not yet known to be stored
  let timer;

  function show(value) {
    slider.min = Math.min(USUAL[0], Math.floor(value));
    slider.max = Math.max(USUAL[1], Math.ceil(value));
    slider.value = value;
    if (Number(number.value) !== value || number.value === "") number.value = value;
  }

  function edited(value) {
    if (!Number.isFinite(value) || Math.abs(value) > MOST) return;
    wanted = value;
    show(value);
    clearTimeout(timer);
    timer = setTimeout(send, rest);
  }

  async function send() {
    const value = wanted;
    try {
      await change(value);
      setTimeout(() => giveUp(value), OVERTAKEN_MILLISECONDS);
    } catch {
      giveUp(value);
    }
  }

  function giveUp(value) {
    if (wanted !== value) return;
    wanted = null;
    show(known);
  }

  slider.addEventListener("input", () => edited(Number(slider.value)));
  number.addEventListener("input", () => { if (number.value !== "") edited(Number(number.value)); });
  number.addEventListener("blur", () => show(wanted ?? known));

  return {
    element,
    enable(may, why) {
      for (const input of [slider, number]) {
        input.disabled = !may;
        input.title = may ? "" : why;
      }
    },
    set(value) {
      known = value;
      if (wanted === value) wanted = null;
      if (wanted === null && document.activeElement !== number) show(value);
    },
    // Another adapter's, from now on.
    forget() {
      clearTimeout(timer);
      wanted = null;
    },
    get value() {
      return wanted ?? known;
    },
  };
}
