// Beam search step by step: which texts each step kept, whose children they are, and what they share.

// How many characters the texts have in common from their start.
export function shared(texts) {
  let n = 0;
  while (texts.every((text) => n < text.length && text[n] === texts[0][n])) n++;
  return n;
}

// The rank, in the step before, of the text that each text continues; −1 where there is none.
export function parents(before, now) {
  return now.map((text) => before.findIndex((old) => old === text.slice(0, -1)));
}

// What the step did: how many of the texts before live on.
export function describe(before, now, step, scores) {
  if (step === 0) return "Nothing is written yet: one text, the prompt.";
  const from = parents(before, now);
  const alive = new Set(from).size;
  const dead = before.length - alive;
  const common = shared(now);
  const kept = now.length === 1 ? "One text is kept" : `${now.length} texts are kept, children of ${alive} of the ${before.length} before`;
  const died = dead > 0 ? ` (${dead} died out)` : "";
  const same = now.length > 1 ? ` They agree in their first ${common} of ${step} characters.` : "";
  return `Step ${step}: ${kept}${died}.${same} The best costs ${format(-scores[0], 1)} bits, ${format(-scores[0] / step, 2)} a character.`;
}

const CSS = `
.prompt { margin: 0 0 .6rem; padding: .3rem .6rem; border: 1px solid var(--line); border-radius: .4rem;
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
thead th:nth-child(2), td.text { text-align: left; }
td.text { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
td.text span { opacity: .75; } td.text b { color: var(--ink); }
.steps { align-items: center; }
`;

// Draws into a shadow root. data: { prompt, searches: [{ beams, steps: [{ texts, bits }, …] }, …] }; bits are log-probabilities.
export function mount(root, data) {
  const state = { search: data.searches.length - 1, step: data.start };
  const last = data.searches[0].steps.length - 1;
  const widths = picks("Beams", data.searches.map((s) => String(s.beams)), state.search, (i) => { state.search = i; draw(); });
  const steps = slider("step", { min: 0, max: last, value: state.step }, (x) => { state.step = x; draw(); });
  const input = steps.querySelector("input");
  const move = (by) => {
    input.value = Math.max(0, Math.min(last, state.step + by));
    input.dispatchEvent(new Event("input"));
  };
  const back = node("button", { type: "button" }, "Back");
  const next = node("button", { type: "button" }, "Next step");
  back.addEventListener("click", () => move(-1));
  next.addEventListener("click", () => move(1));
  const shown = table("Texts that are kept", ["rank", "text behind the prompt", "bits", "came from rank"]);
  const said = status();
  fill(root, CSS, node("p", { className: "prompt", textContent: data.prompt.replaceAll("\n", "↵ ") }), widths.element,
    node("div", { className: "row steps" }, steps, back, next), shown.element, said);

  function draw() {
    const { steps: all } = data.searches[state.search];
    const now = all[state.step];
    const before = all[Math.max(0, state.step - 1)];
    const from = parents(before.texts, now.texts);
    const common = now.texts.length > 1 ? shared(now.texts) : 0;
    shown.body.replaceChildren(...now.texts.map((text, i) => {
      const cell = node("td", { className: "text" }, node("span", { textContent: visible(text.slice(0, common)) }),
        node("b", { textContent: visible(text.slice(common)) }));
      return row(String(i + 1), [cell, format(-now.bits[i], 1), state.step === 0 ? "" : String(from[i] + 1)]);
    }));
    said.textContent = describe(before.texts, now.texts, state.step, now.bits);
  }
  draw();
}
