"""What learners see checked of the key-value cache: masks to draw, means to work out, and a model that counts votes."""

import torch
from torch import Tensor

from autograder.calls import part_of, zeroed
from autograder.checks import checks, raises, same
from autograder.inputs import F64, real


def drawn(*pictures: str) -> Tensor:
    """A mask (B, 1, T, S) from pictures, one for each row of the batch: x may look, . may not; / ends a query."""
    return torch.tensor([[[[c == "x" for c in line] for line in p.split("/")]] for p in pictures])


@checks("kv_cache.cache_bytes")
def one_number_at_a_time(cache_bytes):
    """One block with one head of width 1 stores a key and a value for each position."""
    same(cache_bytes(1, 1, 1, 1, 1, 1), 2, "One key and one value of one byte each: 2.")
    same(cache_bytes(1, 1, 1, 1), 8, "A batch of 1 and 4 bytes a number are assumed when nothing is said.")


@checks("kv_cache.cache_bytes")
def every_factor_counts_once(cache_bytes):
    """The bytes grow in proportion to each of the six numbers."""
    hint = "2 · blocks · heads · width of a head · length · batch · bytes: is one forgotten, squared or divided?"
    same(cache_bytes(2, 3, 5, 7, 11, 2), 2 * 2 * 3 * 5 * 7 * 11 * 2, hint)


@checks("kv_cache.cache_bytes")
def the_smallest_gpt2(cache_bytes):
    """In the smallest GPT-2 one position costs 73,728 bytes."""
    same(cache_bytes(12, 12, 64, 1), 73_728, "12 blocks · 12 heads · 64 numbers · 4 bytes = 36,864, for key and value.")
    same(cache_bytes(12, 12, 64, 1024), 75_497_472, "And 1,024 positions need 1,024 times as much, 72 MiB.")


@checks("kv_cache.cache_mask")
def a_prompt_is_causal(cache_mask):
    """With nothing stored, the mask is the causal one, with axes for batch and heads before it."""
    same(cache_mask(3), drawn("x../xx./xxx"), "Shape (1, 1, T, S); position t sees keys 0 to t, itself among them.")


@checks("kv_cache.cache_mask")
def one_new_position_sees_all(cache_mask):
    """One new position behind three stored ones sees all four keys."""
    same(cache_mask(1, 3), drawn("xxxx"), "The one query stands at place 3, not at place 0: it may look at all keys.")


@checks("kv_cache.cache_mask")
def some_new_positions(cache_mask):
    """Two new positions behind two stored ones: the first sees three keys, the second four."""
    same(cache_mask(2, 2), drawn("xxx./xxxx"), "Query t stands at place offset + t. A mask that is not square is not"
         " `tril` of ones: that begins at the upper left corner.")  # fmt: skip


@checks("kv_cache.cache_mask")
def filling_on_the_left_is_hidden(cache_mask):
    """Nobody looks at the filling at the left end of a row, each row having its own."""
    expected = drawn("x../xx./xxx", ".../.x./.xx", ".../.../..x")
    same(cache_mask(3, 0, torch.tensor([0, 1, 2])), expected, "padding = 1 hides key 0, and nothing else, in its row.")


@checks("kv_cache.cache_mask")
def filling_stays_hidden(cache_mask):
    """Filling is counted from the first key that is stored, however many positions are new."""
    same(cache_mask(1, 3, torch.tensor([2, 0])), drawn("..xx", "xxxx"), "Keys 0 and 1 of the first row are filling.")
    same(cache_mask(2, 1, torch.tensor([1])), drawn(".x./.xx"), "Filling takes places, so it does not move the query.")


@checks("kv_cache.cache_mask")
def a_window_of_two(cache_mask):
    """With a window of 2, each position sees itself and the one before."""
    same(cache_mask(4, 0, None, 2), drawn("x.../xx../.xx./..xx"), "A window of 2 counts the position itself.")
    same(cache_mask(2, 0, None, 1), drawn("x./.x"), "A window of 1 leaves each position itself.")


