// Signing in: by a link, whose token leaves the address bar at once, or by name and password.

import { call } from "./api.js";

const at = (id) => document.getElementById(id);
const LINK = /^#sign-in=(.+)$/;
let entered = null;

/** What a sign-in link carries, null when the address is none; `take` false leaves the address alone. */
export function takeLink(take = true) {
  const token = LINK.exec(location.hash)?.[1];
  if (token === undefined) return null;
  if (take) history.replaceState(null, "", location.pathname + location.search);
  return { token: decodeURIComponent(token) };
}

/** Show the form; `enter` gets what signing in answered. */
export function openDoor(why, name, enter) {
  entered = enter;
  at("door-why").textContent = why;
  at("door-why").hidden = !why;
  at("door-name").value ||= name ?? "";
  wrong("");
  at("door").hidden = false;
  (at("door-name").value ? at("door-password") : at("door-name")).focus();
}

function wrong(sentence) {
  at("door-wrong").textContent = sentence;
  at("door-wrong").hidden = !sentence;
}

at("door").addEventListener("submit", async (event) => {
  event.preventDefault();
  wrong("");
  try {
    const who = await call("api/sign-in", { name: at("door-name").value.trim(), password: at("door-password").value });
    at("door-password").value = "";
    at("door").hidden = true;
    await entered(who);
  } catch (error) {
    at("door").hidden = false;
    const wait = error.seconds === undefined || error.seconds === null ? "" : ` Try again in ${Math.ceil(error.seconds)} s.`;
    wrong(error.message + wait);
  }
});
