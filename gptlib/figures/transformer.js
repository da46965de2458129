// The trained translator runs in the page: any number goes through the factory station by station, and every map shows.

// The mathematics, without a page; tests compare it with Python.

// Tensors as they were packed: base64 of 16-bit integers, times a scale a tensor.
export function unpack(packed) {
  return Object.fromEntries(Object.entries(packed).map(([name, { scale, numbers }]) => {
    const bytes = Uint8Array.from(atob(numbers), (c) => c.charCodeAt(0));
    return [name, Float64Array.from(new Int16Array(bytes.buffer), (q) => q * scale)];
  }));
}

const ONES = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen " +
  "seventeen eighteen nineteen").split(" ");
const TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split(" ");

// The words of a number from 0 to 9999.
export function english(number) {
  const thousands = Math.floor(number / 1000), hundreds = Math.floor(number / 100) % 10, rest = number % 100;
  const words = [];
  if (thousands) words.push(ONES[thousands], "thousand");
  if (hundreds) words.push(ONES[hundreds], "hundred");
  if (words.length && rest) words.push("and");
  if (rest >= 20) words.push(TENS[Math.floor(rest / 10) - 2], ...(rest % 10 ? [ONES[rest % 10]] : []));
  else if (rest || !words.length) words.push(ONES[rest]);
  return words;
}

export function strongest(row) {
  return row.indexOf(Math.max(...row));
}

// How many pairs of rows look at their sources in the opposite order: 0 is a map that never crosses.
export function crossings(map) {
  const places = map.map(strongest);
  let count = 0;
  for (let i = 0; i < places.length; i++) for (let j = i + 1; j < places.length; j++) count += places[i] > places[j];
  return count;
}

const END = 2, BEGIN = 1;

