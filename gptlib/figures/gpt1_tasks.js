// Two or three texts → the token sequences of the four tasks, cut to a limit.
const CSS = `
.sequence { display: flex; flex-wrap: wrap; gap: .25rem; margin: 0 0 .6rem; padding: 0; list-style: none; }
.sequence li { border: 1px solid var(--line); border-radius: .3rem; padding: 0 .4rem; background: var(--soft); }
.sequence .special { border: 2px solid var(--ink); font-weight: 600; background: var(--bg); }
input[type="text"] { width: 22rem; }`;

// The mathematics, without a page; a test compares it with gptlib.gpt.format_task.

// `parts` are lists of tokens, `special` is [start, delimiter, extract]; null where the limit is too small.
export function formatTask(kind, parts, special, limit) {
  const [start, delimiter, extract] = special;
  if (kind === "classification") {
    return limit < 2 ? null : [[start, ...parts[0].slice(0, limit - 2), extract]];
  }
  const pairs = parts.slice(1).map((other) => [parts[0], other]);
  if (kind === "similarity") pairs.push([parts[1], parts[0]]);
  if (pairs.some(([, b]) => limit < 3 + b.length)) return null;
  return pairs.map(([a, b]) => [start, ...a.slice(0, limit - 3 - b.length), delimiter, ...b, extract]);
}

export function words(text) {
  return text.split(/\s+/).filter((word) => word);
}

// How many texts a task takes of those that are there.
export function partsOf(kind, texts) {
  return texts.slice(0, kind === "classification" ? 1 : kind === "multiple choice" ? texts.length : 2);
}

export function describe(kind, parts, sequences, limit) {
  if (!sequences) return `A limit of ${limit} is too small for the second text and the special tokens.`;
  const kept = sequences.reduce((sum, s) => sum + s.length, 0);
  const whole = formatTask(kind, parts, ["", "", ""], 1e9).reduce((sum, s) => sum + s.length, 0);
  const cut = whole > kept ? `${whole - kept} words were cut from the end of first texts.` : "Nothing was cut.";
  const count = sequences.length === 1 ? "one sequence" : `${sequences.length} sequences`;
  return `One example of ${kind} is ${count} of ${sequences.map((s) => s.length).join(", ")} tokens. ${cut}`;
}

export function mount(root, data) {
  const state = { kind: data.kinds[0], limit: data.limit };
  const kinds = picks("Task", data.kinds, 0, (i) => { state.kind = data.kinds[i]; draw(); });
  const boxes = data.texts.map((text, i) => {
    const box = node("input", { type: "text", value: text, maxLength: 120, ariaLabel: `text ${i + 1}` });
    box.addEventListener("input", draw);
    return box;
  });
  const most = slider("most tokens", { min: 2, max: 24, value: data.limit }, (x) => { state.limit = x; draw(); });
  const lines = node("div");
  const said = status();
  const inputs = boxes.map((box, i) => node("label", {}, `text ${i + 1}`, box));
  fill(root, CSS, kinds.element, node("div", { className: "row" }, ...inputs, most), lines, said);

  function draw() {
    const parts = partsOf(state.kind, boxes.map((box) => words(box.value)));
    boxes.forEach((box, i) => { box.disabled = i >= parts.length; });
    const found = formatTask(state.kind, parts, ["[start]", "[delimiter]", "[extract]"], state.limit);
    lines.replaceChildren(...(found || []).map((sequence) => node("ol", { className: "sequence" }, ...sequence.map(
      (word) => node("li", { textContent: word, className: /^\[(start|delimiter|extract)\]$/.test(word) ? "special" : "" }),
    ))));
    said.textContent = describe(state.kind, parts, found, state.limit);
  }
  draw();
}
