// What a key press means, whatever the keyboard's layout and script.

/** One key a sticker: digits first, then letters that command nothing. */
export const STICKER_KEYS = [..."123456789qwertiopadhjklcvmxy"];

/** Letters and digits by what they print; by where they lie when they print another script's letter or a sign. */
export function keyOf(event) {
  const key = event.key.toLowerCase();
  if (key.length > 1 || /[a-z0-9[\],.? ]/.test(key)) return key;
  const place = /^(?:Digit|Numpad)(\d)$|^Key([A-Z])$/.exec(event.code);
  return place ? (place[1] ?? place[2].toLowerCase()) : key;
}

/** Somebody writes, so keys are letters and no commands. */
export function writes(target) {
  return target instanceof HTMLElement && target.matches("input, textarea, select");
}

/** Enter and Space belong to a control that has the focus. */
export function activates(target, key) {
  return (key === "enter" || key === " ") && target instanceof HTMLElement && target.matches("button, a, summary");
}