@checks("kv_cache.cache_mask")
def a_window_moves_with_the_query(cache_mask):
    """The window ends at the place of each query, stored keys and filling counted."""
    same(cache_mask(2, 3, None, 3), drawn(".xxx./..xxx"), "The queries stand at places 3 and 4: keys 1–3 and 2–4.")
    same(cache_mask(2, 2, torch.tensor([2, 0]), 3), drawn("..x./..xx", "xxx./.xxx"), "Window and filling both hide.")


@checks("kv_cache.cache_mask")
def nonsense_is_refused(cache_mask):
    """A window of 0 or a negative offset is an error."""
    with raises(ValueError, "window"):
        cache_mask(1, 0, None, 0)
    with raises(ValueError, "offset"):
        cache_mask(1, -1)
    same(cache_mask(1), drawn("x"), "One position sees itself.")


def column(*numbers: float) -> Tensor:
    """One head of width 1 in one text, (1, 1, T, 1)."""
    return real(list(numbers)).reshape(1, 1, -1, 1)


@checks("kv_cache.LayerCache")
def what_is_appended_comes_back_in_order(LayerCache):
    """`append` gives all keys and all values so far, oldest first."""
    cache = LayerCache(6)
    same(cache.append(column(1, 2), column(10, 20)), (column(1, 2), column(10, 20)), "Keys, then values.")
    hint = "Two places were filled; the third key goes behind them, and what comes back is all three, not all six."
    same(cache.append(column(3), column(30)), (column(1, 2, 3), column(10, 20, 30)), hint)
    same(cache.append(column(4), column(40)), (column(1, 2, 3, 4), column(10, 20, 30, 40)), "Does `stored` move on?")
    same(part_of(cache, "stored"), 4, "`stored` is the number of places in use.")


@checks("kv_cache.LayerCache")
def texts_and_heads_stay_apart(LayerCache):
    """Each text and each head has its own places."""
    key = real([[[[1, 2]], [[3, 4]]], [[[5, 6]], [[7, 8]]]])  # two texts, two heads, one position, width 2
    cache = LayerCache(2)
    cache.append(key, 10 * key)
    both = torch.stack([key[:, :, 0], 100 + key[:, :, 0]], dim=2)
    same(cache.append(100 + key, 10 * (100 + key)), (both, 10 * both), "Positions are the third axis, (B, H, S, K).")


@checks("kv_cache.LayerCache")
def two_caches_share_nothing(LayerCache):
    """Two caches have nothing to do with one another."""
    one, other = LayerCache(4), LayerCache(4)
    one.append(column(1), column(10))
    hint = "What one cache stores must not be seen in another: keep nothing in the class or in a global variable."
    same(other.append(column(5), column(50)), (column(5), column(50)), hint)
    same(one.append(column(2), column(20)), (column(1, 2), column(10, 20)), hint)


@checks("kv_cache.LayerCache")
def a_new_text_begins_empty(LayerCache):
    """After `reset` the first key is the only one."""
    cache = LayerCache(2)
    cache.append(column(1, 2), column(10, 20))
    cache.reset()
    same(cache.append(column(3), column(30)), (column(3), column(30)), "`reset` sets `stored` to 0: write there.")


@checks("kv_cache.LayerCache")
def a_full_cache_says_so(LayerCache):
    """What does not fit is an error, and changes nothing."""
    cache = LayerCache(3)
    cache.append(column(1, 2), column(10, 20))
    with raises(ValueError, "3 places"):
        cache.append(column(3, 4), column(30, 40))
    same(cache.append(column(5), column(50)), (column(1, 2, 5), column(10, 20, 50)), "There was room for one more.")


@checks("kv_cache.LayerCache")
def a_zero_query_gives_the_mean_of_what_it_sees(LayerCache):
    """A query of zeros brings back the mean of all values so far, stored or new."""
    cache, zero = LayerCache(5), column(0)
    hint = "Values 2, 4, 9: the means so far are 2, 3 and 5. "
    same(cache(column(0, 0), column(1, 1), column(2, 4)), column(2, 3), hint + "No position may see a later one.")
    same(cache(zero, column(1), column(9)), column(5), hint + "The third position sees all three, each once.")
    same(cache(column(0, 0), column(1, 1), column(1, 4)), column(4, 4), "With 1 and 4 more, both means are 4.")


