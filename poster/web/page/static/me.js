// Who one is, and what one may.

import { get, post } from "./api.js";
import { byId, element, fill } from "./element.js";

const RANK = { read: 0, post: 1, admin: 2 };

const PATIENCE_MS = 5_000; // all else of the page waits for it

let me = { name: "", role: null, token: null }; // no role: it is not known, and the server decides
try {
  me = await get("/api/me", PATIENCE_MS);
} catch (problem) {
  // who one is may be heard later
}

/** Hear who asks: `{name, role, token}`. */
export function heardOfMe(told) {
  me = told;
  tellWho();
}

/** Why one may not do what takes this role; null if one may. */
export function forbidden(role) {
  return me.role === null || RANK[me.role] >= RANK[role] ? null : `Wants the role ${role}; yours is ${me.role}.`;
}

/** Say in the page's head who one is; who has a token can log out. */
export function tellWho() {
  const leave = element("button", { type: "button", class: "quiet", onclick: logOut }, "Log out");
  const known = element(
    "span",
    { class: "name", title: `Role: ${me.role}` },
    me.name,
    element("span", { class: "role" }, me.role),
  );
  fill(byId("who"), me.name ? known : null, me.token ? leave : null);
}

async function logOut() {
  await post("/logout");
  location.assign("/login");
}
