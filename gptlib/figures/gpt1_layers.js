// One position of a sentence: what the model expects next, read off the embedding and after each block.
const CSS = `
.words fieldset { gap: .25rem; }
.came { font-weight: 700; box-shadow: inset 0 -3px 0 var(--ink); }
th, td { text-align: left; white-space: nowrap; }`;

// The mathematics, without a page.

export const probability = (logarithm) => Math.exp(logarithm);

// Perplexity of a sentence from its costs in nats.
export function perplexity(costs) {
  return Math.exp(costs.reduce((sum, x) => sum + x, 0) / costs.length);
}

// Where the token that came stands among the guesses of each block; −1 where it is not among them.
export function ranks(guesses, position, came) {
  return guesses.map((layer) => layer[position].indexOf(came));
}

export function describe(example, position) {
  const { tokens, cost } = example;
  if (position >= tokens.length - 1) return "Nothing follows the last token; its state is what a task's head reads.";
  const p = probability(-cost[position]);
  const share = p < 0.001 ? "less than 0.001" : format(p, 3);
  return `After “${tokens[position]}” came “${tokens[position + 1]}”, which had probability ${share} `
    + `(${format(cost[position])} nats). The whole sentence has perplexity ${format(perplexity(cost), 0)}.`;
}

export function mount(root, data) {
  const state = { example: 0, position: data.position };
  const titles = data.examples.map((e) => `${e.tokens.slice(1, 5).join(" ")} …`);
  const choice = picks("Sentence", titles, 0, (i) => { state.example = i; state.position = data.position; build(); });
  const line = node("div", { className: "words" });
  const best = data.examples[0].guesses[0][0].length;
  const heads = ["read off after", ...Array.from({ length: best }, (_, i) => `guess ${i + 1}`)];
  const grid = table("What comes next?", heads);
  const said = status();
  fill(root, CSS, choice.element, line, grid.element, said);

  function build() {
    const { tokens } = data.examples[state.example];
    const position = Math.min(state.position, tokens.length - 1);
    line.replaceChildren(picks("Stand at the word", tokens, position, (i) => { state.position = i; draw(); }).element);
    draw();
  }

  function draw() {
    const example = data.examples[state.example];
    const came = example.tokens[state.position + 1];
    grid.caption.textContent = `What the model expects after “${example.tokens[state.position]}”`;
    grid.body.replaceChildren(...example.guesses.map((layer, l) => row(l ? `block ${l}` : "embedding",
      layer[state.position].map((name, i) => node("td", {
        textContent: `${name} ${format(probability(example.logs[l][state.position][i]))}`,
        className: name === came ? "came" : "",
      })))));
    said.textContent = describe(example, state.position);
  }
  build();
}
