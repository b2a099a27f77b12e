// The OpenAPI document as a readable page, with nothing fetched from elsewhere.

const make = (tag, text, ...children) => {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  element.append(...children);
  return element;
};
const table = (heads, rows) =>
  make("table", "", make("tr", "", ...heads.map((head) => make("th", head))),
    ...rows.map((row) => make("tr", "", ...row.map((cell) => make("td", cell)))));

const api = await (await fetch("openapi.json")).json();
const resolve = (schema) => (schema?.$ref ? schema.$ref.split("/").slice(1).reduce((o, key) => o[key], api) : schema);

document.getElementById("about").textContent = api.info.description;
const here = new URL("v1/animate", location.href).href;
document.getElementById("example").textContent =
  `curl ${here} -F picture=@teapot.png -F prompt="a teapot pours tea" \\\n     -H "Accept: image/webp" --output teapot.webp`;

for (const [path, methods] of Object.entries(api.paths)) {
  for (const [method, operation] of Object.entries(methods)) {
    const block = make("section", "", make("h2", `${method.toUpperCase()} ${path}`), make("p", operation.summary));
    const form = resolve(operation.requestBody?.content?.["multipart/form-data"]?.schema);
    const fields = Object.entries(form?.properties ?? {}).map(([name, field]) => [
      name, form.required?.includes(name) ? "required" : "optional", field.description ?? "",
    ]);
    if (fields.length) block.append(make("h3", "Form fields"), table(["field", "", "meaning"], fields));
    const answers = Object.entries(operation.responses).map(([code, answer]) => [
      code, [answer.description, Object.keys(answer.content ?? {}).join(", ")].filter(Boolean).join(": "),
    ]);
    block.append(make("h3", "Answers"), table(["status", "meaning"], answers));
    document.getElementById("operations").append(block);
  }
}
