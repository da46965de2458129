"""What the exercises' checks leave out: sampling against exact distributions, `transformers`, stops, errors."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gptlib import decoding, gpt2
from gptlib.weights import gpt2 as gpt2_weights
from tests.conftest import ROOT

SHAPE = {"n_layers": 2, "d_model": 16, "n_heads": 2, "vocab_size": 11, "context_length": 32}
HOW = {"temperature": 0.8, "k": 7, "p": 0.85, "minimum": 0.08, "penalty": 1.3}


@pytest.fixture(scope="module")
def peer():
    """`transformers`, quiet."""
    transformers = pytest.importorskip("transformers")
    transformers.utils.logging.set_verbosity_error()
    return transformers


@pytest.fixture(scope="module")
def model():
    """A GPT-2 of random weights, wide enough apart that its distributions are not flat."""
    made = gpt2.GPT2(SHAPE, torch.Generator().manual_seed(4)).double().eval()
    with torch.no_grad():
        for weight in made.parameters():
            if weight.dim() == 2:
                weight.mul_(12)
    return made


@pytest.fixture(scope="module")
def theirs(peer, model):
    """The same model as `transformers` has it."""
    config = peer.GPT2Config(
        n_layer=2, n_embd=16, n_head=2, vocab_size=11, n_positions=32, bos_token_id=None, eos_token_id=None
    )
    made = peer.GPT2LMHeadModel(config).double().eval()
    made.load_state_dict(gpt2_weights.to_hugging_face(model.state_dict(), 2), strict=False)
    return made


def table(rows):
    """A model whose distribution depends on the last token alone."""
    logits = torch.tensor(rows, dtype=torch.float64).log()
    return lambda tokens: logits[tokens[:, -1]]


DISTRIBUTIONS = [[0.5, 0.3, 0.15, 0.05], [0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.4, 0.1], [0.7, 0.1, 0.1, 0.1]]


# Equality with transformers' logits processors ------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 4), st.integers(2, 60), st.integers(0, 2**31), st.floats(0.05, 4), st.integers(1, 70),
    st.floats(0.01, 1), st.floats(0, 1), st.floats(0.3, 3), st.booleans(),
)  # fmt: skip
def test_each_adjuster_is_the_processor_of_transformers(b, v, seed, temperature, k, p, minimum, penalty, ties):
    logits_process = pytest.importorskip("transformers").generation.logits_process
    generator = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(b, v, generator=generator, dtype=torch.float64)
    if ties:
        logits[:, v // 2 :] = logits[:, : v - v // 2].flip(1)
    tokens = torch.randint(v, (b, 9), generator=generator)
    expected = logits_process.TemperatureLogitsWarper(temperature)(tokens, logits)
    assert torch.equal(decoding.with_temperature(logits, temperature), expected)
    assert torch.equal(decoding.top_k(logits, k), logits_process.TopKLogitsWarper(k)(tokens, logits))
    assert torch.equal(decoding.min_p(logits, minimum), logits_process.MinPLogitsWarper(minimum)(tokens, logits))
    expected = logits_process.RepetitionPenaltyLogitsProcessor(penalty)(tokens, logits)
    torch.testing.assert_close(decoding.repetition_penalty(logits, tokens, penalty), expected, rtol=1e-15, atol=0)
    expected = logits_process.TopPLogitsWarper(p)(tokens, logits)
    found = decoding.top_p(logits, p)
    if ties:  # which of two equals stays is left open, how many do is not
        assert torch.equal(found.sort(-1).values, expected.sort(-1).values)
    else:
        assert torch.equal(found, expected)


@pytest.mark.parametrize("how", [
    {}, {"temperature": 0.7}, {"k": 3}, {"p": 0.6}, {"minimum": 0.2}, {"penalty": 1.8}, HOW,
    {"temperature": 3.0, "p": 0.5, "minimum": 0.3}, {"penalty": 0.6, "k": 2, "temperature": 0.4},
])  # fmt: skip
def test_whole_texts_are_those_of_transformers_draw_by_draw(model, theirs, how):
    """Same seed, same order of adjusters: the same texts, token by token."""
    prompt = torch.tensor([[1, 2, 3], [4, 5, 4]])
    names = {"k": "top_k", "p": "top_p", "minimum": "min_p", "penalty": "repetition_penalty"}
    options = {"top_k": 0, "top_p": 1.0} | {names.get(name, name): value for name, value in how.items()}
    for seed in range(3):
        torch.manual_seed(seed)
        expected = theirs.generate(
            prompt, attention_mask=torch.ones_like(prompt), do_sample=True, max_new_tokens=25, pad_token_id=0, **options
        )
        torch.manual_seed(seed)
        assert torch.equal(decoding.generate(decoding.predictor(model), prompt, 25, **how), expected)


def test_greedy_texts_are_those_of_transformers(model, theirs):
    prompt = torch.tensor([[1, 2, 3], [4, 5, 4]])
    for penalty in (1.0, 1.5):
        expected = theirs.generate(
            prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=25, pad_token_id=0,
            repetition_penalty=penalty,
        )  # fmt: skip
        found = decoding.generate(decoding.predictor(model), prompt, 25, temperature=0, penalty=penalty)
        assert torch.equal(found, expected)


@pytest.mark.parametrize(("beams", "length"), [(2, 12), (3, 6), (5, 20)])
def test_beams_are_those_of_transformers(model, theirs, beams, length):
    for prompt in ([1, 2, 3], [7], [4, 5, 4, 9]):
        out = theirs.generate(
            torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), do_sample=False, num_beams=beams,
            num_return_sequences=beams, max_new_tokens=length, length_penalty=1.0, pad_token_id=0,
            return_dict_in_generate=True, output_scores=True,
        )  # fmt: skip
        texts, scores = decoding.beam_search(
            decoding.predictor(model), torch.tensor(prompt), length, beams, length_penalty=1.0
        )
        assert torch.equal(texts, out.sequences)
        assert scores == pytest.approx(out.sequences_scores)


# Sampling against the exact distribution ------------------------------------------------------------------------------


def exact(prompt, length, how):
    """Every continuation and its probability, from the distribution that `adjust` states, by enumeration."""
    predict, found = table(DISTRIBUTIONS), {}
    for text in itertools.product(range(4), repeat=length):
        probability, tokens = 1.0, torch.tensor([prompt])
        for token in text:
            distribution = decoding.adjust(predict(tokens), tokens, **how).softmax(-1)[0]
            probability *= distribution[token].item()
            tokens = torch.cat([tokens, torch.tensor([[token]])], 1)
        if probability:
            found[text] = probability
    return found


@pytest.mark.parametrize("how", [
    {}, {"temperature": 0.5}, {"k": 2}, {"p": 0.75}, {"minimum": 0.3}, {"penalty": 2.0},
    {"temperature": 1.5, "k": 3, "p": 0.8, "minimum": 0.2, "penalty": 1.2},
])  # fmt: skip
def test_texts_come_as_often_as_the_distribution_says(how):
    """χ² of 20,000 drawn texts of three tokens against their exact probabilities; the seed is fixed."""
    distribution, rows = exact([0], 3, how), 20_000
    assert math.fsum(distribution.values()) == pytest.approx(1)
    prompt = torch.zeros(rows, 1, dtype=torch.int64)
    drawn = decoding.generate(table(DISTRIBUTIONS), prompt, 3, generator=torch.Generator().manual_seed(1), **how)
    texts, counts = drawn[:, 1:].unique(dim=0, return_counts=True)
    seen = {tuple(text): count for text, count in zip(texts.tolist(), counts.tolist(), strict=True)}
    assert set(seen) <= set(distribution), "a text of probability 0 was drawn"
    square = sum((seen.get(text, 0) - rows * p) ** 2 / (rows * p) for text, p in distribution.items())
    freedom = len(distribution) - 1
    assert square < freedom + 5 * math.sqrt(2 * freedom) + 5


def test_the_distributions_themselves():
    """Temperature, top-k, top-p and min-p of one distribution, worked out by hand."""
    logits = torch.tensor([DISTRIBUTIONS[0]], dtype=torch.float64).log()
    tokens = torch.tensor([[3]])

    def distribution(**how):
        return decoding.adjust(logits, tokens, **how).softmax(-1)[0].tolist()

    assert distribution() == pytest.approx(DISTRIBUTIONS[0])
    assert distribution(temperature=0.5) == pytest.approx([0.25 / 0.365, 0.09 / 0.365, 0.0225 / 0.365, 0.0025 / 0.365])
    assert distribution(k=2) == pytest.approx([0.625, 0.375, 0, 0])
    assert distribution(p=0.85) == pytest.approx([0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0])
    assert distribution(minimum=0.4) == pytest.approx([0.625, 0.375, 0, 0])
    assert distribution(temperature=0) == [1, 0, 0, 0]
    # Temperature comes first: flattened, 0.5 is no longer enough for p = 0.45.
    assert distribution(p=0.45) == pytest.approx([1, 0, 0, 0])
    assert distribution(p=0.45, temperature=4.0)[1] > 0
    # The logit of the last token is log 0.05, negative: the penalty multiplies it.
    lowered = [0.5, 0.3, 0.15, 0.05**2]
    assert distribution(penalty=2.0) == pytest.approx([x / sum(lowered) for x in lowered])


# generate, stream, predictor ------------------------------------------------------------------------------------


def test_seeds_decide(model):
    predict, prompt = decoding.predictor(model), torch.tensor([[1], [2]])
    texts = [decoding.generate(predict, prompt, 20, generator=torch.Generator().manual_seed(s)) for s in (5, 5, 6)]
    assert torch.equal(texts[0], texts[1]) and not torch.equal(texts[0], texts[2])
    state = torch.get_rng_state()
    decoding.generate(predict, prompt, 5, temperature=0)
    decoding.generate(predict, prompt, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(state, torch.get_rng_state())


def test_a_stream_gives_what_generate_gives(model):
    predict, prompt = decoding.predictor(model), torch.tensor([[1, 2], [3, 4]])
    columns = list(decoding.stream(predict, prompt, 9, generator=torch.Generator().manual_seed(3), **HOW))
    whole = decoding.generate(predict, prompt, 9, generator=torch.Generator().manual_seed(3), **HOW)
    assert torch.equal(torch.stack(columns, 1), whole[:, 2:])
    assert next(decoding.stream(predict, prompt, 10**9, temperature=0)).shape == (2,), "one at a time"


COUNTING = table([[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]])  # 0, 1, 2, 3, 0, 1, …


def test_a_stop_sequence_ends_its_row_alone():
    prompt = torch.tensor([[0], [2]])
    out = decoding.generate(COUNTING, prompt, 5, temperature=0, stop=[[2, 3]])
    # The second row's prompt ends with 2, but a stop sequence must be written, not found.
    assert out.tolist() == [[0, 1, 2, 3, -1, -1], [2, 3, 0, 1, 2, 3]]
    out = decoding.generate(COUNTING, prompt, 5, temperature=0, stop=[[0, 1, 2, 3], [3]])
    assert out.tolist() == [[0, 1, 2, 3, -1, -1], [2, 3, -1, -1, -1, -1]]


def test_when_all_have_stopped_the_model_is_asked_no_more():
    asked = []

    def predict(tokens):
        asked.append(tokens.shape)
        assert tokens.min() >= 0, "a pad is no token"
        return COUNTING(tokens)

    out = decoding.generate(predict, torch.tensor([[0], [3]]), 50, temperature=0, stop=[(2,)], penalty=1.0001)
    assert out.shape == (2, 51) and len(asked) == 3
    assert (out[:, 4:] == decoding.PAD).all()


def test_stops_do_not_disturb_other_rows(model):
    """What a row draws does not depend on whether another has stopped."""
    predict, prompt = decoding.predictor(model), torch.tensor([[1], [2], [3]])
    free = decoding.generate(predict, prompt, 20, generator=torch.Generator().manual_seed(0), penalty=1.2)
    end = int(free[0, 4])
    cut = decoding.generate(predict, prompt, 20, generator=torch.Generator().manual_seed(0), stop=[[end]], penalty=1.2)
    for row, whole in zip(cut.tolist(), free.tolist(), strict=True):
        written = [t for t in row if t != decoding.PAD]
        assert written == whole[: len(written)]
        assert len(written) == 21 or written[-1] == end


def test_a_predictor_crops_and_leaves_the_model_alone(model):
    model.train()
    predict = decoding.predictor(model)
    tokens = torch.randint(11, (2, 50), generator=torch.Generator().manual_seed(0))
    out = predict(tokens)
    assert model.training and not out.requires_grad
    model.eval()
    with torch.no_grad():
        assert torch.equal(out, model(tokens[:, -32:])[:, -1])
    assert decoding.generate(predict, tokens[:, :30], 10, temperature=0).shape == (2, 40)


def test_half_precision_logits_can_be_drawn_from():
    half = lambda tokens: COUNTING(tokens).to(torch.bfloat16)  # noqa: E731
    assert decoding.generate(half, torch.tensor([[0]]), 4).tolist() == [[0, 1, 2, 3, 0]]


def test_repeated():
    assert decoding.repeated("abcdefgh") == 0
    assert decoding.repeated([1, 2] * 10, n=2) == pytest.approx(1 - 2 / 19)
    assert decoding.repeated("aaaaa", n=1) == pytest.approx(0.8)


def plain(value):
    return lambda tokens: torch.full((len(tokens), 3), value)


ONE = torch.tensor([[0]])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: decoding.with_temperature(torch.zeros(2), -1), "temperature must be at least 0 and finite, got -1"),
        (lambda: decoding.top_k(torch.zeros(2), 0), "k must be at least 1, got 0"),
        (lambda: decoding.top_p(torch.zeros(2), 0), "p must be more than 0 and at most 1, got 0"),
        (lambda: decoding.min_p(torch.zeros(2), 1.5), "p must be between 0 and 1, got 1.5"),
        (lambda: decoding.repetition_penalty(torch.zeros(1, 2), ONE, 0), "penalty must be more than 0"),
        (lambda: decoding.generate(COUNTING, ONE, -1), "length must not be negative, got -1"),
        (lambda: decoding.stream(COUNTING, ONE, -1), "length must not be negative, got -1"),
        (lambda: decoding.generate(COUNTING, ONE[0], 1), r"axes \(B, T\) and hold a token, got shape \(1,\)"),
        (lambda: decoding.generate(COUNTING, ONE[:, :0], 1), r"got shape \(1, 0\)"),
        (lambda: decoding.generate(COUNTING, ONE, 1, stop=[3]), r"stop must hold sequences .* got \[3\]"),
        (lambda: decoding.generate(COUNTING, ONE, 1, stop=[[]]), r"stop must hold sequences .* got \[\[\]\]"),
        (lambda: decoding.generate(plain(math.nan), ONE, 1), "predict must give finite logits"),
        (lambda: decoding.generate(plain(-math.inf), ONE, 1, temperature=0), "predict must give finite logits"),
        (lambda: decoding.beam_search(COUNTING, ONE, 1, 1), r"prompt must have the axis \(T\) alone"),
        (lambda: decoding.beam_search(COUNTING, ONE[0], 0, 1), "length must be at least 1, got 0"),
        (lambda: decoding.repeated("abc", 4), "at least n = 4, got 3"),
    ],
)
def test_errors_name_argument_rule_and_value(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_nothing_is_written_when_nothing_is_asked_for():
    assert torch.equal(decoding.generate(COUNTING, ONE, 0), ONE)


PAGE = (ROOT / "chapters/11_decoding.md").read_text(encoding="utf-8")


def test_the_order_on_the_page_is_that_of_the_code_and_of_transformers(peer):
    stated = [word.strip() for word in PAGE.partition("`transformers`: **")[2].partition("**")[0].split(",")]
    assert stated == ["penalty", "temperature", "top-k", "top-p", "min-p"]
    config = peer.GenerationConfig(
        temperature=0.5, top_k=5, top_p=0.5, min_p=0.1, repetition_penalty=1.2, do_sample=True
    )
    model = peer.GPT2LMHeadModel(peer.GPT2Config(n_layer=1, n_embd=4, n_head=1, vocab_size=9, n_positions=4))
    chain = model._get_logits_processor(config, input_ids_seq_length=1)
    names = [type(one).__name__ for one in chain]
    order = ["RepetitionPenalty", "Temperature", "TopK", "TopP", "MinP"]
    assert [next(i for i, name in enumerate(names) if name.startswith(o)) for o in order] == list(range(5))
