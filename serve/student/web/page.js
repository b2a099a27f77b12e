// The page where a person drops a picture, says how it moves, and watches it move.

const at = (id) => document.getElementById(id);
const state = { picture: null, shown: null, url: null };
const suffixes = { "image/webp": "webp", "image/gif": "gif", "image/apng": "png", "video/mp4": "mp4" };

function choose(file) {
  if (!file) return;
  state.picture = file;
  const preview = at("preview");
  if (preview.src) URL.revokeObjectURL(preview.src);
  preview.src = URL.createObjectURL(file);
  preview.alt = `Your picture: ${file.name}`;
  preview.hidden = false;
  at("invite").hidden = true;
  complain("");
}

function complain(sentence) {
  at("error").textContent = sentence;
  at("error").hidden = !sentence;
}

function busy(is) {
  at("go").setAttribute("aria-busy", is);
  at("go").disabled = is;
  at("stage").classList.toggle("busy", is);
}

/** Ask for one animation; throws an Error whose message is the server's sentence. */
async function animate({ picture, prompt, seed }, mediaType) {
  const form = new FormData();
  form.append("picture", picture);
  form.append("prompt", prompt);
  if (seed !== "") form.append("seed", seed);
  let answer;
  try {
    answer = await fetch("v1/animate", { method: "POST", body: form, headers: { Accept: mediaType } });
  } catch {
    throw new Error("The service cannot be reached; is it still running?");
  }
  if (answer.ok) return { file: await answer.blob(), seed: answer.headers.get("X-Seed") };
  if (answer.status === 503) throw new Error("The service is busy right now; please try again in a moment.");
  const text = await answer.text();
  let sentence = text;
  try {
    sentence = JSON.parse(text).detail;
  } catch { /* not JSON: show the text as it is */ }
  throw new Error(sentence || `The service answered with status ${answer.status}.`);
}

function show(made, order, seconds) {
  if (state.url) URL.revokeObjectURL(state.url);
  state.url = URL.createObjectURL(made.file);
  state.shown = { ...order, seed: made.seed };
  at("animation").src = state.url;
  at("animation").alt = `Animation: ${order.prompt}`;
  at("animation").hidden = false;
  at("waiting").hidden = true;
  at("download").href = state.url;
  at("download").download = `sticker-${made.seed}.webp`;
  at("downloads").hidden = false;
  at("status").textContent = `made in ${seconds.toFixed(1)} s with seed ${made.seed}`;
  at("go").textContent = "Animate again";
}

at("order").addEventListener("submit", async (event) => {
  event.preventDefault();
  const order = { picture: state.picture, prompt: at("prompt").value.trim(), seed: at("seed").value.trim() };
  if (!order.picture) return complain("Choose a picture first: drop one on the field above.");
  if (!order.prompt) {
    at("prompt").focus();
    return complain("Say in a few words how the picture moves.");
  }
  complain("");
  busy(true);
  at("status").textContent = "drawing frames";
  const started = performance.now();
  try {
    show(await animate(order, "image/webp"), order, (performance.now() - started) / 1000);
  } catch (error) {
    at("status").textContent = "";
    complain(error.message);
  } finally {
    busy(false);
  }
});

at("downloads").addEventListener("click", async (event) => {
  const mediaType = event.target.dataset.type;
  if (!mediaType) return;
  complain("");
  try {
    const { file, seed } = await animate(state.shown, mediaType); // the same seed, so the same animation
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = `sticker-${seed}.${suffixes[mediaType]}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  } catch (error) {
    complain(error.message);
  }
});

document.querySelector(".ideas").addEventListener("click", (event) => {
  if (event.target.tagName !== "BUTTON") return;
  at("prompt").value = event.target.textContent;
  at("prompt").focus();
});

at("picture").addEventListener("change", (event) => choose(event.target.files[0]));
addEventListener("dragover", (event) => {
  event.preventDefault();
  at("drop").classList.add("over");
});
addEventListener("dragleave", (event) => event.relatedTarget || at("drop").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  at("drop").classList.remove("over");
  choose(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => choose(event.clipboardData.files[0]));

try {
  const health = await (await fetch("healthz")).json();
  at("model").textContent = `model ${health.model} · ${health.num_frames} frames at ${health.fps} a second`;
} catch {
  at("model").textContent = "the service does not answer";
}
