// Where a token is asked for. It goes into a cookie that no script can read.

import { post } from "./api.js";
import { byId, setAttribute, setText } from "./element.js";
import { tellZone } from "./times.js";

const form = byId("login");
tellZone();
byId("token").focus();
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = byId("token").value.trim();
  complain(token ? "" : "Wants a token.");
  if (!token) return;
  try {
    await post("/login", { token });
    location.replace(form.dataset.next);
  } catch (problem) {
    complain(problem.message);
  }
});

function complain(message) {
  setText(byId("token-error"), message);
  setAttribute(byId("token"), "aria-invalid", message ? "true" : null);
  if (message) byId("token").focus();
}