// A post-norm Transformer; rows are the positions of a text. Every layer notes what leaves its stations.
export class Translator {
  constructor({ config, names, weights }) {
    Object.assign(this, { config, names, weights: unpack(weights) });
  }
  linear(rows, name) {
    const matrix = this.weights[`${name}.weight`], bias = this.weights[`${name}.bias`];
    return rows.map((x) => Array.from(bias, (b, o) =>
      x.reduce((sum, v, i) => sum + v * matrix[o * x.length + i], b)));
  }
  norm(rows, name) {
    const gain = this.weights[`${name}.weight`], shift = this.weights[`${name}.bias`];
    return rows.map((x) => {
      const mean = x.reduce((a, b) => a + b, 0) / x.length;
      const variance = x.reduce((a, b) => a + (b - mean) ** 2, 0) / x.length;
      return x.map((v, i) => gain[i] * (v - mean) / Math.sqrt(variance + 1e-5) + shift[i]);
    });
  }
  embed(ids) {
    const D = this.config.d_model, table = this.weights["token_embedding.weight"];
    return ids.map((id, t) => Array.from({ length: D }, (_, i) => {
      const angle = t / 10000 ** ((i - (i % 2)) / D);
      return table[id * D + i] * Math.sqrt(D) + (i % 2 ? Math.cos(angle) : Math.sin(angle));
    }));
  }
  // Attention of rows to a context: { found, maps }, a map a head.
  look(rows, context, name, causal) {
    const H = this.config.n_heads, K = this.config.d_model / H;
    const query = this.linear(rows, `${name}.query`), key = this.linear(context, `${name}.key`);
    const value = this.linear(context, `${name}.value`), joined = rows.map(() => []), maps = [];
    for (let h = 0; h < H; h++) {
      maps.push(query.map((q, t) => softmax(key.map((k, s) => {
        if (causal && s > t) return -Infinity;
        let sum = 0;
        for (let i = h * K; i < (h + 1) * K; i++) sum += q[i] * k[i];
        return sum / Math.sqrt(K);
      }))));
      for (let i = h * K; i < (h + 1) * K; i++) {
        maps[h].forEach((row, t) => joined[t].push(row.reduce((sum, w, s) => sum + w * value[s][i], 0)));
      }
    }
    return { found: this.linear(joined, `${name}.output`), maps };
  }
  layer(rows, name, kinds, memory, stations) {
    const titles = { attention: memory ? "look back" : "look", cross_attention: "look across", feed_forward: "think" };
    for (const kind of kinds) {
      const at = `${name}.${kind}`;
      let found, maps = null;
      if (kind === "feed_forward") {
        const inner = this.linear(rows, `${at}.up`).map((x) => x.map((v) => Math.max(0, v)));
        found = this.linear(inner, `${at}.down`);
      } else {
        const across = kind === "cross_attention";
        ({ found, maps } = this.look(rows, across ? memory : rows, at, !across && memory));
      }
      rows = this.norm(rows.map((x, t) => x.map((v, i) => v + found[t][i])), `${at}_norm`);
      stations.push({ title: `layer ${name.split(".")[1]}: ${titles[kind]}`, kind, rows, maps });
    }
    return rows;
  }
  read(ids) {
    let rows = this.embed(ids);
    const stations = [{ title: "embedding + position", kind: "embed", rows, maps: null }];
    for (let l = 0; l < this.config.n_layers; l++) {
      rows = this.layer(rows, `encoder.${l}`, ["attention", "feed_forward"], null, stations);
    }
    return { memory: rows, stations };
  }
  write(ids, memory) {
    let rows = this.embed(ids);
    const stations = [{ title: "embedding + position", kind: "embed", rows, maps: null }];
    for (let l = 0; l < this.config.n_layers; l++) {
      rows = this.layer(rows, `decoder.${l}`, ["attention", "cross_attention", "feed_forward"], memory, stations);
    }
    const D = this.config.d_model, table = this.weights["token_embedding.weight"];
    const says = rows.map((x) => softmax(this.names.map((_, v) =>
      x.reduce((sum, a, i) => sum + a * table[v * D + i], 0))));
    stations.push({ title: "which piece next?", kind: "says", rows: says, maps: null });
    return { stations, says };
  }
  // The whole way of a list of English words: tokens of both sides, and the stations of both halls.
  translate(words, limit = 12) {
    const source = [...words.map((w) => this.names.indexOf(w)), END], { memory, stations } = this.read(source);
    const written = [BEGIN];
    let right;
    while (written.length <= limit) {
      right = this.write(written, memory);
      const next = strongest(right.says[written.length - 1]);
      if (next === END) break;
      written.push(next);
    }
    const says = right.says.map(strongest);
    return { left: stations, right: right.stations, source: [...words, "(end)"],
      given: written.slice(0, says.length).map((i) => (i === BEGIN ? "(begin)" : this.names[i])),
      written: says.map((i) => (i === END ? "(end)" : this.names[i])) };
  }
}

// What happens at a step: first each station of the encoder takes all words at once; then the decoder's stations take
// one row after the other.
export function moment(step, left, right) {
  if (step < left) return { hall: 0, station: step, row: null };
  return { hall: 1, station: (step - left) % right, row: Math.floor((step - left) / right) };
}

// Says what a step does, in a sentence.
export function describe(run, step, head) {
  const { hall, station, row } = moment(step, run.left.length, run.right.length);
  const at = (hall ? run.right : run.left)[station];
  if (!hall) {
    if (!at.maps) return `Encoder, ${at.title}: all ${run.source.length} words at once.`;
    const looks = at.maps[head].map((weights, t) => `“${run.source[t]}” at “${run.source[strongest(weights)]}”`);
    return `Encoder, ${at.title}, head ${head}: ${looks.join(", ")}.`;
  }
  const asks = `Decoder, after “${run.given[row]}”, ${at.title}`;
  if (at.kind === "says") return `${asks} It writes “${run.written[row]}” (probability ${format(Math.max(...at.rows[row]))}).`;
  if (!at.maps) return `${asks}: this position alone.`;
  const names = at.kind === "attention" ? run.given : run.source, weights = at.maps[head][row];
  const s = strongest(weights);
  return `${asks}, head ${head}: it looks most at “${names[s]}” (weight ${format(weights[s])}).`;
}

