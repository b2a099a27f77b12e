// All clips follow one clock: that is what makes sync, pause and single frames possible.
//
// A strip is one picture with a clip's frames stacked from top to bottom.

export const SPEEDS = [0.25, 0.5, 1];
const LONGEST_STEP_S = 0.25; // a tab that slept goes on where it was

/** One clip on one canvas. `strip` is null when the file cannot be shown. */
export class Clip {
  #context;
  #drawn = -1;

  constructor(canvas, strip, frames, fps) {
    Object.assign(this, { canvas, strip, frames, fps });
    if (!strip) return;
    canvas.width = strip.width;
    canvas.height = Math.floor(strip.height / frames);
    this.#context = canvas.getContext("2d");
  }

  draw(frame) {
    if (!this.strip || frame === this.#drawn) return;
    const { width, height } = this.canvas;
    this.#context.clearRect(0, 0, width, height);
    this.#context.drawImage(this.strip, 0, frame * height, width, height, 0, 0, width, height);
    this.canvas.dataset.frame = frame; // read by whoever checks that all clips are in step
    this.#drawn = frame;
  }
}

/** Event: change (playing or speed). */
export class Player extends EventTarget {
  playing = true;
  speed = 1;
  #calm = matchMedia("(prefers-reduced-motion: reduce)");
  #moves = !this.#calm.matches; // whether the next job starts by itself
  #seconds = 0; // null: every clip stands on its middle frame
  #last = 0;
  #clips = [];
  #zoomed = null;

  constructor() {
    super();
    this.#calm.addEventListener("change", () => {
      this.#moves = !this.#calm.matches;
      this.restart();
    });
    this.restart();
    requestAnimationFrame((now) => this.#tick(now));
  }

  /** Play these instead of those before, from their beginning. */
  show(clips) {
    this.#clips = clips;
    this.#zoomed = null;
    this.restart();
    this.draw();
  }

  zoom(clip) {
    this.#zoomed = clip;
    this.draw();
  }

  restart() {
    this.playing = this.#moves;
    this.#seconds = this.#moves ? 0 : null;
    this.#changed();
  }

  toggle() {
    this.playing = !this.playing;
    if (this.playing) this.#seconds ??= 0;
    if (this.#calm.matches) this.#moves = this.playing; // who asked for motion once is not asked at every job
    this.#changed();
  }

  /** Pause `by` frames later, counted in those of the fastest clip. */
  step(by) {
    const fastest = this.#clips.reduce((a, b) => (b.fps > a.fps ? b : a), this.#clips[0]);
    if (!fastest) return;
    const at = this.#seconds ?? Math.floor(fastest.frames / 2) / fastest.fps;
    this.#seconds = (Math.floor(at * fastest.fps + 1e-6) + by) / fastest.fps;
    this.playing = false;
    this.draw();
    this.#changed();
  }

  setSpeed(speed) {
    this.speed = speed;
    this.#changed();
  }

  faster(by) {
    const at = Math.max(0, Math.min(SPEEDS.length - 1, SPEEDS.indexOf(this.speed) + by));
    this.setSpeed(SPEEDS[at]);
  }

  draw() {
    for (const clip of this.#clips) clip.draw(this.#frameOf(clip));
    this.#zoomed?.draw(this.#frameOf(this.#zoomed));
  }

  #frameOf({ frames, fps }) {
    if (this.#seconds === null) return Math.floor(frames / 2);
    const frame = Math.floor(this.#seconds * fps + 1e-6) % frames;
    return (frame + frames) % frames;
  }

  #tick(now) {
    if (this.playing) this.#seconds += Math.min(LONGEST_STEP_S, (now - this.#last) / 1000) * this.speed;
    this.#last = now;
    this.draw();
    requestAnimationFrame((next) => this.#tick(next));
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** The decoded strip, ready to draw; null when the file is missing or no picture. Waits for the network. */
export async function loadStrip(url, frames, signal, rest) {
  for (let tries = 0; !signal.aborted; tries++) {
    try {
      const answer = await fetch(url, { signal });
      if (answer.ok) return await decode(await answer.blob(), frames);
      if (answer.status !== 401 && answer.status !== 429 && answer.status < 500) return null;
    } catch { /* the network is away, or nobody waits any more */ }
    await rest(tries);
  }
  return null;
}

async function decode(blob, frames) {
  try {
    const strip = await createImageBitmap(blob);
    return strip.height >= frames ? strip : null;
  } catch {
    return null;
  }
}
