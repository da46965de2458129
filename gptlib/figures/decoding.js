// The law of the next token, and what temperature, top-k, top-p, min-p and a repetition penalty make of it.

// Numbers of the tokens, the likeliest first; equals keep their order.
export function ranking(logits) {
  return logits.map((_, i) => i).sort((a, b) => logits[b] - logits[a] || a - b);
}

// The adjusters of gptlib.decoding in its order. Returns the logits and, for each token, what cut it ("" if it stays).
// seen: numbers of the tokens that have occurred. k = 0, p = 1, minimum = 0 and penalty = 1 change nothing.
export function adjust(logits, seen, { temperature = 1, k = 0, p = 1, minimum = 0, penalty = 1 }) {
  let out = logits.slice();
  for (const i of new Set(seen)) out[i] = out[i] > 0 ? out[i] / penalty : out[i] * penalty;
  const by = logits.map(() => "");
  const cut = (gone, name) => out.forEach((x, i) => {
    if (gone(i) && x > -Infinity) { out[i] = -Infinity; by[i] = name; }
  });
  if (temperature === 0) {
    const best = ranking(out)[0];
    cut((i) => i !== best, "temperature");
  } else out = out.map((x) => x / temperature);
  if (k > 0) {
    const kth = out[ranking(out)[Math.min(k, out.length) - 1]];
    const gone = out.map((x) => x < kth);
    cut((i) => gone[i], "top-k");
  }
  if (p < 1) {
    const shares = softmax(out);
    const gone = out.map(() => false);
    let before = 0;
    for (const i of ranking(out)) {
      gone[i] = before >= p;
      before += shares[i];
    }
    cut((i) => gone[i], "top-p");
  }
  if (minimum > 0) {
    const shares = softmax(out);
    const least = minimum * Math.max(...shares);
    cut((i) => shares[i] < least, "min-p");
  }
  return { logits: out, by };
}

// In bits.
export function entropy(shares) {
  return shares.reduce((sum, x) => (x > 0 ? sum - x * Math.log2(x) : sum), 0);
}

// The token on which a number in [0, 1) falls.
export function pick(shares, number) {
  let left = number;
  let last = 0;
  for (let i = 0; i < shares.length; i++) {
    if (shares[i] === 0) continue;
    last = i;
    left -= shares[i];
    if (left < 0) return i;
  }
  return last;
}

export function describe(before, after, by) {
  const kept = after.filter((x) => x > 0).length;
  const mass = before.reduce((sum, x, i) => (after[i] > 0 ? sum + x : sum), 0);
  const cuts = ["temperature", "top-k", "top-p", "min-p"]
    .map((name) => [name, by.filter((x) => x === name).length]).filter(([, count]) => count > 0)
    .map(([name, count]) => `${name} cut ${count}`).join(", ");
  const left = kept === 1 ? "One token is left" : `${kept} of ${after.length} tokens are left`;
  return `${left}, with ${format(100 * mass, 1)} % of the model's probability${cuts ? ` (${cuts})` : ""}. `
    + `Entropy: ${format(entropy(before), 2)} bits before, ${format(entropy(after), 2)} after.`;
}

const CSS = `
.prompt { margin: 0 0 .6rem; padding: .3rem .6rem; border: 1px solid var(--line); border-radius: .4rem;
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.prompt b { color: var(--ink); }
.note { margin: 0 0 .6rem; font-size: .92em; }
.knobs { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: .1rem 1.4rem; margin: 0 0 .6rem; }
.knobs label { justify-content: space-between; }
.knobs output { min-width: 3.2em; text-align: end; font-variant-numeric: tabular-nums; }
.gone th, .gone td { opacity: .8; }
.gone th { text-decoration: line-through; }
.rest th { font-weight: 400; font-style: italic; text-decoration: none; }
th, td { padding: .1rem .5rem; }
td { white-space: nowrap; }
tbody th { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
@media (max-width: 520px) { table { font-size: .88em; } th, td { padding: .1rem .25rem; }
  .bar, thead td { display: none; } }
`;

const ROWS = 14;
const SETTINGS = [
  ["as the model says", {}], ["greedy", { temperature: 0 }], ["temperature 0.7", { temperature: 0.7 }],
  ["top-k 40", { k: 40 }], ["top-p 0.9", { p: 0.9 }], ["hot, min-p 0.1", { temperature: 1.5, minimum: 0.1 }],
];