const CSS = `
:host { text-align: left; }
.ask { align-items: center; } .ask input { width: 5rem; } .drive { align-items: center; }
.answer { font-size: 1.15em; margin: 0 0 .5rem; overflow-wrap: anywhere; }
.halls { display: grid; grid-template-columns: 1fr 1fr; gap: 1.2rem; align-items: end; }
.halls > div { display: flex; flex-direction: column-reverse; gap: 1rem; min-width: 0; }
.halls h4 { margin: 0; font-size: 1em; order: 99; }
.station { border: 1px solid var(--line); border-radius: .4rem; padding: .15rem .4rem .3rem; position: relative; min-width: 0; }
.station + .station::after { content: "↑"; position: absolute; bottom: -1.3rem; left: 50%; line-height: 1; }
.station.now { border-color: var(--ink); box-shadow: 0 0 0 2px var(--ink); }
.station.fed::before { content: "→"; position: absolute; left: -1.1rem; top: 35%; color: #c96a1b; font-weight: 700; }
.top { border-right: 4px solid #c96a1b; }
.station p { margin: 0; font-size: .82em; }
.strip { display: grid; grid-template-columns: 4.6rem 1fr; gap: .3rem; font-size: .78em; line-height: 1.35; }
.strip span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.strip i { forced-color-adjust: none; border-radius: 2px; min-width: 0; }
.maps { margin-top: .8rem; } .maps td { text-align: center; padding: .2rem .3rem;
  background: color-mix(in srgb, var(--ink) calc(38% * var(--w)), var(--bg)); }
.maps td.best { font-weight: 700; box-shadow: inset 0 -3px 0 var(--ink); }
.maps tr.asks th { box-shadow: inset 3px 0 0 var(--ink); }
@media (max-width: 520px) { :host { padding: .6rem; } .halls { gap: .9rem; } .strip { grid-template-columns: 2.9rem 1fr; }
  .station { padding: .1rem .2rem; } .maps td, .maps th { padding: .15rem .2rem; font-size: .8em; } }`;

// A vector as a strip of colours: orange above zero, blue below.
function strip(label, numbers, limit) {
  const cells = numbers.map((x, i) => {
    const colour = `rgba(${x < 0 ? "47,127,193" : "209,115,15"},${Math.min(1, Math.abs(x) / limit).toFixed(2)})`;
    return `${colour} ${(100 * i / numbers.length).toFixed(2)}% ${(100 * (i + 1) / numbers.length).toFixed(2)}%`;
  });
  const picture = node("i");
  picture.style.background = `linear-gradient(90deg, ${cells.join(", ")})`;
  return node("div", { className: "strip" }, node("span", { textContent: label }), picture);
}

