// Reads the contract: the part of YAML in which openapi.yaml is written. Block maps and lists, flow maps and lists on one
// line, plain and quoted scalars, `|` blocks and whole-line comments. Anything else is an error, not a guess.

const KEY = /^('(?:[^']|'')*'|[^\s'"[{#|>&*!%@-][^]*?|-[^\s][^]*?):(?: +(.*))?$/;

/** Reads YAML. Throws an Error that names the line. */
export function parse(text) {
  const lines = text.split("\n").map((raw, index) => ({ raw, number: index + 1, indent: raw.search(/\S/), text: raw.trim() }));
  let at = 0;
  const fail = (what, line) => { throw new Error(`line ${line.number}: ${what}`); };
  const skip = () => { while (at < lines.length && (lines[at].indent < 0 || lines[at].text.startsWith("#"))) at += 1; };
  const here = () => { skip(); return lines[at]; };

  function block(indent) {
    const line = here();
    if (!line || line.indent < indent) return null;
    return line.text === "-" || line.text.startsWith("- ") ? list(line.indent) : map(line.indent);
  }

  function list(indent) {
    const items = [];
    for (let line = here(); line && line.indent === indent && line.text.startsWith("- "); line = here()) {
      const rest = line.text.slice(2).trim();
      if (KEY.test(rest)) {
        // A map that begins on the line of its dash.
        const inner = line.raw.indexOf(rest, indent + 1);
        lines[at] = { ...line, indent: inner, text: rest };
        items.push(map(inner));
      } else {
        at += 1;
        items.push(value(rest, indent, line));
      }
    }
    return items;
  }

  function map(indent) {
    const members = {};
    for (let line = here(); line && line.indent === indent; line = here()) {
      const found = KEY.exec(line.text);
      if (!found) fail("a key was expected", line);
      const key = found[1].startsWith("'") ? found[1].slice(1, -1).replaceAll("''", "'") : found[1];
      if (Object.hasOwn(members, key)) fail(`${key} is there twice`, line);
      at += 1;
      members[key] = value(found[2] ?? "", indent, line);
    }
    const next = here();
    if (next && next.indent > indent) fail("a strange indentation", next);
    return members;
  }

  function value(rest, indent, line) {
    if (rest === "") return block(indent + 1);
    if (rest === "|") return literal(indent);
    return flow(rest, line);
  }

  function literal(indent) {
    const first = lines.slice(at).find((line) => line.indent >= 0);
    const own = first && first.indent > indent ? first.indent : indent + 1;
    const taken = [];
    while (at < lines.length && (lines[at].indent < 0 || lines[at].indent >= own)) taken.push(lines[at++].raw.slice(own));
    return taken.join("\n").replace(/\n*$/, "\n");
  }

  function flow(text, line) {
    let i = 0;
    const blanks = () => { while (text[i] === " ") i += 1; };
    function one(inside) {
      blanks();
      if (text[i] === "{") return several("}", {});
      if (text[i] === "[") return several("]", []);
      if (text[i] === "'") return quoted();
      const stop = inside ? /[,\]}]|:(?= )/g : /$/g;
      stop.lastIndex = i;
      const end = stop.exec(text)?.index ?? text.length;
      const word = text.slice(i, end).trim();
      if (word === "" || /^["&*!%@`|>]/.test(word)) fail("this kind of value is not used here", line);
      i = end;
      return plain(word);
    }
    function quoted() {
      const found = /'((?:[^']|'')*)'/y;
      found.lastIndex = i;
      const match = found.exec(text) ?? fail("a quote that does not end", line);
      i = found.lastIndex;
      return match[1].replaceAll("''", "'");
    }
    function several(end, into) {
      i += 1;
      for (blanks(); text[i] !== end; blanks()) {
        const first = one(true);
        blanks();
        if (Array.isArray(into)) into.push(first);
        else if (text[i] === ":") { i += 1; into[first] = one(true); blanks(); }
        else fail("a value was expected", line);
        if (text[i] === ",") i += 1;
        else if (text[i] !== end) fail(`${end} was expected`, line);
      }
      i += 1;
      return into;
    }
    const result = one(false);
    blanks();
    if (i < text.length) fail("something is left over", line);
    return result;
  }

  function plain(word) {
    const words = { null: null, true: true, false: false };
    if (Object.hasOwn(words, word)) return words[word];
    return /^-?\d+(\.\d+)?$/.test(word) ? Number(word) : word;
  }

  const result = block(0);
  const left = here();
  if (left) fail("this does not belong here", left);
  return result;
}
