// Everything that goes to the server, and errors that a person can read.

/** The server understood and said no; `status` tells which kind of no, `seconds` when to ask again. */
export class Refusal extends Error {
  constructor(status, sentence, seconds = null) {
    super(sentence);
    this.status = status;
    this.seconds = seconds;
  }

  /** Asking again later may help; with every other refusal it cannot. */
  get passes() {
    return this.status === 429 || this.status >= 500;
  }
}

/** Nothing came back: whether the server heard is unknown. */
export class NoAnswer extends Error {
  constructor() {
    super("the network is away");
  }
}

const PATIENCE_MS = 20_000;
let session = { name: null, csrf: "" };

export function beSignedIn(me) {
  session = { name: me.name, csrf: me.csrf };
}

/** GET without a body, POST with one; throws Refusal or NoAnswer. */
export async function call(path, body) {
  try {
    return await ask(path, body);
  } catch (error) {
    if (error.status !== 403 || body === undefined) throw error;
    const me = await ask("api/me"); // another tab may have signed in anew, so that our token is an old one
    if (me.name !== session.name) throw new Refusal(401, "Somebody else has signed in with this browser.");
    if (me.csrf === session.csrf) throw error;
    beSignedIn(me);
    return ask(path, body);
  }
}

async function ask(path, body) {
  const options = { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) };
  if (body !== undefined) {
    options.method = "POST";
    options.headers = { "Content-Type": "application/json", "X-CSRF-Token": session.csrf };
    options.body = JSON.stringify(body);
  }
  let answer, text;
  try {
    answer = await fetch(path, options);
    text = await answer.text();
  } catch {
    throw new NoAnswer();
  }
  let said = null;
  try {
    said = JSON.parse(text);
  } catch { /* not from the service itself, a proxy's page perhaps: the status says enough */ }
  if (answer.ok && said !== null) return said;
  const wait = Number.parseFloat(answer.headers.get("Retry-After"));
  const sentence = typeof said?.detail === "string" ? said.detail : `The server answered with status ${answer.status}.`;
  throw new Refusal(answer.ok ? 502 : answer.status, sentence, Number.isFinite(wait) ? wait : null);
}

/** How long to wait before the nth try, in milliseconds: longer each time, never in step with everybody else. */
export function backoff(tries, error) {
  if (error?.seconds != null) return error.seconds * 1000 + Math.random() * 500;
  return Math.min(15_000, 500 * 2 ** tries) * (0.75 + Math.random() / 2);
}
