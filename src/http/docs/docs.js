// The page: shows the contract, and tries it. Text from outside only ever becomes text.

import { parse } from "./contract.js";

const $ = (id) => document.getElementById(id);

/** Makes an element. `about` are its properties, `inside` its children. */
function make(name, about = {}, ...inside) {
  const element = Object.assign(document.createElement(name), about);
  element.append(...inside.filter((child) => child !== null && child !== undefined));
  return element;
}

// --- Trying it -----------------------------------------------------------------------------------------------------

/** Sends a request, shows the raw answer, and returns its body. */
async function ask(method, path, headers = {}) {
  const key = $("key").value.trim();
  const all = key ? { ...headers, "X-API-Key": key } : headers;
  const shown = Object.entries(headers).map(([name, value]) => `${name}: ${value}\n`).join("");
  const out = $("answer");
  out.className = "";
  out.textContent = `${method} /${path}\n${shown}\n…`;
  try {
    const response = await fetch(path, { method, headers: all, credentials: "omit", cache: "no-store" });
    const body = await response.text();
    const told = [...response.headers].map(([name, value]) => `${name}: ${value}\n`).join("");
    out.className = response.ok ? "good" : "bad";
    out.textContent = `${method} /${path}\n${shown}\n${response.status} ${response.statusText}\n${told}\n${body}`;
    return { ok: response.ok, body: body ? JSON.parse(body) : null };
  } catch (error) {
    out.className = "bad";
    out.textContent = `${method} /${path}\n\nNo answer: ${error.message}`;
    return { ok: false, body: null };
  }
}

const conversation = () => `conversations/${encodeURIComponent($("conversation").value.trim())}`;

async function list() {
  const rows = $("participants").tBodies[0];
  rows.replaceChildren();
  const { ok, body } = await ask("GET", `${conversation()}/participants`);
  $("participants").hidden = !ok;
  if (ok) rows.replaceChildren(...body.participants.map(row));
}

function row(participant) {
  const gone = participant.endTime !== null || ["disconnected", "terminated"].includes(participant.state);
  const name = participant.name ?? participant.purpose ?? participant.id;
  const button = make("button", { type: "button", textContent: "Hang up", disabled: gone });
  button.setAttribute("aria-label", `Hang up ${name}`);
  button.addEventListener("click", async () => {
    button.disabled = true;
    const headers = $("wait").checked ? { Prefer: "wait=5" } : {};
    const query = $("dry").checked ? "?dryRun=true" : "";
    const { ok, body } = await ask("POST", `${conversation()}/participants/${encodeURIComponent(participant.id)}/disconnect${query}`, headers);
    const over = ok && body?.outcome !== "would_disconnect";
    button.disabled = over;
    if (over) state.textContent = body.verified ? "gone" : body.outcome;
  });
  const state = make("td", { textContent: participant.state ?? "" });
  const cells = [participant.name, participant.purpose].map((text) => make("td", { textContent: text ?? "" }));
  const tr = make("tr", {}, ...cells, state, make("td", {}, make("code", { textContent: participant.id })), make("td", {}, button));
  tr.dataset.id = participant.id;
  return tr;
}

$("look").addEventListener("submit", (event) => { event.preventDefault(); list(); });

// --- The contract --------------------------------------------------------------------------------------------------

/** The little Markdown of the descriptions: paragraphs, lists, `code` and **strong**. */
function prose(text) {
  return (text ?? "").trim().split(/\n\s*\n/).filter(Boolean).map((part) => {
    const items = part.split(/^- /m).map((item) => item.trim()).filter(Boolean);
    if (part.startsWith("- ")) return make("ul", {}, ...items.map((item) => make("li", {}, ...inline(item))));
    return make("p", {}, ...inline(part));
  });
}

function inline(text) {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part) => {
    if (part.startsWith("`")) return make("code", { textContent: part.slice(1, -1) });
    if (part.startsWith("**")) return make("strong", { textContent: part.slice(2, -2) });
    return part;
  });
}

const slug = (text) => text.replace(/[^A-Za-z0-9]+/g, "-").toLowerCase();
const last = (reference) => reference.split("/").pop();

