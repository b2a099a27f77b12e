// Stickers that somebody flagged, playing, for the lead to look at.

import { Clip, loadStrip, Player } from "./player.js";

const list = document.getElementById("flags");
const player = new Player();
const known = new Map(); // clip id -> {item, said, clip}
const rest = (tries) => new Promise((resolve) => setTimeout(resolve, Math.min(15_000, 500 * 2 ** tries)));

export function showFlags(flags) {
  document.getElementById("no-flags").hidden = flags.length > 0;
  for (const [id, { item }] of known) {
    if (flags.some((each) => each.clip === id)) continue;
    item.remove();
    known.delete(id);
  }
  for (const flag of flags) {
    if (!known.has(flag.clip)) add(flag);
    const { said } = known.get(flag.clip);
    const counts = [["unsafe", flag.unsafe], ["broken", flag.broken]].filter(([, count]) => count);
    said.textContent = counts.map(([what, count]) => `${what}: ${count}`).join(", ");
  }
}

function add({ clip: id, url, frames, fps, prompt }) {
  const [item, canvas, words, said] = ["li", "canvas", "p", "p"].map((tag) => document.createElement(tag));
  item.className = "panel";
  words.dir = "auto";
  words.textContent = prompt;
  said.className = "beware";
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "the flagged sticker");
  item.append(canvas, words, said);
  list.append(item);
  const entry = { item, said, clip: null };
  known.set(id, entry);
  loadStrip(url, frames, new AbortController().signal, rest).then((strip) => {
    entry.clip = new Clip(canvas, strip, frames, fps);
    player.show([...known.values()].map((each) => each.clip).filter(Boolean));
  });
}
