"""What the exercises' checks leave out of GPT-1: errors, the published model, and the chapter's own claims."""

import pytest
import torch

from gptlib import data, gpt

TINY = {"n_layers": 2, "d_model": 12, "n_heads": 3, "d_ff": 48, "vocab_size": 17, "context_length": 9, "dropout": 0.0}
SPECIAL = (14, 15, 16)


def tiny(**changes):
    return gpt.GPTConfig(**(TINY | changes))


ROW = (torch.zeros(1, 3, 4), torch.zeros(1, 3, dtype=torch.long))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: tiny(n_layers=0), "n_layers must be at least 1, got 0"),
        (lambda: tiny(n_heads=5), "n_heads must divide d_model = 12, got 5"),
        (lambda: tiny(dropout=1.0), r"dropout must lie in \[0, 1\), got 1.0"),
        (lambda: gpt.Block(6, 4, 8), "divide d_model = 6, got 4"),
        (lambda: gpt.GPT(tiny())(torch.zeros(1, 10, dtype=torch.long)), "context_length = 9 long, got 10"),
        (lambda: gpt.next_token_loss(ROW[0][:, 1:], ROW[1], torch.tensor([3])), "logits must begin with the shape"),
        (lambda: gpt.next_token_loss(*ROW, torch.tensor([1])), r"lengths must hold a 2 or more, got \[1\]"),
        (lambda: gpt.format_task("translation", [[1]], SPECIAL, 9), "kind must be one of .*got 'translation'"),
        (lambda: gpt.format_task("classification", [[1], [2]], SPECIAL, 9), "parts must fit .*got 2"),
        (lambda: gpt.format_task("entailment", [[1]], SPECIAL, 9), "parts must fit .*got 1"),
        (lambda: gpt.format_task("multiple choice", [[1], [2]], SPECIAL, 9), "parts must fit .*got 2"),
        (lambda: gpt.format_task("classification", [[1]], SPECIAL, 1), "limit must be at least 2 .*got 1"),
        (lambda: gpt.format_task("similarity", [[1, 2, 3], []], SPECIAL, 5), "limit must be at least 6 .*got 5"),
        (lambda: gpt.fill_up([], 0), "sequences must not be empty"),
        (lambda: gpt.TaskHead("ranking", 4, 2), "kind must be one of"),
        (lambda: gpt.TaskHead("entailment", 4, 0), "n_classes must be at least 1, got 0"),
        (lambda: gpt.finetune_loss(torch.zeros(1, 2), torch.zeros(1), *ROW, torch.tensor([3]), -1), "got -1"),
    ],
)
def test_errors_name_argument_rule_and_value(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def theirs(config: gpt.GPTConfig):
    """The same sizes in the library transformers, with random weights."""
    transformers = pytest.importorskip("transformers")
    sizes = transformers.OpenAIGPTConfig(
        vocab_size=config.vocab_size, n_positions=config.context_length, n_embd=config.d_model,
        n_layer=config.n_layers, n_head=config.n_heads, embd_pdrop=0.0, attn_pdrop=0.0, resid_pdrop=0.0,
        initializer_range=0.3,
    )  # fmt: skip
    torch.manual_seed(3)
    model = transformers.OpenAIGPTLMHeadModel(sizes).double().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))  # norms and biases too, which begin as 1 and 0
    return model


def names(n_layers: int):
    """Pairs of our parameter and theirs, whether it is to be transposed, and which third of it is meant."""
    yield from (("token_embedding.weight", "transformer.tokens_embed.weight", False, None),
                ("position_embedding.weight", "transformer.positions_embed.weight", False, None))  # fmt: skip
    parts = {"attention.output": "attn.c_proj", "up": "mlp.c_fc", "down": "mlp.c_proj", "attention_norm": "ln_1",
             "feed_forward_norm": "ln_2"}  # fmt: skip
    for i in range(n_layers):
        for kind in ("weight", "bias"):
            for third, part in enumerate(("query", "key", "value")):
                yield f"blocks.{i}.attention.{part}.{kind}", f"transformer.h.{i}.attn.c_attn.{kind}", True, third
            for ours, other in parts.items():
                yield f"blocks.{i}.{ours}.{kind}", f"transformer.h.{i}.{other}.{kind}", "norm" not in ours, None


