// What all figures share. Python puts this text before the figure's own, which exports
//   mount(root, data)   draw into a shadow root,
// and its mathematics as pure functions, so that they can be tested without a page. What several figures compute with
// stands here, too.
// Never write a closing script tag in these files, not even in a comment.
//
// Every figure: native inputs (keyboard and screen readers work of themselves), numbers in a table, pictures of them
// hidden from screen readers, and one status sentence that says what the last change did.

// Colours: of the book, else of JupyterLab, else of VS Code, else the browser's. color-scheme is inherited, never set.
const BASE_CSS = `
:host { display: block; text-align: start;
  --fg: var(--pst-color-text-base, var(--jp-content-font-color1, var(--vscode-foreground, CanvasText)));
  --bg: var(--pst-color-background, var(--jp-layout-color0, var(--vscode-editor-background, Canvas)));
  --line: color-mix(in srgb, var(--fg) 22%, var(--bg));
  --edge: color-mix(in srgb, var(--fg) 55%, var(--bg));
  --soft: color-mix(in srgb, var(--fg) 5%, var(--bg));
  --ink: var(--course-accent, var(--jp-brand-color1, #2f7fc1));
  color: var(--fg); background: var(--bg); font-size: max(.95em, 14px); line-height: 1.5;
  padding: 1rem; border: 1px solid var(--line); border-radius: .6rem; }
* { box-sizing: border-box; }
:focus-visible { outline: 3px solid var(--ink); outline-offset: 2px; }
input, select { accent-color: var(--ink); font: inherit; }
input[type="text"], select { color: inherit; background: var(--bg); border: 1px solid var(--edge);
  border-radius: .4rem; padding: .25rem .5rem; max-width: 100%; }
input[type="range"] { min-width: 8rem; flex: 1; max-width: 20rem; }
button { font: inherit; min-height: 30px; padding: .1rem .7rem; color: inherit; background: var(--bg);
  border: 1px solid var(--edge); border-radius: .4rem; cursor: pointer; }
fieldset { border: 0; margin: 0 0 .6rem; padding: 0; display: flex; flex-wrap: wrap; gap: .4rem; min-width: 0; }
legend { font-weight: 600; padding: 0 0 .3rem; }
label { display: inline-flex; align-items: center; gap: .4rem; min-height: 30px; }
.row { display: flex; flex-wrap: wrap; gap: .4rem 1.4rem; margin: 0 0 .6rem; }
.row > label { max-width: 100%; flex-wrap: wrap; }
.pick { border: 1px solid var(--edge); border-radius: .4rem; padding: .1rem .6rem; cursor: pointer; }
.pick:has(:checked) { border-color: var(--ink); box-shadow: inset 0 0 0 1.5px var(--ink); font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { font-weight: 600; text-align: left; padding: 0 0 .3rem; }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child { text-align: left; }
tbody th { font-weight: 600; }
thead th { font-weight: 500; }
.bar { min-width: 7rem; width: 40%; }
.bar i { display: block; height: 1em; width: calc(100% * var(--w)); min-width: 1px; border-radius: 2px;
  background: var(--ink); forced-color-adjust: none; transition: width .15s; }
@media (prefers-reduced-motion: reduce) { .bar i { transition: none; } }
.visually-hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap; }
[role="status"] { margin: .6rem 0 0; padding: .4rem .7rem; border-left: 3px solid var(--ink); background: var(--soft); }
`;

// An element: node("p", { className: "x" }, "text", child).
function node(tag, props = {}, ...children) {
  const element = Object.assign(document.createElement(tag), props);
  element.append(...children);
  return element;
}

// Puts the figure together: shared style, the figure's own style, then its parts.
function fill(root, css, ...parts) {
  root.append(node("style", { textContent: BASE_CSS + css }), ...parts);
}

// A row of radio buttons; `onPick(index)` is called by keyboard and mouse alike. Returns { element, set }.
function picks(legend, labels, chosen, onPick) {
  const group = `picks-${Math.random().toString(36).slice(2)}`;
  const inputs = labels.map((_, i) => node("input", { type: "radio", name: group, value: i, checked: i === chosen }));
  const element = node("fieldset", {}, node("legend", { textContent: legend }),
    ...labels.map((text, i) => node("label", { className: "pick" }, inputs[i], text)));
  element.addEventListener("change", (event) => onPick(+event.target.value));
  return { element, set: (i) => { inputs[i].checked = true; } };
}

// A slider whose value stands beside it as `show(value)`; `onMove(value)`.
function slider(text, { min, max, step = 1, value, show = String }, onMove) {
  const input = node("input", { type: "range" });
  Object.assign(input, { min, max, step });
  input.value = value;
  const output = node("output", { textContent: show(value) });
  input.setAttribute("aria-valuetext", show(value));
  input.addEventListener("input", () => {
    output.textContent = show(+input.value);
    input.setAttribute("aria-valuetext", show(+input.value));
    onMove(+input.value);
  });
  return node("label", {}, text, input, output);
}

// A check box; `onSwitch(checked)`.
function toggle(text, checked, onSwitch) {
  const input = node("input", { type: "checkbox", checked });
  input.addEventListener("change", () => onSwitch(input.checked));
  return node("label", {}, input, text);
}

// A table that scrolls inside itself on a narrow page. Returns { element, caption, body }.
function table(name, heads) {
  const caption = node("caption", { textContent: name });
  const body = node("tbody");
  const row = node("tr", {}, ...heads.map((text) => text === null
    ? node("td", { className: "bar" }) : node("th", { scope: "col", textContent: text })));
  const whole = node("table", {}, caption, node("thead", {}, row), body);
  const element = node("div", { className: "scroll", tabIndex: 0, role: "group", ariaLabel: name }, whole);
  return { element, caption, body };
}

// One row of it: its name, then texts or cells.
function row(name, cells, className = "") {
  return node("tr", { className }, node("th", { scope: "row", textContent: name }),
    ...cells.map((cell) => (cell instanceof Node ? cell : node("td", { textContent: cell }))));
}

// A picture of a share in [0, 1]; its number stands beside it in the table, so screen readers pass over it.
function bar(share) {
  const filled = node("i");
  filled.style.setProperty("--w", Math.max(0, Math.min(1, share)));
  return node("td", { className: "bar", ariaHidden: "true" }, filled);
}

// The sentence that says what the figure shows now.
function status() {
  return node("p", { role: "status" });
}

// A number with a real minus sign; minus infinity as such.
function format(x, digits = 2) {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "–" : x < 0 ? "−∞" : "∞";
  return x.toFixed(digits).replace(/^-(?=[0.]*$)/, "").replace("-", "−");
}

// Softmax of logits or scores, divided by a temperature; −∞ gets 0, and nothing but −∞ gives nothing but 0.
function softmax(logits, temperature = 1) {
  const top = Math.max(...logits);
  if (top === -Infinity) return Array.from(logits, () => 0);
  const powers = Array.from(logits, (x) => Math.exp((x - top) / temperature));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((x) => x / total);
}

// A space or line break as something one can see.
function visible(text) {
  return text.replaceAll(" ", "␣").replaceAll("\n", "↵");
}
