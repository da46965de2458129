// A run and the band of other seeds: scrub through its evaluations, bend its loss, and hear the verdict.
const CSS = `
svg { display: block; width: 100%; height: auto; max-width: 40rem; margin: .4rem 0 .6rem; }
.axis { stroke: var(--edge); stroke-width: 1; }
.band { fill: color-mix(in srgb, var(--ink) 22%, var(--bg)); stroke: none; }
.run { fill: none; stroke: var(--ink); stroke-width: 2; }
.dot { fill: var(--bg); stroke: var(--ink); stroke-width: 2; }
.now { fill: var(--ink); }
svg text { fill: var(--fg); font-size: 11px; }
tr.now th { box-shadow: inset 3px 0 0 var(--ink); }
tr.later { color: color-mix(in srgb, var(--fg) 65%, var(--bg)); }
td.verdict, thead th:last-child { text-align: left; white-space: nowrap; }
.scroll { margin-top: .8rem; }
th[scope="row"] { white-space: nowrap; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .6rem 0 0; padding: .5rem .7rem; background: var(--soft);
  border-radius: .4rem; font-size: .92em; }`;

// The mathematics, without a page; tests compare it with gptlib.envelopes.

const RISE = 0.25; // nats above its own best at which a loss outside the band counts as diverging
const count = (n) => n.toLocaleString("en-US");

// The band at a number of tokens, interpolated along their logarithm; null outside of what was measured.
export function at(band, tokens) {
  const counts = band.tokens;
  if (!counts.length || tokens < counts[0] || tokens > counts.at(-1)) return null;
  const right = counts.findIndex((t) => t >= tokens);
  if (counts[right] === tokens) return [band.low[right], band.high[right]];
  const left = right - 1;
  const part = Math.log(tokens / counts[left]) / Math.log(counts[right] / counts[left]);
  return [band.low, band.high].map((side) => side[left] + part * (side[right] - side[left]));
}

// The verdict on a run, given as pairs of tokens and held-out loss; `band` is null where none was measured.
export function judge(run, band) {
  const said = (name, words) => ({ name, words });
  if (!run.length) return said("too early", "there is no evaluation yet.");
  if (run.some(([, loss]) => !Number.isFinite(loss))) {
    return said("diverging", "the loss is not a number. Try half the learning rate, in a new folder.");
  }
  const [tokens, loss] = run.at(-1);
  const best = Math.min(...run.map(([, value]) => value));
  const inside = band ? at(band, tokens) : null;
  if (loss > best + RISE && (!inside || loss > inside[1])) {
    return said("diverging", `the held-out loss was ${best.toFixed(3)} and is ${loss.toFixed(3)} again. Try half the `
      + "learning rate, or a longer warm-up, in a new folder.");
  }
  if (!band) {
    return said("not measured yet", `held-out loss ${loss.toFixed(3)} after ${count(tokens)} tokens; `
      + "we have no runs of our own to compare with.");
  }
  if (!inside) {
    return said(tokens < band.tokens[0] ? "too early" : "not measured yet", `our runs were evaluated between `
      + `${count(band.tokens[0])} and ${count(band.tokens.at(-1))} tokens; yours at ${count(tokens)}.`);
  }
  const facts = `held-out loss ${loss.toFixed(3)} after ${count(tokens)} tokens; ours lay between `
    + `${inside[0].toFixed(3)} and ${inside[1].toFixed(3)}`;
  if (loss < inside[0]) {
    return said("suspiciously good", `${facts}. Before you celebrate: is the held-out text in the training text? `
      + "Can a position see its own target?");
  }
  if (loss > inside[1]) {
    return said("slow", `${facts}. Is a setting changed, a layer left out, the learning rate too low?`);
  }
  return said("on track", `${facts}.`);
}

// The run up to an evaluation, its last loss moved by some nats.
export function bent(run, last, nats) {
  return run.slice(0, last + 1).map(([tokens, loss], i) => [tokens, i === last ? loss + nats : loss]);
}

const BENDS = [["as it was", 0], ["a little worse", 0.2], ["up again", 1], ["too good", -0.6]]; // in nats
const H = 230, LEFT = 44, BOTTOM = 34, TOP = 10, RIGHT = 14;