@checks("kv_cache.LayerCache")
def queries_meet_stored_keys(LayerCache):
    """A large query brings back the value whose key matches, however long ago it was stored."""
    cache = LayerCache(4)
    cache(column(0, 0), column(0, 1000), column(7, 8))
    same(cache(column(1), column(0), column(9)), column(8), "The stored key 1000 belongs to the value 8.")
    same(cache(column(-1), column(-1000), column(6)), column(6), "Now the newest key, −1000, matches the query −1.")


@checks("kv_cache.LayerCache")
def padding_and_window_reach_the_mask(LayerCache):
    """Filling is seen by nobody, and a window hides what is too old."""
    cache = LayerCache(4)
    cache.reset(torch.tensor([2]))
    hint = "Two places are filling (99): the third sees only itself, the fourth two. Pass `self.padding` on."
    same(cache(column(0, 0, 0), column(1, 1, 1), column(99, 99, 4))[:, :, 2:], column(4), hint)
    same(cache(column(0), column(1), column(6)), column(5), hint)
    cache = LayerCache(4, 2)
    hint = "A window of 2: the mean of the last two values. Pass `self.window` on."
    same(cache(column(0, 0, 0), column(1, 1, 1), column(2, 4, 6)), column(2, 3, 5), hint)
    same(cache(column(0), column(1), column(8)), column(7), hint)
    same(cache(column(0), column(1), column(2)), column(5), hint + " The four places were full; two keys have moved.")


VOTE = {"n_layers": 1, "d_model": 2, "n_heads": 1, "vocab_size": 2, "context_length": 8}
AYE, NAY = [1.0, -1.0], [-1.0, 1.0]  # the logits when more zeros than ones were read so far, and the reverse


def voter(CachedGPT2, n_layers: int = 1, size: int | None = None, window: int | None = None, **given: Tensor):
    """A model that counts votes: token 0 is worth +1, token 1 −1, and its last block takes the mean so far."""
    last = f"model.blocks.{n_layers - 1}.attention"
    numbers = {
        "model.token_embedding.weight": real([[1000, -1000], [-1000, 1000]]),
        f"{last}.qkv.weight": torch.cat([torch.zeros(4, 2), torch.eye(2)]).double(),
        f"{last}.output.weight": 1e6 * torch.eye(2, dtype=F64),
        "model.final_norm.weight": real([1 / 2000, 1 / 2000]),
    }
    numbers |= {f"model.{name}": tensor for name, tensor in given.items()}
    return zeroed(CachedGPT2, numbers, VOTE | {"n_layers": n_layers}, size, window)


def ask(model, *tokens: list[int], last_only: bool = False) -> Tensor:
    """The logits for new tokens, one list for each text."""
    return model(torch.tensor(tokens), last_only)


@checks("kv_cache.CachedGPT2")
def votes_are_remembered(CachedGPT2):
    """What was read in earlier calls still counts."""
    model = voter(CachedGPT2)
    same(ask(model, [0, 0, 0]), real([[AYE] * 3]), "Three zeros: logits (1, −1) at each of the three positions.")
    hint = "Behind 0 0 0, one 1 does not turn the majority. Does every block get its own LayerCache as second argument?"
    same(ask(model, [1]), real([[AYE]]), hint)
    same(ask(model, [1]), real([[AYE]]), hint)
    same(ask(model, [1, 1]), real([[NAY, NAY]]), "A tie, which the token itself decides; then 1 wins.")


@checks("kv_cache.CachedGPT2")
def positions_go_on(CachedGPT2):
    """The position of a new token is the number of those before it."""
    places = real([[0, 0], [1, -1], [-1, 1], [1, -1], [0, 0], [-1, 1], [0, 0], [0, 0]]) * 1e9
    model = voter(CachedGPT2, blocks__0__attention__output__weight=torch.zeros(2, 2, dtype=F64),
                  position_embedding__weight=places)  # fmt: skip
    hint = "Here attention is silent, and at position 1, 2, 3 and 5 the embedding of the place decides: +, −, +, −."
    same(ask(model, [0, 1]), real([[AYE, AYE]]), hint)
    same(ask(model, [0, 1]), real([[NAY, AYE]]), hint + " The third token stands at place 2: does `seen` move on?")
    same(ask(model, [1, 0]), real([[NAY, NAY]]), hint)


