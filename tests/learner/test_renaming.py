"""`update` brings a learner's code to the names that parts of models have now, and says so."""
import re

import pytest

from autograder.learner import renaming
from autograder.strip import strip
from autograder.suites import checks_of, run
from autograder.table import exercises
from tests.conftest import ROOT
from tests.grading import old_names
from tests.learner.kit import git, publish, tool

pytest_plugins = ["tests.learner.fixtures"]
# What the learner's code of then speaks of, by module.
SPOKEN = {
    "gpt": {"attend": "attention", "norm_1": "attention_norm", "norm_2": "feed_forward_norm", "widen": "up",
            "narrow": "down", "drop": "dropout"},
    "gpt2": {"norm_1": "attention_norm", "norm_2": "feed_forward_norm", "expand": "up", "contract": "down"},
    "kv_cache": {"filled": "stored"}, "transformer": {},
}  # fmt: skip


def source(module):
    return (ROOT / f"solutions/{module}.py").read_text(encoding="utf-8")


@pytest.fixture
def then(upstream, tmp_path):
    """The course with its modules of then, in which the learner's clone was made, and the course of today."""
    git("clone", "-q", str(upstream), str(tmp_path / "then"), cwd=tmp_path)
    for module in SPOKEN:
        (tmp_path / "then/gptlib" / f"{module}.py").write_text(old_names.shown(f"gptlib/{module}.py"))
    publish(tmp_path / "then")
    git("clone", "-q", str(tmp_path / "then"), str(tmp_path / "clone"), cwd=tmp_path)
    git("clone", "-q", str(tmp_path / "then"), str(tmp_path / "today"), cwd=tmp_path)
    for module in SPOKEN:
        (tmp_path / "today/gptlib" / f"{module}.py").write_text(strip(source(module), module))
    publish(tmp_path / "today")
    return tmp_path / "clone", tmp_path / "today"


def test_complete_files_of_then_pass_after_it(then):
    clone, today = then
    for module in SPOKEN:
        (clone / f"gptlib/{module}.py").write_text(old_names.complete(module))
    out = tool(clone, "update", "--source", str(today))
    texts = {module: (clone / f"gptlib/{module}.py").read_text() for module in old_names.MODULES}
    made = old_names.loaded(texts)
    for name, row in exercises().items():
        if row.module in made:
            run(checks_of(name), getattr(made[row.module], row.function))
    for module, words in SPOKEN.items():
        assert not re.search(rf"self\.({'|'.join(words) or '-'})\b", texts[module])
        told = {f"gptlib/{module}.py: your {old} is called {new} now, in your code too." for old, new in words.items()}
        assert {line for line in out.splitlines() if f"{module}.py: your" in line and "called" in line} == told


def test_a_learner_who_wrote_nothing_of_it_is_told_nothing(then):
    clone, today = then
    path = clone / "gptlib/gpt.py"
    change = "import math\n", "import math\nimport functools\n", 1
    path.write_text(path.read_text().replace(*change))
    out = tool(clone, "update", "--source", str(today))
    assert "is called" not in out and "your edits are kept" in out
    assert path.read_text() == strip(source("gpt"), "gpt").replace(*change)


@pytest.mark.parametrize("committed", [False, True])
def test_what_an_update_of_then_left_is_brought_up_later(upstream, clone, committed):
    """That update knew nothing of names: it put the learner's bodies of then into the classes of today."""
    body = "        return self.norm_1(x + self.drop(self.attend(x)))  # mine\r\n"
    stub = '        # YOUR CODE HERE\n        raise NotImplementedError("gpt.Block")\n'
    path = clone / "gptlib/gpt.py"
    text = path.read_text().replace(stub, body.replace("\r\n", "\n"), 1).replace("\n", "\r\n")
    assert body in text
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    if committed:
        git("commit", "-qam", "my work", cwd=clone)
    out = tool(clone, "update", "--source", str(upstream))
    new = body.replace("norm_1", "attention_norm").replace("drop", "dropout").replace("attend(", "attention(")
    assert path.read_bytes() == b"\xef\xbb\xbf" + text.replace(body, new).encode()
    assert "your norm_1 is called attention_norm now" in out and "up to date" in out
    assert next((clone / ".course/backups").glob("*-update/gptlib/gpt.py")).read_bytes()[3:] == text.encode()
    assert "is called" not in tool(clone, "update", "--source", str(upstream))


NEW = "class Block:\n    def __init__(self):\n        self.up = self.attention_norm = 1\n"
OLD = NEW.replace("self.up", "self.widen").replace("attention_norm", "norm_1")


@pytest.mark.parametrize("own, wanted", [
    (OLD + "    def f(self, x):\n        return (self.widen(x), self.norm_1.weight, widen, y.widen, 'widen')\n",
     NEW + "    def f(self, x):\n        return (self.up(x), self.attention_norm.weight, widen, y.widen, 'widen')\n"),
    (OLD + "    def f(self, x):\n        return f'é{self.widen(x)}', lambda y: self.widen(y)\n",
     NEW + "    def f(self, x):\n        return f'é{self.up(x)}', lambda y: self.up(y)\n"),
    (NEW.replace("= 1", "= 1\n        self.widen = 2") + "    def f(self):\n        return self.widen\n", None),
    (NEW + "class Other:\n    def f(self):\n        return self.widen\n", None),
    ("class Block:\n    def __init__(self):\n        (\n", None),
])  # fmt: skip
def test_what_is_changed_and_what_is_not(own, wanted):
    assert renaming.named_as_now(own, "", NEW, "gpt")[0] == (wanted or own)


def test_names_in_strings_change_in_exercises_about_names():
    block = NEW.replace("self.up", "self.up = self.down")
    own = ('def initial_std(name):\n    """Of contract."""\n    return name.endswith(("contract.weight", "x")), '
           '"expand" in name, f"blocks.{name}.norm_1.bias", "we expand it", expand\n')  # fmt: skip
    other = "def mine(name):\n    return 'contract'\n"
    found, _, names = renaming.named_as_now(block + own + other, "", block, "gpt2")
    assert found == block + own.replace("contract.w", "down.w").replace('"expand"', '"up"').replace(
        "norm_1", "attention_norm") + other  # fmt: skip
    assert names == {"contract": "down", "expand": "up", "norm_1": "attention_norm"}
