// What every page has: who one is, where one is, in which zone its times are.

import { tellWho } from "./me.js";
import { tellZone } from "./times.js";

/** @param {string} page the one of the head that this is, or is below */
export function frame(page) {
  document.querySelector(`nav [data-page="${page}"]`)?.setAttribute("aria-current", "page");
  tellZone();
  tellWho();
}