@checks("kv_cache.CachedGPT2")
def filling_has_no_vote(CachedGPT2):
    """With filling on the left, each row says what it would say alone."""
    model = voter(CachedGPT2)
    model.reset(torch.tensor([3, 0]))
    out = ask(model, [1, 1, 1, 0], [0, 0, 0, 1])
    same(out[:, 3:], real([[AYE], [AYE]]), "The first row is 0 alone, its three ones are filling; the second 0 0 0 1.")
    same(ask(model, [0], [1]), real([[AYE], [AYE]]), "Then 0 0, and 0 0 0 1 1: three against two.")
    places = real([[1, -1], [-1, 1], [1, -1], [-1, 1]] * 2) * 1e9
    model = voter(CachedGPT2, blocks__0__attention__output__weight=torch.zeros(2, 2, dtype=F64),
                  position_embedding__weight=places)  # fmt: skip
    model.reset(torch.tensor([1, 0]))
    hint = "A text begins at position 0 behind its filling: positions are places minus padding, row by row."
    same(ask(model, [1, 0, 0], [0, 0, 0])[:, 1:], real([[AYE, NAY], [NAY, AYE]]), hint)
    same(ask(model, [0], [0]), real([[AYE], [NAY]]), hint)


@checks("kv_cache.CachedGPT2")
def every_block_has_its_own_store(CachedGPT2):
    """The keys and values of one block are not those of another."""
    minus = torch.cat([torch.zeros(4, 2), -10 * torch.eye(2)]).double()
    model = voter(CachedGPT2, 2, blocks__0__attention__qkv__weight=minus)
    hint = "Block 0 stores −10 for each vote, and adds nothing to the stream; block 1 takes the mean of ITS values."
    same(ask(model, [0, 0]), real([[AYE, AYE]]), hint)
    same(ask(model, [0]), real([[AYE]]), hint)


@checks("kv_cache.CachedGPT2")
def what_was_read_is_not_read_again(CachedGPT2):
    """Stored values stay what they were; only new tokens are computed."""
    model = voter(CachedGPT2)
    ask(model, [0, 0, 0])
    turned = torch.cat([torch.zeros(4, 2), -torch.eye(2)]).double()
    model.load_state_dict(model.state_dict() | {"model.blocks.0.attention.qkv.weight": turned})
    hint = (
        "Between the calls the sign of all values was changed. The three stored values are +1 as before, so +1 wins; "
        "if earlier tokens are read again, theirs are −1."
    )
    same(ask(model, [1]), real([[AYE]]), hint)


@checks("kv_cache.CachedGPT2")
def the_last_position_alone(CachedGPT2):
    """With `last_only` come the logits of the last new position."""
    model = voter(CachedGPT2)
    same(ask(model, [0, 1, 1], last_only=True), real([[NAY]]), "Shape (B, 1, V): of 0 1 1, the last position's.")
    same(ask(model, [0], last_only=True), real([[AYE]]), "A tie: then the token itself decides, 0.")


@checks("kv_cache.CachedGPT2")
def a_new_text_begins(CachedGPT2):
    """After `reset` nothing is left of the text before, nor of its length."""
    places = real([[1, -1], [-1, 1]] + [[-1, 1]] * 6) * 1e9
    model = voter(CachedGPT2, blocks__0__attention__output__weight=torch.zeros(2, 2, dtype=F64),
                  position_embedding__weight=places)  # fmt: skip
    ask(model, [0, 0, 0])
    model.reset()
    same(ask(model, [1]), real([[AYE]]), "The first token of a new text stands at position 0.")
    model = voter(CachedGPT2)
    ask(model, [1, 1, 1])
    model.reset()
    same(ask(model, [0]), real([[AYE]]), "Of the three ones before `reset` nothing may be left.")


@checks("kv_cache.CachedGPT2")
def too_much_is_refused(CachedGPT2):
    """More tokens than the context or the cache has places are an error."""
    model = voter(CachedGPT2)
    ask(model, [0] * 7)
    with raises(ValueError, "cache of 8"):
        ask(model, [0, 0])
    same(ask(model, [0]), real([[AYE]]), "The error changed nothing: there was room for one more.")
    model = voter(CachedGPT2, size=100)
    with raises(ValueError, "context of 8"):
        ask(model, [0] * 9)