function show(contract) {
  const resolve = (thing) => thing?.$ref ? thing.$ref.slice(2).split("/").reduce((at, step) => at[step], contract) : thing;

  /** A schema in a line: its name, or its kind and bounds. */
  function brief(schema) {
    if (!schema) return ["anything"];
    if (schema.$ref) return [make("a", { href: `#schema-${slug(last(schema.$ref))}`, textContent: last(schema.$ref) })];
    const join = (list, word) => list.flatMap((one, i) => (i ? [word, ...brief(one)] : brief(one)));
    if ("const" in schema) return [make("code", { textContent: JSON.stringify(schema.const) })];
    if (schema.enum) return schema.enum.flatMap((word, i) => [i ? ", " : "", make("code", { textContent: JSON.stringify(word) })]);
    if (schema.oneOf) return join(schema.oneOf, " or ");
    if (schema.allOf) return join(schema.allOf.filter((one) => one.$ref), " and ");
    if (schema.items) return ["list of ", ...brief(schema.items)];
    const bounds = ["format", "pattern", "minimum", "maximum", "minLength", "maxLength"].filter((name) => name in schema);
    return [[schema.type ?? "anything"].flat().join(" or "), ...bounds.map((name) => `, ${name} ${schema[name]}`)];
  }

  const table = (caption, heads, rows) => make("div", { className: "wide" }, make("table", {},
    make("caption", { textContent: caption }),
    make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col", textContent: head })))),
    make("tbody", {}, ...rows.map((cells) => make("tr", {}, ...cells.map((cell) => make("td", {}, ...[cell].flat())))))));
  const code = (text) => make("code", { textContent: text });
  const members = (schema) => table("Members", ["Name", "Value", "Meaning"], Object.entries(schema.properties).map(([name, one]) => [
    [code(name), schema.required?.includes(name) ? "" : " (optional)"], brief(one), prose(one.description ?? resolve(one)?.description)]));
  const examples = (media) => Object.entries(media.examples ?? {}).map(([name, one]) => make("details", {},
    make("summary", { textContent: `Example: ${resolve(one).summary ?? name}` }),
    make("pre", { textContent: JSON.stringify(resolve(one).value, null, 2) })));
  const bodies = (content) => Object.entries(content ?? {}).flatMap(([kind, media]) =>
    [make("p", {}, code(kind), ": ", ...brief(media.schema)), ...(kind.includes("problem+json") ? [] : examples(media))]);

  function response(status, given) {
    const about = resolve(given);
    const headers = Object.keys(about.headers ?? {}).map(code).flatMap((one, i) => (i ? [", ", one] : [one]));
    return make("details", {},
      make("summary", {}, code(status), " ", ...inline((about.description ?? "").split("\n")[0])),
      ...prose(about.description), headers.length ? make("p", {}, "Headers: ", ...headers) : null, ...bodies(about.content));
  }

  function operation(path, item, method, about) {
    const given = [...(item.parameters ?? []), ...(about.parameters ?? [])].map(resolve);
    const body = resolve(about.requestBody);
    const keys = (about.security ?? contract.security).flatMap(Object.keys);
    return make("details", { id: `operation-${about.operationId}` },
      make("summary", {}, code(`${method.toUpperCase()} ${path}`), make("br"), about.summary),
      ...prose(about.description),
      make("p", { className: "soft", textContent: keys.length ? `Authenticate by ${keys.join(" or ")}.` : "Needs no key." }),
      table("Parameters", ["Name", "Where", "Value", "Meaning"], given.map((one) =>
        [code(one.name), one.in + (one.required ? ", required" : ""), brief(one.schema), prose(one.description)])),
      ...(body ? [make("h4", { textContent: body.required ? "Body" : "Body (optional)" }), ...prose(body.description), ...bodies(body.content)] : []),
      make("h4", { textContent: "Answers" }),
      // Keys that are numbers come first in JavaScript, which suits statuses.
      ...Object.entries(about.responses).map(([status, one]) => response(status, one)));
  }

  const parts = [...prose(contract.info.description)];
  const links = [];
  const section = (title, ...inside) => {
    links.push(make("li", {}, make("a", { href: `#part-${slug(title)}`, textContent: title })));
    parts.push(make("h3", { id: `part-${slug(title)}`, textContent: title }), ...inside);
  };
  for (const tag of contract.tags) {
    const own = Object.entries(contract.paths).flatMap(([path, item]) => Object.entries(item)
      .filter(([, about]) => about.tags?.includes(tag.name)).map(([method, about]) => operation(path, item, method, about)));
    section(tag.name, ...prose(tag.description), ...own);
  }
  const problems = contract.components.schemas.ProblemCode.enum.map((name) => [name, contract.components.examples[name]?.value]);
  section("Problem codes", table("What can go wrong", ["Status", "Code", "Repeat?", "What it is, and an example of what to do"], problems.map(([name, one]) =>
    [String(one?.status ?? ""), code(name), one?.retryable ? "yes" : "no", [make("p", { textContent: one?.title ?? "" }), make("p", { className: "soft", textContent: one?.detail ?? "" })]])));
  section("Schemas", ...Object.entries(contract.components.schemas).map(([name, schema]) => make("details", { id: `schema-${slug(name)}` },
    make("summary", {}, code(name)), ...prose(schema.description), schema.properties ? members(schema) : make("p", {}, ...brief(schema)))));
  section("Keys", make("dl", {}, ...Object.entries(contract.components.securitySchemes).flatMap(([name, one]) =>
    [make("dt", {}, code(name)), make("dd", {}, ...prose(one.description))])));

  $("summary").textContent = contract.info.summary;
  $("contents").replaceChildren(make("ul", {}, make("li", {}, make("a", { href: "#try", textContent: "Try it" })), ...links));
  $("operations").replaceChildren(...parts);
  open();
}

/** Opens what the address names. */
function open() {
  const target = location.hash.length > 1 ? $(decodeURIComponent(location.hash.slice(1))) : null;
  if (target instanceof HTMLDetailsElement) target.open = true;
  target?.scrollIntoView();
}
addEventListener("hashchange", open);

try {
  const response = await fetch("openapi.yaml", { credentials: "omit" });
  if (!response.ok) throw new Error(`openapi.yaml was answered ${response.status}`);
  show(parse(await response.text()));
} catch (error) {
  $("operations").replaceChildren(make("p", { className: "bad", textContent: `The contract cannot be shown: ${error.message}` }));
}
