// Signs of states. The word always stands beside: a sign tells nothing to who cannot see it.

import { element, picture, setAttribute, setText } from "./element.js";
import { stateWord } from "./words.js";

const BACK = "M-1.5-6L-5.5-2L-1.5 2M-5.5-2H2A3.8 3.8 0 0 1 2 5.6H-2";
const CHECK = "M-5.5 .5L-1.5 4.5L5.5-4.5";
const CROSS = "M-4.5-4.5L4.5 4.5M4.5-4.5L-4.5 4.5";
const MARK = "M0-6V1.5M0 5.6V5.7";

const PATHS = {
  pending: "M-5.2 0a5.2 5.2 0 1 0 10.4 0a5.2 5.2 0 1 0-10.4 0M0-2.8V.3L2 1.8",
  running: "M-3.5-5.5L5.5 0L-3.5 5.5Z",
  pausing: "M-2.6-4.6V4.6M2.6-4.6V4.6",
  paused: "M-2.6-4.6V4.6M2.6-4.6V4.6",
  cancelling: BACK,
  reverting: BACK,
  reverted: BACK,
  completed: CHECK,
  success: CHECK,
  failed: CROSS,
  failure: CROSS,
  cancelled: "M-5.5 0a5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0-11 0M-3.8 3.8L3.8-3.8",
  revert_failed: MARK,
  revert_failure: MARK,
  not_responding: MARK,
};

/** The sign of a state. */
export function sign(state) {
  const path = picture("path", { d: PATHS[state] ?? PATHS.pending });
  return picture(
    "svg",
    { class: "sign", viewBox: "-8 -8 16 16", width: 16, height: 16, "aria-hidden": "true" },
    path,
  );
}

/** A state by sign, word and colour. */
export function badge(state) {
  return element(
    "span",
    { class: `badge ${state}`, "data-state": state },
    sign(state),
    element("span", {}, stateWord(state)),
  );
}

/** Let a badge tell another state. */
export function setBadge(shown, state) {
  if (shown.dataset.state === state) return;
  setAttribute(shown, "data-state", state);
  setAttribute(shown, "class", `badge ${state}`);
  shown.querySelector("path").setAttribute("d", PATHS[state] ?? PATHS.pending);
  setText(shown.lastElementChild, stateWord(state));
}
