// Byte-pair encoding, merge by merge: the neighbours with the lowest rank are joined first, wherever they stand.
// A piece is a string of which each character is one byte (0 to 255), so pieces can be keys of a Map.

// GPT-2's pattern, with Unicode's white space spelt out: JavaScript's \s is another set.
const CHUNKS = /'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

export function preTokenise(text) {
  return text.match(CHUNKS) ?? [];
}

// The bytes of a text, as pieces of one byte.
export function bytesOf(text) {
  return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte));
}

// The vocabulary of merges: a Map from piece to number. Two merges can make the same piece; the first one counts.
export function ranksOf(merges) {
  const pieces = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));
  for (const [left, right] of merges) pieces.push(pieces[left] + pieces[right]);
  const ranks = new Map();
  pieces.forEach((piece, number) => { if (!ranks.has(piece)) ranks.set(piece, number); });
  return ranks;
}

// The lowest rank that two neighbours of a chunk have together, and the first position where they stand.
function lowest(pieces, ranks) {
  let best = { rank: Infinity, at: -1 };
  for (let i = 0; i + 1 < pieces.length; i++) {
    const rank = ranks.get(pieces[i] + pieces[i + 1]) ?? Infinity;
    if (rank < best.rank) best = { rank, at: i };
  }
  return best;
}

// Neighbours that could be joined now, by rank: [{ rank, piece, times }].
export function candidates(chunks, ranks) {
  const found = new Map();
  for (const pieces of chunks) {
    for (let i = 0; i + 1 < pieces.length; i++) {
      const piece = pieces[i] + pieces[i + 1];
      const rank = ranks.get(piece);
      if (rank !== undefined) found.set(rank, { rank, piece, times: (found.get(rank)?.times ?? 0) + 1 });
    }
  }
  return [...found.values()].sort((a, b) => a.rank - b.rank);
}

// Every state on the way from bytes to tokens: [{ chunks, rank, piece, times }], the first without a join.
export function states(text, ranks) {
  let chunks = preTokenise(text).map(bytesOf);
  const found = [{ chunks, rank: -1, piece: "", times: 0 }];
  for (;;) {
    const rank = Math.min(...chunks.map((pieces) => lowest(pieces, ranks).rank), Infinity);
    if (rank === Infinity) return found;
    let times = 0;
    let piece = "";
    chunks = chunks.map((old) => {
      const pieces = [...old];
      for (let next = lowest(pieces, ranks); next.rank === rank; next = lowest(pieces, ranks)) {
        piece = pieces[next.at] + pieces[next.at + 1];
        pieces.splice(next.at, 2, piece);
        times += 1;
      }
      return pieces;
    });
    found.push({ chunks, rank, piece, times });
  }
}

// The numbers of all tokens in the last state: what encode gives in Python.
export function encode(text, ranks) {
  return states(text, ranks).at(-1).chunks.flat().map((piece) => ranks.get(piece));
}

// A piece as one can read it; bytes that are no whole characters as hexadecimal digits.
export function shown(piece) {
  const bytes = Uint8Array.from(piece, (c) => c.charCodeAt(0));
  try {
    return visible(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)).replaceAll("\t", "⇥");
  } catch {
    return Array.from(bytes, (b) => `‹${b.toString(16).toUpperCase().padStart(2, "0")}›`).join("");
  }
}

// What a step did, in one sentence.
export function describe(state, tokens, characters, bytes) {
  const size = `${tokens} ${tokens === 1 ? "token" : "tokens"} for ${characters} characters (${bytes} bytes).`;
  if (state.rank < 0) return `Before any merge each byte is a token: ${size}`;
  const where = state.times === 1 ? "once" : `${state.times} times`;
  return `Token ${state.rank} was joined ${where}: “${shown(state.piece)}”. Now ${size}`;
}