function svg(tag, attributes = {}, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

// Draws band and run, W units wide; `now` is the number of the evaluation that is looked at.
function picture(run, band, now, whole, W) {
  const losses = [...run, ...whole].map(([, loss]) => loss).concat(band ? [...band.low, ...band.high] : []);
  const [bottom, top] = [Math.min(...losses) - 0.1, Math.max(...losses) + 0.1];
  const logarithms = whole.map(([tokens]) => Math.log(tokens));
  const [from, to] = [Math.min(...logarithms), Math.max(...logarithms)];
  const x = (tokens) => LEFT + ((Math.log(tokens) - from) / (to - from || 1)) * (W - LEFT - RIGHT);
  const y = (loss) => TOP + ((top - loss) / (top - bottom)) * (H - TOP - BOTTOM);
  const points = (pairs) => pairs.map(([t, l]) => `${x(t).toFixed(1)},${y(l).toFixed(1)}`).join(" ");
  const area = svg("svg", { viewBox: `0 0 ${W} ${H}`, "aria-hidden": "true" });
  if (band) {
    const edge = (side) => band.tokens.map((t, i) => [t, side[i]]);
    area.append(svg("polygon", { class: "band", points: points([...edge(band.low), ...edge(band.high).reverse()]) }));
  }
  area.append(svg("line", { class: "axis", x1: LEFT, x2: W - RIGHT, y1: H - BOTTOM, y2: H - BOTTOM }),
    svg("line", { class: "axis", x1: LEFT, x2: LEFT, y1: TOP, y2: H - BOTTOM }),
    svg("polyline", { class: "run", points: points(run) }));
  run.forEach(([t, l], i) => area.append(svg("circle", { class: i === now ? "dot now" : "dot", cx: x(t), cy: y(l),
    r: i === now ? 5 : 3.5 })));
  for (const loss of [top - 0.1, (top + bottom) / 2, bottom + 0.1]) {
    area.append(svg("text", { x: LEFT - 6, y: y(loss) + 4, "text-anchor": "end" }, loss.toFixed(1)));
  }
  for (const [i, [tokens]] of whole.entries()) {
    if (i === 0 || i === whole.length - 1) {
      area.append(svg("text", { x: x(tokens), y: H - BOTTOM + 14, "text-anchor": i ? "end" : "start" }, count(tokens)));
    }
  }
  area.append(svg("text", { x: (LEFT + W) / 2, y: H - 4, "text-anchor": "middle" }, "tokens seen, logarithmic"));
  return area;
}

export function mount(root, data) {
  const { run, band, samples } = data;
  const state = { last: run.length - 1, nats: 0 };
  const set = (name) => (value) => { state[name] = value; draw(); };
  const signed = (nats) => `${nats > 0 ? "+" : ""}${format(nats)} nats`;
  const move = slider("move its loss by", { min: -1, max: 1.5, step: 0.05, value: 0, show: signed }, set("nats"));
  const controls = node("div", { className: "row" },
    slider("evaluation", { min: 1, max: run.length, value: run.length }, (value) => set("last")(value - 1)), move);
  const input = move.querySelector("input");
  const bends = picks("Bend its end", BENDS.map(([name]) => name), 0, (i) => {
    input.value = BENDS[i][1];
    input.dispatchEvent(new Event("input"));
  });
  const chart = node("div");
  const grid = table("Evaluations", ["after tokens", "held-out loss", "band", "verdict"]);
  const said = status();
  const wrote = node("pre");
  const head = node("p", { textContent: "What it wrote then:" });
  head.hidden = wrote.hidden = !samples.length;
  fill(root, CSS, bends.element, controls, chart, said, grid.element, head, wrote);

  function draw() {
    const now = bent(run, state.last, state.nats);
    const verdict = judge(now, band);
    chart.replaceChildren(picture(now, band, state.last, run, root.host.clientWidth < 480 ? 320 : 560));
    grid.caption.textContent = `Evaluations, the one looked at is number ${state.last + 1} of ${run.length}`;
    grid.body.replaceChildren(...run.map(([tokens, loss], i) => {
      const inside = band ? at(band, tokens) : null;
      const shown = i === state.last ? loss + state.nats : loss;
      const name = i === state.last ? verdict.name : judge(run.slice(0, i + 1), band).name;
      return row(count(tokens), [format(shown), inside ? `${format(inside[0])} to ${format(inside[1])}` : "–",
        node("td", { className: "verdict", textContent: i > state.last ? "" : name })],
      i === state.last ? "now" : i > state.last ? "later" : "");
    }));
    said.textContent = `${verdict.name}: ${verdict.words}`;
    wrote.textContent = samples[state.last] || "–";
  }
  draw();
}