export function mount(root, data) {
  const model = new Translator(data);
  const state = { number: data.number, step: 0, head: data.head, run: null, timer: 0 };
  root.host.model = model;
  const box = node("input", { type: "text", inputMode: "numeric", value: String(data.number) });
  const button = (text, act) => {
    const made = node("button", { type: "button" }, text);
    made.addEventListener("click", act);
    return made;
  };
  const ask = node("div", { className: "row ask" }, node("label", {}, "A number from 0 to 9999", box),
    ...data.examples.map((n) => button(String(n), () => { box.value = n; choose(); })));
  const answer = node("p", { className: "answer" });
  const heads = picks("Head", Array.from({ length: model.config.n_heads }, (_, h) => String(h)), state.head,
    (h) => { state.head = h; draw(); });
  const range = node("input", { type: "range", min: 0, value: 0, ariaLabel: "Step" });
  const counted = node("output");
  range.addEventListener("input", () => go(+range.value));
  const play = button("Play", () => { state.timer ? stop() : start(); });
  const drive = node("div", { className: "row drive" }, button("Back", () => go(state.step - 1)),
    button("Next", () => go(state.step + 1)), play, node("label", {}, "Step", range, counted));
  const halls = node("div", { className: "halls" });
  halls.setAttribute("aria-hidden", "true");
  const maps = node("div", { className: "maps" }), said = status();
  fill(root, CSS, ask, answer, drive, said, halls, heads.element, maps);
  box.addEventListener("input", choose);

  const last = () => state.run.left.length + state.run.right.length * state.run.given.length - 1;
  function stop() { clearInterval(state.timer); state.timer = 0; play.textContent = "Play"; }
  function start() {
    if (state.step === last()) state.step = -1;
    state.timer = setInterval(() => { state.step < last() ? go(state.step + 1, true) : stop(); }, 450);
    play.textContent = "Pause";
  }
  function go(step, playing = false) {
    if (!playing) stop();
    state.step = Math.max(0, Math.min(last(), step));
    draw();
  }
  function choose() {
    const text = box.value.trim();
    stop();
    if (!/^\d{1,4}$/.test(text)) { said.textContent = "Type a number from 0 to 9999, in digits."; return; }
    state.number = +text;
    state.run = model.translate(english(state.number));
    answer.textContent = `${state.run.source.slice(0, -1).join(" ")} → ${state.run.written.filter((w) => w !== "(end)").join("")}`;
    range.max = last();
    // the third piece looks across, in the layer whose map crosses most reliably
    state.step = Math.min(last(), state.run.left.length + 2 * state.run.right.length + 2 + 3 * data.layer);
    draw();
  }

  function hall(title, stations, labels, from, lit, fedBy) {
    const boxes = stations.map((at, s) => {
      const shown = at.rows.map((numbers, t) => [numbers, t]).filter(([, t]) => state.step >= from(s, t));
      const made = node("div", { className: "station" }, node("p", { textContent: at.title }), ...shown.map(([numbers, t]) =>
        strip(at.kind === "says" ? state.run.written[t] : labels[t], numbers, at.kind === "says" ? 1 : 2)));
      if (lit === s) made.classList.add("now");
      if (fedBy && at.kind === "cross_attention") made.classList.add("fed");
      return made;
    });
    if (!fedBy) boxes.at(-1).classList.add("top");
    return node("div", {}, ...boxes, node("h4", { textContent: title }));
  }

  function drawMap(at, labels, names, asks) {
    if (!at.maps) {
      maps.replaceChildren(node("p", { textContent: "No map here: at this station every position works by itself." }));
      return;
    }
    const map = at.maps[state.head], shown = table(`Who looks where: ${at.title}, head ${state.head}`, ["from ↓ at →", ...names]);
    shown.body.replaceChildren(...map.slice(0, asks === null ? map.length : asks + 1).map((weights, t) =>
      row(labels[t], weights.map((w, s) => {
        const cell = node("td", { textContent: format(w), className: s === strongest(weights) ? "best" : "" });
        cell.style.setProperty("--w", w);
        return cell;
      }), t === asks ? "asks" : "")));
    maps.replaceChildren(shown.element);
  }

  function draw() {
    const { run } = state, L = run.left.length, R = run.right.length;
    const now = moment(state.step, L, R), at = (now.hall ? run.right : run.left)[now.station];
    halls.replaceChildren(
      hall("Encoder: reads all at once", run.left, run.source, (s) => s, now.hall ? -1 : now.station, false),
      hall("Decoder: writes one by one", run.right, run.given, (s, t) => L + t * R + s, now.hall ? now.station : -1, true));
    const asking = now.hall ? (at.kind === "cross_attention" ? run.written : run.given) : run.source;
    drawMap(at, asking, now.hall && at.kind === "attention" ? run.given : run.source, now.row);
    range.value = state.step;
    counted.textContent = `${state.step + 1} of ${last() + 1}`;
    said.textContent = describe(run, state.step, state.head);
  }
  choose();
}
