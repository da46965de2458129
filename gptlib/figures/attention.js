// One query at a time: its products with all keys → scaled → masked → softmax → weighted sum of the values.
const CSS = `
:host { text-align: left; }
.masked td, .masked th { color: color-mix(in srgb, var(--fg) 72%, var(--bg)); }
.masked td.minus { font-style: italic; }
td.box { text-align: center; } td.box input { width: 1.15rem; height: 1.15rem; }
.asks th { box-shadow: inset 3px 0 0 var(--ink); }
.steps .bar { min-width: 5rem; width: 30%; }
@media (max-width: 480px) { .steps th, .steps td { padding: .15rem .2rem; } .steps .bar { display: none; }
  .steps td:nth-last-child(2) { background: linear-gradient(90deg,
    color-mix(in srgb, var(--ink) 35%, var(--bg)) calc(100% * var(--w)), transparent 0); } }
.answer { margin-top: .8rem; } .answer td, .answer th { padding: .2rem .35rem; text-align: center; }
.answer .best { font-weight: 700; box-shadow: inset 0 -3px 0 var(--ink); }`;

// The mathematics, without a page; tests compare it with gptlib.attention.

// Row `position` of a causal mask: true where that query may look.
export function causalRow(length, position) {
  return Array.from({ length }, (_, s) => s <= position);
}

// One query (K numbers) against S keys and values; allowed[s] is true where it may look.
export function attend(query, keys, values, allowed, scaled = true) {
  const products = keys.map((key) => key.reduce((sum, x, i) => sum + x * query[i], 0));
  const scores = products.map((x) => (scaled ? x / Math.sqrt(query.length) : x));
  const masked = scores.map((x, s) => (allowed[s] ? x : -Infinity));
  const weights = softmax(masked);
  const mean = values[0].map((_, d) => weights.reduce((sum, w, s) => sum + w * values[s][d], 0));
  return { products, scores, masked, weights, mean };
}

// What the weighted sum says through the model's output and read-out layers: a probability for each label.
export function read(mean, { weight, bias }) {
  return softmax(weight.map((row, i) => row.reduce((sum, w, d) => sum + w * mean[d], bias[i])));
}

const best = (numbers) => numbers.indexOf(Math.max(...numbers));

// Says what one look-up found, in a sentence.
export function describe(tokens, position, found, answer, labels) {
  const asks = `Position ${position}, “${tokens[position]}”,`;
  if (!found.weights.some((w) => w > 0)) return `${asks} may look nowhere: all weights and the weighted sum are 0.`;
  const s = best(found.weights);
  const looks = `${asks} looks most at “${tokens[s]}” (weight ${format(found.weights[s])}).`;
  if (!answer) return `${looks} Weighted sum of the values: (${found.mean.map((x) => format(x)).join(", ")}).`;
  const i = best(answer);
  return `${looks} The weighted sum reads as ${labels[i]} with probability ${format(answer[i])}.`;
}

export function mount(root, data) {
  const { tokens, query, key, value, readout } = data;
  const state = { position: data.position, causal: data.causal, scaled: data.scaled, hidden: tokens.map(() => false) };
  const set = (name) => (x) => { state[name] = x; draw(); };
  const queries = picks("The token that asks", tokens, state.position, set("position"));
  const switches = node("div", { className: "row" },
    toggle("causal mask", state.causal, set("causal")), toggle("divide by √K", state.scaled, set("scaled")));
  const steps = table("From products to weights", ["key", "may look", "q · k", "scaled", "masked", "weight", null]);
  steps.element.classList.add("steps");
  const boxes = tokens.map((token, s) => {
    const input = node("input", { type: "checkbox", ariaLabel: `may look at ${token}, position ${s}` });
    input.addEventListener("change", () => { state.hidden[s] = !input.checked; draw(); });
    return input;
  });
  const said = status();
  const answer = readout && table("How the weighted sum reads", ["read as", ...readout.labels]);
  if (answer) answer.element.classList.add("answer");
  fill(root, CSS, queries.element, switches, steps.element, ...(answer ? [answer.element] : []), said);

  function allowedNow() {
    const causal = causalRow(tokens.length, state.causal ? state.position : tokens.length);
    boxes.forEach((box, s) => { box.disabled = !causal[s]; box.checked = causal[s] && !state.hidden[s]; });
    return causal.map((free, s) => free && !state.hidden[s]);
  }

  function draw() {
    const active = root.activeElement; // rows are made anew; the box that was used keeps the focus
    const allowed = allowedNow();
    const found = attend(query[state.position], key, value, allowed, state.scaled);
    steps.caption.textContent = `What “${tokens[state.position]}” (position ${state.position}) compares`;
    steps.body.replaceChildren(...tokens.map((token, s) => {
      const cells = [found.products[s], state.scaled ? found.scores[s] : NaN, found.masked[s], found.weights[s]]
        .map((x) => node("td", { textContent: format(x), className: x === -Infinity ? "minus" : "" }));
      cells[3].style.setProperty("--w", found.weights[s]); // on a phone the cell is its own bar
      const name = `${allowed[s] ? "" : "masked"} ${s === state.position ? "asks" : ""}`;
      return row(token, [node("td", { className: "box" }, boxes[s]), ...cells, bar(found.weights[s])], name);
    }));
    const says = readout && read(found.mean, readout);
    if (answer) {
      const top = best(says);
      answer.body.replaceChildren(row("probability", says.map((p, i) =>
        node("td", { textContent: format(p), className: i === top && found.weights.some((w) => w > 0) ? "best" : "" }))));
    }
    said.textContent = describe(tokens, state.position, found, says, readout && readout.labels);
    if (active && boxes.includes(active)) active.focus();
  }
  draw();
}
