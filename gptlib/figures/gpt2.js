// A small GPT that runs in the page: type, and see its tokens, its guesses, where each head looks, and one block at work.

// The bytes of a safetensors file as { config, characters, weights }: matrices of int8 with a scale a row become floats.
export function unpack(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + size)));
  const about = header.__metadata__;
  const raw = {};
  delete header.__metadata__;
  for (const [name, { dtype, shape, data_offsets: [begin, end] }] of Object.entries(header)) {
    const piece = bytes.slice(8 + size + begin, 8 + size + end);
    raw[name] = { shape, numbers: dtype === "I8" ? new Int8Array(piece.buffer) : new Float32Array(piece.buffer) };
  }
  const weights = {};
  for (const [name, { shape, numbers }] of Object.entries(raw)) {
    if (name.endsWith(".scale")) continue;
    const scale = raw[`${name}.scale`];
    const wide = shape[shape.length - 1];
    weights[name] = scale ? Float32Array.from(numbers, (q, i) => q * scale.numbers[Math.floor(i / wide)]) : numbers;
  }
  return { config: JSON.parse(about.config), characters: [...about.characters], weights };
}

// What of a text the model reads: its last characters, dropped half a window at a time, so that the cache lives on.
export function window_(ids, length) {
  const half = Math.floor(length / 2);
  return ids.slice(Math.max(0, Math.ceil((ids.length - length) / half)) * half);
}

// GPT-2's forward pass, one position at a time, with keys and values of earlier positions kept.
export class GPT {
  constructor({ config, weights }) {
    Object.assign(this, { config, weights });
    const { n_layers, d_model, context_length } = config;
    const empty = () => new Float32Array(context_length * d_model);
    this.cache = Array.from({ length: n_layers }, () => ({ key: empty(), value: empty() }));
    this.seen = [];
  }
  linear(x, name) {
    const matrix = this.weights[`${name}.weight`], bias = this.weights[`${name}.bias`], wide = x.length;
    const out = Float32Array.from(bias);
    for (let o = 0; o < out.length; o++) {
      let sum = 0;
      for (let i = 0, at = o * wide; i < wide; i++) sum += matrix[at + i] * x[i];
      out[o] += sum;
    }
    return out;
  }
  norm(x, name) {
    const scale = this.weights[`${name}.weight`], shift = this.weights[`${name}.bias`];
    const mean = x.reduce((a, b) => a + b, 0) / x.length;
    const variance = x.reduce((a, b) => a + (b - mean) ** 2, 0) / x.length;
    const root = Math.sqrt(variance + 1e-5);
    return x.map((v, i) => ((v - mean) / root) * scale[i] + shift[i]);
  }
  unembed(x) {
    const { vocab_size, d_model } = this.config, table = this.weights["token_embedding.weight"];
    const normed = this.norm(x, "final_norm"), logits = new Float64Array(vocab_size);
    for (let v = 0; v < vocab_size; v++) {
      for (let i = 0; i < d_model; i++) logits[v] += table[v * d_model + i] * normed[i];
    }
    return logits;
  }
  // Attention of position t in a block; notes the weights of every head.
  attend(normed, block, t, weights) {
    const { d_model: D, n_heads } = this.config, K = D / n_heads, { key, value } = this.cache[block];
    const qkv = this.linear(normed, `blocks.${block}.attention.qkv`);
    key.set(qkv.subarray(D, 2 * D), t * D);
    value.set(qkv.subarray(2 * D), t * D);
    const found = new Float32Array(D);
    for (let h = 0; h < n_heads; h++) {
      const scores = new Float64Array(t + 1);
      for (let s = 0; s <= t; s++) {
        for (let i = h * K; i < (h + 1) * K; i++) scores[s] += qkv[i] * key[s * D + i];
      }
      const share = softmax(scores, Math.sqrt(K));
      for (let s = 0; s <= t; s++) for (let i = h * K; i < (h + 1) * K; i++) found[i] += share[s] * value[s * D + i];
      weights.push(share);
    }
    return this.linear(found, `blocks.${block}.attention.output`);
  }
  // One position through all blocks. Returns the stream, and by block the weights of the heads and every stage.
  step(id, t) {
    const { n_layers, d_model: D } = this.config, token = this.weights["token_embedding.weight"];
    const place = this.weights["position_embedding.weight"], blocks = [];
    let x = new Float32Array(D).map((_, i) => token[id * D + i] + place[t * D + i]);
    for (let b = 0; b < n_layers; b++) {
      const heads = [], input = x, normed = this.norm(x, `blocks.${b}.attention_norm`);
      const found = this.attend(normed, b, t, heads);
      const middle = input.map((v, i) => v + found[i]);
      const again = this.norm(middle, `blocks.${b}.feed_forward_norm`);
      const inner = this.linear(again, `blocks.${b}.up`)
        .map((u) => 0.5 * u * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (u + 0.044715 * u ** 3))));
      const given = this.linear(inner, `blocks.${b}.down`);
      x = middle.map((v, i) => v + given[i]);
      blocks.push({ heads, stages: [input, normed, found, middle, again, inner, given, x] });
    }
    return { x, blocks };
  }
  // The last position of a text: { logits, blocks }. Only what stands behind the first change is computed.
  run(ids) {
    let same = 0;
    while (same < ids.length - 1 && ids[same] === this.seen[same]) same++;
    let last;
    for (let t = same; t < ids.length; t++) last = this.step(ids[t], t);
    this.seen = [...ids];
    return { logits: this.unembed(last.x), blocks: last.blocks };
  }
}

