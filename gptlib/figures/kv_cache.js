// A model writes with a cache: at each step, which keys and values are computed, read, kept, forgotten, and their bytes.
const CSS = `
td.state { text-align: left; white-space: nowrap; }
tr.computed { background: color-mix(in srgb, var(--ink) 22%, var(--bg)); }
tr.computed th { box-shadow: inset 3px 0 0 var(--ink); }
tr.later, tr.forgotten { color: color-mix(in srgb, var(--fg) 65%, var(--bg)); }
tr.forgotten th { text-decoration: line-through; }
th[scope="row"] { white-space: nowrap; }
.sums { margin-top: .8rem; }
@media (max-width: 480px) { .places .bar { min-width: 2.5rem; } th, td { padding: .15rem .3rem; } }`;

// The mathematics, without a page; tests compare it with gptlib.kv_cache.

// What happens to each of `length` places when the model, having read a prompt at one go, stands at place `now`.
// Without a cache all places up to now are computed again; with a window, what lies before it is not kept.
export function states(length, prompt, now, cache, window) {
  const first = cache && now >= prompt ? now : 0; // the prompt is one step, and ends at place prompt − 1
  const end = Math.max(now, prompt - 1);
  return Array.from({ length }, (_, place) => {
    if (place > end) return "later";
    if (place >= first) return "computed";
    return end - place < window ? "read" : "forgotten";
  });
}

// Softmax of one row of scores over the places that the query at place `now` may look at.
export function weights(scores, now, window) {
  return softmax(scores.map((x, s) => (s <= now && now - s < window ? x : -Infinity)));
}

// How many pairs of key and value have been computed when the text is written up to place `now`, in one head.
export function computed(prompt, now, cache) {
  const end = Math.max(now, prompt - 1);
  if (cache) return end + 1;
  let sum = prompt;
  for (let length = prompt + 1; length <= end + 1; length += 1) sum += length;
  return sum;
}

// How many the last step's query compares itself with: they are all read, cache or not.
export function compared(now, window) {
  return Math.min(now + 1, window);
}

// Bytes of the keys and values of some positions.
export function cacheBytes({ n_layers, n_heads, d_head }, positions, bytes) {
  return 2 * n_layers * n_heads * d_head * positions * bytes;
}

export function inWords(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) { bytes /= 1000; unit += 1; }
  return `${unit ? format(bytes, bytes < 10 ? 2 : bytes < 100 ? 1 : 0) : bytes} ${units[unit]}`;
}

const NAMES = { computed: "computed now", read: "from the cache", forgotten: "forgotten", later: "–" };
const many = (n, one) => `${n} ${one}${n === 1 ? "" : "s"}`;

// Says in a sentence what the step did.
export function describe(tokens, prompt, now, cache, window) {
  const place = Math.max(now, prompt - 1);
  const found = states(tokens.length, prompt, now, cache, window);
  const count = (name) => found.filter((x) => x === name).length;
  const step = place === prompt - 1 ? "Prefill: the prompt is read at one go." : `Step ${place - prompt + 1}: the model reads `
    + `“${visible(tokens[place])}”.`;
  const old = cache && count("forgotten") ? ` Forgotten, as they lie before the window: ${many(count("forgotten"), "place")}.` : "";
  return `${step} ${many(count("computed"), "pair")} of key and value computed, ${count("read")} taken from the cache, `
    + `${compared(place, window)} compared with the newest query.${old} So far ${computed(prompt, place, cache)} pairs were computed; `
    + `${cache ? "without" : "with"} a cache it would be ${computed(prompt, place, !cache)}.`;
}

export function mount(root, data) {
  const { tokens, scores, shapes } = data;
  const length = tokens.length;
  const state = { prompt: data.prompt, now: data.prompt - 1, cache: true, window: length, shape: 0, bytes: 2 };
  const set = (name) => (x) => { state[name] = x; draw(); };
  const shown = (x) => (x === length ? "all" : String(x));
  const place = slider("newest place", { min: 0, max: length - 1, value: state.now }, set("now"));
  const prompt = slider("length of the prompt", { min: 1, max: length - 1, value: state.prompt }, set("prompt"));
  const window_ = slider("window", { min: 1, max: length, value: length, show: shown }, set("window"));
  const input = place.querySelector("input");
  const next = node("button", { textContent: "Next step" });
  next.addEventListener("click", () => {
    const now = Math.max(state.now, state.prompt - 1);
    input.value = now >= length - 1 ? 0 : now + 1;
    input.dispatchEvent(new Event("input"));
  });
  const controls = node("div", { className: "row" }, next, place, prompt, window_, toggle("cache", true, set("cache")));
  const grid = table("Keys and values", ["place", "token", "its key and value", "weight", null]);
  grid.element.classList.add("places");
  const models = picks("Bytes kept in the shape of", shapes.map((s) => s.name), 0, set("shape"));
  const kinds = picks("numbers of", ["16 bits", "32 bits"], 0, (i) => set("bytes")(2 + 2 * i));
  const sums = table("Bytes of keys and values", ["shape", "one position", "this text", "a full context"]);
  sums.element.classList.add("sums");
  const said = status();
  fill(root, CSS, controls, grid.element, said, node("div", { className: "sums" }, models.element, kinds.element),
    sums.element);

  function draw() {
    const now = Math.max(state.now, state.prompt - 1);
    const found = states(length, state.prompt, now, state.cache, state.window);
    const shares = weights(scores[now], now, state.window);
    grid.caption.textContent = `Keys and values when the newest place is ${now}, “${visible(tokens[now])}”`;
    grid.body.replaceChildren(...tokens.map((token, s) => row(String(s), [
      node("td", { textContent: found[s] === "later" ? "" : visible(token) }),
      node("td", { className: "state", textContent: NAMES[found[s]] }),
      node("td", { textContent: found[s] === "later" ? "" : format(shares[s]) }), bar(shares[s])], found[s])));
    const shape = shapes[state.shape];
    const kept = state.cache ? compared(now, state.window) : 0;
    sums.body.replaceChildren(row(shape.name, [1, kept, shape.context].map((positions) =>
      inWords(cacheBytes(shape, positions, state.bytes)))));
    said.textContent = describe(tokens, state.prompt, now, state.cache, state.window);
  }
  draw();
}