def picked(weight, turned, third):
    """Their weight, in our layout."""
    weight = weight if third is None else weight.chunk(3, dim=-1)[third]
    return weight.T if turned and weight.dim() == 2 else weight


def copied(model, config):
    """Our model with their weights."""
    theirs_by_name = dict(model.named_parameters())
    ours = gpt.GPT(config).double().eval()
    state = {a: picked(theirs_by_name[b].detach(), turned, third) for a, b, turned, third in names(config.n_layers)}
    ours.load_state_dict(state)
    return ours


def test_logits_loss_and_gradients_equal_those_of_transformers():
    config = tiny()
    model = theirs(config)
    ours = copied(model, config)
    tokens = torch.randint(17, (3, 9), generator=torch.Generator().manual_seed(0))
    logits, expected = ours(tokens), model(tokens)
    torch.testing.assert_close(logits, expected.logits, rtol=0, atol=1e-9)
    loss = gpt.next_token_loss(logits, tokens, torch.tensor([9, 9, 9]))
    # their own loss is computed in float32, so take it from their logits
    true = torch.nn.functional.cross_entropy(expected.logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
    torch.testing.assert_close(loss, true, rtol=0, atol=1e-9)
    loss.backward()
    true.backward()
    gradients = {name: weight.grad for name, weight in model.named_parameters()}
    for name, other, turned, third in names(config.n_layers):
        found = ours.get_parameter(name).grad
        torch.testing.assert_close(found, picked(gradients[other], turned, third), rtol=0, atol=1e-9)
    assert len(list(ours.parameters())) == len(list(names(config.n_layers)))


def test_the_published_size():
    with torch.device("meta"):
        counted = sum(p.numel() for p in gpt.GPT(gpt.GPT1).parameters())
    assert counted == gpt.GPT1.n_parameters() == 116_534_784
    # by hand: embeddings, and twelve blocks of attention, feed-forward network and two norms
    block = 4 * (768 * 768 + 768) + (768 * 3072 + 3072) + (3072 * 768 + 768) + 4 * 768
    assert counted == (40_478 + 512) * 768 + 12 * block


def test_states_end_in_logits_and_dropout_acts_in_training_only():
    torch.manual_seed(0)
    model = gpt.GPT(tiny(dropout=0.5))
    tokens = torch.randint(17, (2, 6), generator=torch.Generator().manual_seed(1))
    first, second = model(tokens), model(tokens)
    assert not torch.equal(first, second)
    model.eval()
    states = model.states(tokens)
    assert len(states) == 3 and torch.equal(model.logits(states[-1]), model(tokens))
    torch.testing.assert_close(model(tokens[:, :4]), model(tokens)[:, :4])


def test_fine_tuning_learns_an_order_that_bags_of_words_cannot():
    """Which of two words comes first: a head on the extract token must learn it, whole path included."""
    torch.manual_seed(0)
    config = tiny(n_layers=1, n_heads=2)
    model, head = gpt.GPT(config), gpt.TaskHead("entailment", config.d_model, 2)
    rows = [gpt.format_task("entailment", [[a], [b]], SPECIAL, 9)[0] for a in range(6) for b in range(6) if a != b]
    labels = torch.tensor([int(row[1] > row[3]) for row in rows])
    tokens, lengths = gpt.fill_up(rows, 0)
    optimiser = torch.optim.AdamW([*model.parameters(), *head.parameters()], lr=0.01)
    for _ in range(150):
        states = model.states(tokens)[-1]
        logits = head(states, lengths)
        loss = gpt.finetune_loss(logits, labels, model.logits(states), tokens, lengths, 0.1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (logits.argmax(-1) == labels).float().mean() > 0.9


def test_ratings():
    found = data.load("ratings")
    assert {name: len(rows) for name, rows in found.items()} == {
        "movies": 10_605, "amazon": 3_708, "tweets": 4_200, "editorials": 5_190
    }  # fmt: skip
    assert sum(len(scores) for rows in found.values() for _, scores in rows) == 536_520
    text, scores = found["movies"][2]
    assert text == "Effective but too tepid biopic" and scores[:4] == (-1, 0, -1, 0) and sum(scores) / 15 == -0.6
    assert all(-4 <= score <= 4 for rows in found.values() for _, scores in rows for score in scores)
