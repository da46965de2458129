// The trained translator's attention maps, one number at a time: which source word each piece of the target looks at.
const CSS = `
:host { text-align: left; }
.map { margin: 0 0 .8rem; } .map td { text-align: center; padding: .2rem .3rem; min-width: 2.4rem;
  background: color-mix(in srgb, var(--ink) calc(62% * var(--w)), var(--bg)); }
.map td.best { font-weight: 700; box-shadow: inset 0 -3px 0 var(--ink); }
.map tr.asks th { box-shadow: inset 3px 0 0 var(--ink); }
.map th { padding: .2rem .4rem; }
@media (max-width: 480px) { .map td, .map th { padding: .15rem .2rem; font-size: .85em; min-width: 0; } }`;

// The mathematics, without a page; tests compare it with Python.

// The mean of several maps of one shape.
export function meanMap(maps) {
  return maps[0].map((row, t) => row.map((_, s) => maps.reduce((sum, map) => sum + map[t][s], 0) / maps.length));
}

// The place of the largest weight of a row.
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

// Says what one row of a map does, in a sentence.
export function describe(asking, looked, row, map) {
  const s = strongest(row), n = crossings(map);
  return `“${asking}” looks most at “${looked[s]}” (weight ${format(row[s])}). In the whole map ${n} ` +
    `${n === 1 ? "pair" : "pairs"} of rows ${n === 1 ? "crosses" : "cross"}.`;
}

export function mount(root, data) {
  const { numbers, kinds } = data;
  const state = { number: data.number, kind: data.kind, layer: data.layer, head: data.head, asks: data.asks };
  const set = (name) => (x) => { state[name] = x; draw(); };
  const choose = picks("The number", numbers.map((n) => n.name), state.number, (x) => {
    state.number = x; state.asks = 0; draw(); });
  const kind = picks("Who looks at what", kinds, state.kind, (x) => { state.kind = x; state.asks = 0; draw(); });
  const first = numbers[0].maps[0];
  const layer = picks("Layer", first.map((_, i) => String(i)), state.layer, set("layer"));
  const head = picks("Head", [...first[0].map((_, i) => String(i)), "mean of all"], state.head, set("head"));
  const row_ = node("div", { className: "row" }, layer.element, head.element);
  const holder = node("div", {}), asker = node("div", {}), said = status();
  fill(root, CSS, choose.element, kind.element, row_, asker, holder, said);

  function draw() {
    const active = root.activeElement; // the picks of the asking row are made anew and keep the focus
    const focused = active && asker.contains(active);
    const number = numbers[state.number], maps = number.maps[state.kind][state.layer];
    const map = state.head === maps.length ? meanMap(maps) : maps[state.head];
    const looked = state.kind === 1 ? number.written : number.source;
    const asking = state.kind === 0 ? number.source : number.written;
    const names = state.kind === 0 ? looked : state.kind === 1 ? ["(begin)", ...looked.slice(0, -1)] : looked;
    const group = picks("The position that looks", asking, state.asks, set("asks"));
    asker.replaceChildren(group.element);
    const shown = table(`${number.name}: ${kinds[state.kind]}`, [state.kind === 0 ? "reads" : "writes", ...names]);
    shown.element.classList.add("map");
    shown.body.replaceChildren(...asking.map((token, t) => row(token, map[t].map((w, s) => {
      const cell = node("td", { textContent: format(w), className: s === strongest(map[t]) ? "best" : "" });
      cell.style.setProperty("--w", w);
      return cell;
    }), t === state.asks ? "asks" : "")));
    holder.replaceChildren(shown.element);
    said.textContent = describe(asking[state.asks], names, map[state.asks], map);
    if (focused) group.element.querySelector("input:checked").focus();
  }
  draw();
}
