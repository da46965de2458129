// What n-grams expect next, for n = 1 … N side by side, from a compact table of counts.

// One record of a table: context, likeliest followers, "#", their counts, the count of the context.
export function unpack(text, order) {
  const table = new Map();
  for (const record of text === "" ? [] : text.split("|")) {
    const cut = record.indexOf("#");
    const numbers = record.slice(cut + 1).split(",").map(Number);
    const total = numbers.pop();
    table.set(record.slice(0, order - 1), { tokens: [...record.slice(order - 1, cut)], counts: numbers, total });
  }
  return table;
}

// The estimate of order n after a context: of the longest order up to n whose table holds the context's end.
// Probabilities are shares of everything that followed; `rest` is the share of what the record leaves out.
export function estimate(tables, context, n) {
  for (let order = n; order >= 1; order--) {
    if (context.length < order - 1) continue;
    const seen = context.slice(context.length - order + 1);
    const record = tables[order - 1].get(seen);
    if (record) {
      const probabilities = record.counts.map((c) => c / record.total);
      const rest = Math.max(0, 1 - probabilities.reduce((a, b) => a + b, 0));
      return { order, seen, total: record.total, tokens: record.tokens, probabilities, rest };
    }
  }
  return { order: 0, seen: "", total: 0, tokens: [], probabilities: [], rest: 1 };
}

// The token that a number in [0, 1) falls on, among those that the estimate lists.
export function pick({ tokens, probabilities }, number) {
  let left = number * probabilities.reduce((a, b) => a + b, 0);
  for (let i = 0; i < tokens.length; i++) {
    left -= probabilities[i];
    if (left < 0) return tokens[i];
  }
  return tokens[tokens.length - 1];
}

const CSS = `
textarea { font: 1em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; width: 100%; color: inherit;
  background: var(--bg); border: 1px solid var(--edge); border-radius: .4rem; padding: .4rem .6rem; resize: vertical; }
.over { display: block; font-weight: 600; margin: 0 0 .3rem; }
table { table-layout: fixed; min-width: 23rem; }
th, td { text-align: left; padding: .15rem .4rem; overflow-wrap: anywhere; }
th:first-child, td:first-child { width: 1.6rem; }
.examples { align-items: center; gap: .4rem; }
@media (max-width: 520px) { table { font-size: .82em; min-width: 0; } th, td { padding: .15rem .2rem; } }
thead th { vertical-align: top; }
thead small { display: block; opacity: .85; font-weight: 400; }
code { font: 1em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; background: var(--soft); padding: 0 .25em;
  border-radius: .25em; white-space: pre-wrap; }
td { line-height: 1.3; }
td i { display: block; height: .35em; border-radius: 2px; background: var(--ink); width: calc(100% * var(--w));
  min-width: 1px; margin-bottom: .15rem; forced-color-adjust: none; }
.chosen { background: var(--soft); }
.backed i { background: none; border: 1px solid var(--ink); }
`;

const SHOWN = 8;
const name = (token) => (token === " " ? "space" : token === "\n" ? "line break" : `“${token}”`);

// Draws into a shadow root. data: { tables: [text, …], floor, context, examples }.
export function mount(root, data) {
  const tables = data.tables.map((text, i) => unpack(text, i + 1));
  const orders = tables.map((_, i) => i + 1);
  const state = { n: orders.length };
  const box = node("textarea", { rows: 2, spellcheck: false, value: data.context });
  box.setAttribute("autocapitalize", "off");
  const typed = node("label", { className: "over" }, "Context: type what comes before");
  box.id = `context-${Math.random().toString(36).slice(2)}`;
  typed.htmlFor = box.id;
  const set = (text) => { box.value = text; draw(); };
  const examples = node("div", { className: "row examples", role: "group", ariaLabel: "Examples" }, "or pick one:",
    ...data.examples.map((text) => {
      const button = node("button", { type: "button" }, visible(text));
      button.addEventListener("click", () => set(text));
      return button;
    }));
  const chosen = picks("n of the model that draws", orders.map(String), state.n - 1, (i) => { state.n = i + 1; draw(); });
  const one = node("button", { type: "button" }, "Draw a character");
  const many = node("button", { type: "button" }, "Draw 40");
  const roll = (times) => {
    let text = box.value;
    for (let i = 0; i < times; i++) text += pick(estimate(tables, text, state.n), Math.random());
    set(text);
    box.scrollTop = box.scrollHeight;
  };
  one.addEventListener("click", () => roll(1));
  many.addEventListener("click", () => roll(40));
  const head = node("tr");
  const body = node("tbody");
  const whole = node("table", {},
    node("caption", { textContent: "Likeliest next characters" }), node("thead", {}, head), body);
  const frame = node("div", { className: "scroll", tabIndex: 0, role: "group", ariaLabel: "Next-character probabilities" }, whole);
  const said = status();
  fill(root, CSS, typed, box, examples, chosen.element, node("div", { className: "row" }, one, many), frame, said);

  function header(found, n) {
    const label = node("th", { scope: "col", className: n === state.n ? "chosen" : "" }, `n = ${n}`);
    const sees = found.seen === "" ? "sees nothing" : node("code", { textContent: visible(found.seen) });
    label.append(node("small", {}, found.order < n ? `backs off to n = ${found.order}: ` : "", sees));
    return label;
  }

  function cell(found, rank, n) {
    const classes = [n === state.n ? "chosen" : "", found.order < n ? "backed" : ""].join(" ").trim();
    if (rank >= found.tokens.length) return node("td", { className: classes });
    const share = node("i", { ariaHidden: "true" });
    share.style.setProperty("--w", found.probabilities[rank]);
    const token = node("code", { textContent: visible(found.tokens[rank]) });
    return node("td", { className: classes }, token, ` ${format(found.probabilities[rank], 2)}`, share);
  }

  let waiting = 0;
  function draw() {
    const found = orders.map((n) => estimate(tables, box.value, n));
    head.replaceChildren(node("th", { scope: "col", textContent: "#" }), ...found.map((f, i) => header(f, i + 1)));
    body.replaceChildren(...Array.from({ length: SHOWN }, (_, rank) => node("tr", {},
      node("th", { scope: "row", textContent: String(rank + 1) }), ...found.map((f, i) => cell(f, rank, i + 1)))));
    const rare = data.floor > 1 ? `seen fewer than ${data.floor} times in training` : "never seen in training";
    const f = found[state.n - 1];
    const wanted = visible(box.value.slice(-(state.n - 1)));
    const short = box.value.length < state.n - 1;
    const why = f.order === state.n ? ""
      : short ? `The context is shorter than ${state.n - 1} characters, so n = ${state.n} backs off to n = ${f.order}. `
        : `“${wanted}” was ${rare}, so n = ${state.n} backs off to n = ${f.order}. `;
    const after = f.seen === "" ? "Whatever came before" : `After “${visible(f.seen)}”, seen ${f.total.toLocaleString("en")} times`;
    const text = `${why}${after}, it expects ${name(f.tokens[0])} with probability ${format(f.probabilities[0], 2)}.`;
    clearTimeout(waiting);
    // While one types, the sentence waits for a pause, so that a screen reader is not interrupted at each key.
    if (said.textContent === "") said.textContent = text;
    else waiting = setTimeout(() => { said.textContent = text; }, 300);
  }
  box.addEventListener("input", draw);
  draw();
}