// Draws into a shadow root. data: { laws: [{ name, prompt, note, tokens, logits, seen }, …] }.
export function mount(root, data) {
  const none = { temperature: 1, k: 0, p: 1, minimum: 0, penalty: 1 };
  let how = { ...none };
  let law = data.laws[0];
  let drawn = null;
  const prompt = node("p", { className: "prompt" });
  const note = node("p", { className: "note" });
  const laws = picks("The text so far", data.laws.map((l) => l.name), 0, (i) => { law = data.laws[i]; change(); });
  const change = (more = {}) => { how = { ...how, ...more }; drawn = null; draw(); };
  const knobs = {
    temperature: slider("temperature", { min: 0, max: 3, step: 0.05, value: 1, show: (x) => (x === 0 ? "0 (greedy)" : format(x)) },
      (x) => change({ temperature: x })),
    k: slider("top-k", { min: 1, max: 101, value: 101, show: (x) => (x > 100 ? "all" : String(x)) },
      (x) => change({ k: x > 100 ? 0 : x })),
    p: slider("top-p", { min: 0.02, max: 1, step: 0.02, value: 1, show: (x) => (x === 1 ? "1 (all)" : format(x)) },
      (x) => change({ p: x })),
    minimum: slider("min-p", { min: 0, max: 0.5, step: 0.01, value: 0, show: (x) => (x === 0 ? "0 (all)" : format(x)) },
      (x) => change({ minimum: x })),
    penalty: slider("repetition penalty", { min: 1, max: 2, step: 0.05, value: 1, show: (x) => (x === 1 ? "1 (none)" : format(x)) },
      (x) => change({ penalty: x })),
  };
  const presets = node("div", { className: "row", role: "group", ariaLabel: "Settings to begin with" },
    ...SETTINGS.map(([name, settings]) => {
      const button = node("button", { type: "button" }, name);
      button.addEventListener("click", () => {
        const wanted = { ...none, ...settings };
        for (const [key, label] of Object.entries(knobs)) {
          const input = label.querySelector("input");
          input.value = key === "k" && wanted.k === 0 ? 101 : wanted[key];
          input.dispatchEvent(new Event("input"));
        }
      });
      return button;
    }));
  const many = node("button", { type: "button" }, "Draw 100 times");
  many.addEventListener("click", () => {
    const shares = softmax(adjust(law.logits, law.seen, how).logits);
    drawn = shares.map(() => 0);
    for (let i = 0; i < 100; i++) drawn[pick(shares, Math.random())]++;
    draw();
  });
  const shown = table("The likeliest next tokens", ["token", "model", "now", null, "drawn", "what happens"]);
  const said = status();
  fill(root, CSS, laws.element, prompt, note, presets, node("div", { className: "knobs" }, ...Object.values(knobs)),
    node("div", { className: "row" }, many), shown.element, said);

  function line(name, was, is, times, fate, kind) {
    return row(name, [`${format(100 * was, 1)} %`, is > 0 ? `${format(100 * is, 1)} %` : "–", bar(is),
      drawn ? String(times) : "", fate], kind);
  }

  let waiting = 0;
  function draw() {
    const { logits, by } = adjust(law.logits, law.seen, how);
    const before = softmax(law.logits);
    const after = softmax(logits);
    const order = ranking(law.logits);
    const rest = order.slice(ROWS);
    const sum = (values) => rest.reduce((total, i) => total + values[i], 0);
    prompt.replaceChildren(law.prompt.replaceAll("\n", "↵ "), node("b", {}, "?"));
    note.textContent = law.note;
    shown.body.replaceChildren(
      ...order.slice(0, ROWS).map((i) => line(visible(law.tokens[i]), before[i], after[i], drawn?.[i],
        by[i] ? `cut by ${by[i]}` : law.seen.includes(i) && how.penalty !== 1 ? "penalised, stays" : "stays",
        by[i] ? "gone" : "")),
      line(`${rest.length} others`, sum(before), sum(after), drawn ? sum(drawn) : 0,
        `${rest.filter((i) => !by[i]).length} stay`, "rest"));
    const text = describe(before, after, by);
    clearTimeout(waiting);
    if (said.textContent === "") said.textContent = text;
    else waiting = setTimeout(() => { said.textContent = text; }, 250);
  }
  draw();
}