const CSS = `
textarea { font: 1em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; width: 100%; color: inherit;
  background: var(--bg); border: 1px solid var(--edge); border-radius: .4rem; padding: .4rem .6rem; resize: vertical; }
.over { display: block; font-weight: 600; margin: 0 0 .3rem; }
.examples { align-items: center; gap: .4rem; margin-top: .4rem; }
.steps { align-items: center; gap: .4rem .6rem; }
ol { list-style: none; margin: 0 0 .8rem; padding: .2rem 0; display: flex; flex-wrap: wrap; gap: .35rem .15rem; max-height: 18rem; overflow-y: auto; }
ol li { border: 1px solid var(--edge); border-radius: .3rem; padding: .05rem .3rem; text-align: center; min-width: 1.3rem;
  font: 1em/1.35 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
ol li small { display: block; font-size: .72em; opacity: .8; }
ol li.first { margin-left: .45rem; }
ol li.long { background: var(--soft); border-width: 1.5px; }
ol li.new { border-color: var(--ink); box-shadow: inset 0 0 0 1.5px var(--ink); font-weight: 600; }
tbody th { font: .95em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
tr.next td, tr.next th { font-weight: 600; box-shadow: inset 0 -2px var(--ink); }
`;

const LONGEST = 400;
const LISTED = 6;

// Draws into a shadow root. data: { merges: [[left, right], …], text, examples, step }.
export function mount(root, data) {
  const ranks = ranksOf(data.merges);
  let all = [];
  let step = 0;
  const box = node("textarea", { rows: 2, spellcheck: false, value: data.text, maxLength: LONGEST });
  box.setAttribute("autocapitalize", "off");
  box.id = `text-${Math.random().toString(36).slice(2)}`;
  const typed = node("label", { className: "over" }, "Text: type your own");
  typed.htmlFor = box.id;
  const examples = node("div", { className: "row examples", role: "group", ariaLabel: "Examples" }, "or pick one:",
    ...data.examples.map((text) => {
      const button = node("button", { type: "button" }, visible(text));
      button.addEventListener("click", () => { box.value = text; read(0); });
      return button;
    }));
  const button = (text, go) => {
    const made = node("button", { type: "button" }, text);
    made.addEventListener("click", () => { step = Math.max(0, Math.min(all.length - 1, go())); draw(); });
    return made;
  };
  const range = node("input", { type: "range", min: 0, step: 1, ariaLabel: "merges done" });
  range.addEventListener("input", () => { step = +range.value; draw(); });
  const first = button("Bytes", () => 0);
  const back = button("Back", () => step - 1);
  const next = button("Next merge", () => step + 1);
  const last = button("All merges", () => all.length - 1);
  const steps = node("div", { className: "row steps", role: "group", ariaLabel: "Merges" }, first, back, next, last, range);
  const tokens = node("ol", { ariaLabel: "Tokens", tabIndex: 0 });
  const list = table("Neighbours that could be joined now; the first row comes next", ["piece", "number", "times"]);
  const said = status();
  fill(root, CSS, typed, box, examples, steps, tokens, list.element, said);

  function read(where) {
    all = states(box.value, ranks);
    range.max = String(all.length - 1);
    step = where === 0 ? 0 : all.length - 1;
    draw();
  }

  function draw() {
    const state = all[step];
    range.value = String(step);
    range.setAttribute("aria-valuetext", `${step} of ${all.length - 1} merges`);
    back.disabled = first.disabled = step === 0;
    next.disabled = last.disabled = step === all.length - 1;
    tokens.replaceChildren(...state.chunks.flatMap((pieces, chunk) => pieces.map((piece, i) => node("li", {
      className: [i === 0 && chunk > 0 ? "first" : "", piece.length > 1 ? "long" : "",
        step > 0 && piece === state.piece ? "new" : ""].join(" ").trim(),
    }, shown(piece), node("small", { textContent: String(ranks.get(piece)) })))));
    const could = candidates(state.chunks, ranks);
    const rows = could.slice(0, LISTED).map(({ rank, piece, times }, i) =>
      row(shown(piece), [String(rank), String(times)], i === 0 ? "next" : ""));
    if (!could.length) rows.push(row("none is left", ["–", "–"]));
    if (could.length > LISTED) rows.push(row(`and ${could.length - LISTED} more`, ["…", "…"]));
    list.body.replaceChildren(...rows);
    const bytes = new TextEncoder().encode(box.value).length;
    said.textContent = describe(state, state.chunks.flat().length, [...box.value].length, bytes);
  }
  box.addEventListener("input", () => read(step === 0 ? 0 : 1));
  read(0);
  step = Math.min(data.step ?? 0, all.length - 1);
  draw();
}
