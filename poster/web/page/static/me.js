// Who one is, and what one may.

import { get, post } from "./api.js";
import { byId, element, fill } from "./element.js";

const RANK = { read: 0, post: 1, admin: 2 };

/** Who asks: `{name, role, token}`. */
export const me = await get("/api/me").catch(() => ({ name: "", role: "read", token: null }));

/** Why one may not do what takes this role; null if one may. */
export function forbidden(role) {
  return RANK[me.role] >= RANK[role] ? null : `Wants the role ${role}; yours is ${me.role}.`;
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