// How many are likeliest, in order.
export function likeliest(probabilities, count) {
  return probabilities.map((_, i) => i).sort((a, b) => probabilities[b] - probabilities[a]).slice(0, count);
}

// The character that a number in [0, 1) falls on.
export function pick(probabilities, number) {
  let left = number;
  for (let i = 0; i < probabilities.length; i++) {
    left -= probabilities[i];
    if (left < 0) return i;
  }
  return probabilities.length - 1;
}

const STAGES = [
  ["x", "The residual stream as it comes in: what all earlier blocks have written."],
  ["attention_norm(x)", "A copy of it, normed. Attention reads this; the stream itself stays as it was."],
  ["attention", "What the heads found at this and earlier positions, mixed by the output layer."],
  ["x + attention", "The first addition. The stream now knows something about its neighbours."],
  ["feed_forward_norm", "A second normed copy, for the feed-forward layer."],
  ["GELU(up)", "Four times as wide. Most of these numbers are near zero; the others are features that fired."],
  ["down", "What the feed-forward layer makes of them, back in the stream's width."],
  ["x + down", "The second addition: what the next block receives."],
];
const STREAM = new Set([0, 3, 7]); // the stages at which one may ask what the model would say now

const CSS = `
textarea { font: 1em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; width: 100%; color: inherit;
  background: var(--bg); border: 1px solid var(--edge); border-radius: .4rem; padding: .4rem .6rem; resize: vertical; }
.over { display: block; font-weight: 600; margin: 0 0 .3rem; }
.row { align-items: center; } .row button { max-width: 100%; overflow-wrap: anywhere; }
.head { display: grid; grid-template-columns: 4.2rem 1fr; gap: .1rem .6rem; align-items: baseline; margin: 0 0 .3rem; }
.head > * { min-width: 0; }
.head code { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.7; }
.head span { background: color-mix(in srgb, var(--ink) calc(100% * var(--w)), transparent); border-radius: 2px;
  forced-color-adjust: none; }
.head small { grid-column: 2; opacity: .85; }
h4 { margin: .9rem 0 .3rem; font-size: 1em; }
.cells { display: flex; height: 1.1em; min-width: 9rem; }
.cells i { flex: 1; forced-color-adjust: none; }
.up { background: color-mix(in srgb, #d1730f calc(100% * var(--w)), transparent); }
.down { background: color-mix(in srgb, #2f7fc1 calc(100% * var(--w)), transparent); }
td.picture { width: 45%; } .off { opacity: .25; } .now th { color: var(--ink); }
@media (max-width: 520px) { :host { padding: .6rem; } table { font-size: .8em; } th, td { padding: .15rem .25rem; } td.picture { width: 30%; }
  .cells { min-width: 4rem; } .head { grid-template-columns: 1fr; } .head small { grid-column: 1; } }
`;
const name = (c) => (c === " " ? "space" : c === "\n" ? "line break" : `“${c}”`);
const bytesOf = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

// data: { weights (base64 of the file), text, examples }.
export function mount(root, data) {
  const file = unpack(bytesOf(data.weights)), { characters, config } = file, model = new GPT(file);
  const state = { block: config.n_layers - 1, stage: STAGES.length - 1, found: null };
  root.host.model = model;
  const box = node("textarea", { rows: 2, spellcheck: false, value: data.text, id: "typed" });
  box.setAttribute("autocapitalize", "off");
  const label = node("label", { className: "over", htmlFor: "typed" }, "Type: the model guesses the next character at every key");
  const button = (text, act) => {
    const made = node("button", { type: "button" }, text);
    made.addEventListener("click", act);
    return made;
  };
  const set = (text) => { box.value = text; draw(); box.scrollTop = box.scrollHeight; };
  const examples = node("div", { className: "row", role: "group", ariaLabel: "Examples" }, "or pick one:",
    ...data.examples.map((text) => button(visible(text), () => set(text))));
  let temperature = 0.8;
  const warmth = slider("temperature", { min: 0.2, max: 1.6, step: 0.1, value: temperature, show: (v) => format(v, 1) },
    (v) => { temperature = v; });
  const write = (count) => {
    let text = box.value;
    for (let i = 0; i < count; i++) text += characters[pick(softmax(model.run(ids(text)).logits, temperature), Math.random())];
    set(text);
  };
  const acts = node("div", { className: "row" }, button("Append the likeliest", () => set(box.value + best())),
    button("Draw 60 characters", () => write(60)), warmth);
  const guesses = table("Next character", ["character", "probability", null]);
  const blockPick = picks("Block", Array.from({ length: config.n_layers }, (_, i) => String(i + 1)), state.block,
    (i) => { state.block = i; show(); });
  const heads = node("div", { role: "group", ariaLabel: "Where each head looks" });
  const stages = table("One block, step by step (last character)", ["stage", "length", "numbers", "would say now"]);
  const told = node("p");
  const steps = node("div", { className: "row" },
    button("◀ Step back", () => { state.stage = Math.max(0, state.stage - 1); show(); }),
    button("Step ▶", () => { state.stage = (state.stage + 1) % STAGES.length; show(); }), told);
  const said = status();
  fill(root, CSS, label, box, examples, acts, guesses.element, blockPick.element,
    node("h4", { textContent: "Where each head of this block looks, from the last character" }), heads, stages.element, steps, said);

  function ids(text) {
    const all = [...text].map((c) => characters.indexOf(c)).filter((i) => i >= 0);
    return window_(all.length ? all : [0], config.context_length);
  }
  const best = () => characters[likeliest(softmax(state.found.logits), 1)[0]];

  function strip(numbers) {
    const top = Math.max(...numbers.map(Math.abs)) || 1;
    const every = Math.ceil(numbers.length / 96); // the wide stage shows the strongest of each few
    const cells = [];
    for (let i = 0; i < numbers.length; i += every) {
      const part = [...numbers.slice(i, i + every)];
      const value = part.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a));
      const cell = node("i", { className: value < 0 ? "down" : "up" });
      cell.style.setProperty("--w", Math.abs(value) / top);
      cells.push(cell);
    }
    return node("div", { className: "cells", ariaHidden: "true" }, ...cells);
  }

  function headLine(share, h, text) {
    const from = Math.max(0, text.length - 60), at = share.indexOf(Math.max(...share));
    const letters = text.slice(from).map((c, i) => {
      const mark = node("span", { textContent: visible(c) });
      mark.style.setProperty("--w", Math.min(1, share[from + i] * 1.2));
      return mark;
    });
    const back = text.length - 1 - at;
    const where = back === 0 ? "the last character itself" : `${back} back`;
    return node("div", { className: "head" }, node("strong", { textContent: `head ${h + 1}` }),
      node("code", { ariaHidden: "true" }, ...letters),
      node("small", { textContent: `most at ${name(text[at])}, ${where}: ${format(share[at])}` }));
  }

  function show() {
    const { heads: shares, stages: values } = state.found.blocks[state.block];
    const text = model.seen.map((i) => characters[i]);
    heads.replaceChildren(...shares.map((share, h) => headLine(share, h, text)));
    stages.body.replaceChildren(...values.map((numbers, i) => {
      const length = Math.sqrt(numbers.reduce((a, b) => a + b * b, 0));
      const probabilities = STREAM.has(i) ? softmax(model.unembed(numbers)) : null;
      const top = probabilities && likeliest(probabilities, 1)[0];
      const guess = probabilities ? `${name(characters[top])} ${format(probabilities[top])}` : "";
      const hidden = i > state.stage;
      return row(STAGES[i][0], [node("td", { textContent: hidden ? "" : format(length, 1) }),
        node("td", { className: "picture" }, hidden ? "" : strip(numbers)),
        node("td", { textContent: hidden ? "" : guess })], hidden ? "off" : i === state.stage ? "now" : "");
    }));
    told.textContent = STAGES[state.stage][1];
  }

  let waiting = 0;
  function draw() {
    const begun = performance.now();
    state.found = model.run(ids(box.value));
    root.host.dataset.ms = (performance.now() - begun).toFixed(2);
    const probabilities = softmax(state.found.logits);
    guesses.body.replaceChildren(...likeliest(probabilities, 8).map((i) => {
      const line = row(name(characters[i]), [format(probabilities[i], 3)]);
      line.append(bar(probabilities[i]));
      return line;
    }));
    show();
    const first = likeliest(probabilities, 1)[0];
    const text = `Next it expects ${name(characters[first])} with probability ${format(probabilities[first])}.`;
    clearTimeout(waiting);
    // While one types, the sentence waits for a pause, so that a screen reader is not interrupted at each key.
    if (said.textContent === "") said.textContent = text;
    else waiting = setTimeout(() => { said.textContent = text; }, 400);
  }
  box.addEventListener("input", draw);
  draw();
}
