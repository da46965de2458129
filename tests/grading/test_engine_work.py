"""Running questions: recorded once, run again after the machine fails, given to a person when runs disagree."""
import contextlib
import os
import signal
from pathlib import Path

import pytest

from autograder.engine import pool, work
from autograder.engine import question as questions
from autograder.engine.judge import Session
from autograder.engine.question import Outcome, Question, grade
from autograder.engine.records import Records, judging, key_of
from autograder.engine.sandbox import PACKAGE, TIERS, EngineFailed, Limits, Refused, Zygote
from autograder.engine.verdicts import GRADED, HUMAN, RETRY, ZERO
from autograder.table import chapters
from tests.conftest import ROOT
from tests.grading.engine_kit import REFERENCE, SMALL, zygote

HIDDEN = ROOT / "autograder" / "hidden"


def setting(tmp_path, tier="T0"):
    return work.Setting(tier, SMALL, "a secret", str(HIDDEN), str(tmp_path))


def question(name="attention.causal_mask", suite="visible", files=REFERENCE, **other):
    made = Question(name, suite, files, "")
    key = key_of(made, SMALL, "T0", other.pop("secret", "a secret"), HIDDEN)
    return Question(name, suite, files, key, **other)


def test_the_key_depends_on_everything_that_matters():
    keys = {
        question().key, question(suite="hidden").key, question("attention.attend").key, question(secret="another").key,
        question(files=REFERENCE | {"gptlib/attention.py": "x"}).key,
        key_of(question(), Limits(), "T0", "a secret", HIDDEN), key_of(question(), SMALL, "T1", "a secret", HIDDEN),
    }  # fmt: skip
    assert len(keys) == 7 and question().key == question().key


def test_what_judges_is_all_that_the_engine_and_its_checks_are_made_of():
    names = {path.relative_to(PACKAGE).as_posix() for path in judging()}
    modules = [chapter.module for chapter in chapters().values()]
    assert names >= {"calls.py", "checks.py", "given.txt", "inputs.py", "learner/magics.py", "policies.py", "runner.py"}
    assert names >= {f"engine/{name}.py" for name in ("child", "judge", "peer", "question", "wire", "work")}
    for kind in ("visible/{}.py", "exercises/{}.toml", "fingerprints/{}.jsonl"):
        assert names >= {kind.format(module) for module in modules}
    assert not [name for name in names if name.startswith(("mistakes/", "review/", "learner/update"))]


def run(tmp_path, *asked, workers=1, tier="T0"):
    """The rows of some questions, each the task of a learner of its own."""
    tasks = [work.Task(f"learner{i}", (q,)) for i, q in enumerate(asked)]
    return [row for _, rows in pool.run_all(tasks, setting(tmp_path, tier), workers) for row in rows]


def test_what_is_recorded_is_not_run_again(tmp_path, monkeypatch):
    (row,) = run(tmp_path, question())
    assert row["verdict"] == GRADED and row["passed"] and row["tier"] == "T0"
    monkeypatch.setattr(work.Worker, "run", lambda *_: pytest.fail("ran again"))
    assert run(tmp_path, question()) == [row]
    monkeypatch.setattr(pool, "WorkerProcess", lambda *_: pytest.fail("started a worker"))
    assert run(tmp_path, question(), workers=2) == [row]
    Records(tmp_path).path(row["key"]).write_text("{")
    with pytest.raises(pytest.fail.Exception):
        run(tmp_path, question())


def test_two_runs_at_once_that_disagree_go_to_a_person(tmp_path):
    records, asked = Records(tmp_path), question()
    right, wrong = Outcome(GRADED, True, "", "", 0.0), Outcome(GRADED, False, "", "wrong", 0.0)
    for outcome, wanted in ((wrong, GRADED), (wrong, GRADED), (right, HUMAN), (right, HUMAN)):
        row = records.put(asked.key, asked, "T0", outcome)
        assert row["verdict"] == wanted and not row["passed"] and records.get(asked.key) == row


@pytest.mark.parametrize("left", [b"", b"{", b"\0" * 400, b"\xff", b"null", b'{"key": "another"}', "half"])
def test_what_a_power_cut_left_of_a_record_counts_as_none(tmp_path, left):
    records, asked = Records(tmp_path), question()
    row = records.put(asked.key, asked, "T0", Outcome(GRADED, True, "said", "", 0.0))
    place = records.path(asked.key)
    whole = place.read_bytes()
    place.write_bytes(whole[: len(whole) // 2] if left == "half" else left)
    assert records.get(asked.key) is None
    assert records.put(asked.key, asked, "T0", Outcome(GRADED, True, "said", "", 0.0)) == row == records.get(asked.key)
    assert place.read_bytes() == whole


def test_only_what_would_come_out_the_same_again_may_be_lost_with_the_power(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    for verdict, lasts in ((GRADED, 0), (ZERO, 0), (HUMAN, 1)):
        asked = Question("m.f", "visible", {}, f"key of {verdict}")
        Records(tmp_path).put(asked.key, asked, "T0", Outcome(verdict, False, "", "", 0.0))
        assert len(synced) == lasts


def test_a_lost_zygote_is_replaced_and_nobody_charged(tmp_path):
    worker = work.Worker(setting(tmp_path))
    worker.zygote = Zygote("T0")
    os.kill(worker.zygote.process.pid, signal.SIGKILL)
    worker.zygote.process.wait()
    assert worker.run(question())["passed"]
    worker.close()


@pytest.mark.parametrize("when", ["load", "function", "wait", "close"])
def test_a_zygote_lost_in_the_middle_of_a_question_costs_nobody_a_point(tmp_path, monkeypatch, when):
    """Whatever the judge is at: no check, and nothing that names learners' errors, takes it for the learner's."""
    killed, whole = [], getattr(Session, when)

    def kill_first(session, *args, **kwargs):
        if not killed:
            killed.append(os.kill(session.zygote.process.pid, signal.SIGKILL))
            session.zygote.process.wait()
        return whole(session, *args, **kwargs)

    monkeypatch.setattr(Session, when, kill_first)
    for asked in (question(), question("attention.attend", "hidden")):
        killed.clear()
        worker = work.Worker(setting(tmp_path))
        row = worker.run(asked)
        assert (row["verdict"], row["passed"]) == (GRADED, True), row["message"]
        worker.close()
        assert killed


def test_a_machine_that_keeps_failing_is_no_verdict(tmp_path, monkeypatch):
    def fail(*_):
        raise EngineFailed("lost")

    monkeypatch.setattr(work.Worker, "once", fail)
    (row,) = run(tmp_path, question())
    assert row["verdict"] == RETRY and Records(tmp_path).get(row["key"]) is None


def test_runs_that_disagree_go_to_a_person_and_those_that_agree_count(tmp_path, monkeypatch):
    def outcome(verdict, passed):
        return Outcome(verdict, passed, "", "" if passed else "stopped", 0.0)

    for second, wanted in ((outcome(GRADED, True), HUMAN), (outcome(ZERO, False), ZERO)):
        runs = iter([outcome(ZERO, False), second])
        monkeypatch.setattr(work.Worker, "once", lambda *_, runs=runs: next(runs))
        row = work.Worker(setting(tmp_path / wanted)).run(question())
        assert row["verdict"] == wanted and not row["passed"]


NAMES = ("attention.split_heads", "attention.merge_heads", "attention.causal_mask")


def test_several_workers_give_what_one_gives_also_when_they_are_killed(tmp_path, monkeypatch):
    """Each of three workers is killed with a task at hand, one of them half-way through a line."""
    asked = [question(name, suite) for name in NAMES for suite in ("visible", "hidden")]
    killed, give = [], pool.WorkerProcess.give

    def give_and_kill(worker, task):
        give(worker, task)
        if len(killed) < 3 and len(worker.tasks) == 1:
            killed.append(worker)
            worker.rest = b"[{" * (len(killed) == 2)
            worker.process.kill()

    monkeypatch.setattr(pool.WorkerProcess, "give", give_and_kill)
    rows = run(tmp_path, *asked, workers=2)
    assert {row["key"]: row["passed"] for row in rows} == {q.key: True for q in asked} and len(rows) == len(asked)
    assert len(killed) == 3 and all(not os.path.exists(worker.folder) for worker in killed)


def test_a_submission_that_always_costs_its_worker_is_no_verdict_and_stops_nobody(tmp_path, monkeypatch):
    unlucky, other = question(NAMES[0]), question(NAMES[1])
    give = pool.WorkerProcess.give

    def give_or_kill(worker, task):
        give(worker, task)
        if unlucky in task.questions:
            worker.process.kill()

    monkeypatch.setattr(pool, "AHEAD", 1)
    monkeypatch.setattr(pool.WorkerProcess, "give", give_or_kill)
    rows = {row["key"]: row["verdict"] for row in run(tmp_path, unlucky, other, workers=2)}
    assert rows == {unlucky.key: RETRY, other.key: GRADED}


def test_a_worker_ends_with_whoever_started_it(tmp_path):
    worker = pool.WorkerProcess(setting(tmp_path))
    worker.give(work.Task("ada", (question(files=REFERENCE | {"gptlib/attention.py": "while True: pass"}),)))
    worker.stdin.close()  # what a kill -9 of the other side does
    assert worker.process.wait(20) == 0 and not os.path.exists(worker.folder)
    worker.stdout.close()


def test_a_worker_with_another_version_does_nothing(tmp_path):
    with pytest.raises(pool.Stopped, match="another version"):
        list(pool.in_processes([work.Task("ada", (question(secret="other"),))], setting(tmp_path), 2))


def test_tasks_are_taken_only_when_there_is_room(tmp_path):
    """However many there are, only a few are in memory."""
    taken, most = 0, 0

    def tasks():
        nonlocal taken
        for i in range(12):
            taken += 1
            yield work.Task(f"learner{i}", (question(NAMES[i % 3]),))

    for done, _ in enumerate(pool.run_all(tasks(), setting(tmp_path), 2)):
        most = max(most, taken - done)
    assert taken == 12 and most <= 2 * pool.AHEAD + 1


def test_tasks_and_settings_cross_as_they_are(tmp_path):
    given = {"gptlib/__init__.py": "", "gptlib/data.py": "\udcff"}
    one = work.Setting("T0", SMALL, "s\n", "h", str(tmp_path), given)
    task = work.Task("ada", (Question("a.b", "hidden", given | {"gptlib/a.py": "1"}, "k", (("a.b", "x\n"),)),))
    line = task.line(given)
    assert work.Setting.read(one.line()) == one and work.Task.read(line, given) == task
    assert b"data.py" not in line and line.count(b"\n") == 1


def test_other_inputs_for_other_sources(tmp_path):
    """Inputs come from the secret and the question's key: answers to one submission's inputs are no use to another."""
    from autograder.engine.question import _inputs
    from autograder.suites import checks_of, generator_for

    check = checks_of("attention.attend", "hidden")[0]
    states = []
    for secret, key in (("s", "a"), ("s", "a"), ("s", "b"), ("t", "a")):
        with _inputs(secret, key, str(HIDDEN)):
            states.append(bytes(generator_for(check).get_state().tolist()))
    assert states[0] == states[1] and len(set(states)) == 3


def test_implement_cells_fill_in_what_the_file_leaves_empty():
    stubs = {f"gptlib/{p.name}": p.read_text("utf-8") for p in (ROOT / "gptlib").glob("*.py")}
    right = "def merge_heads(x):\n    return x.transpose(-3, -2).flatten(-2)\n"
    wrong = "def merge_heads(x):\n    return x\n"
    for cells, passed in (((right,), True), ((right, wrong), True), ((wrong, right), False), (("def (",), False)):
        pairs = tuple(("attention.merge_heads", text) for text in cells)
        asked = Question("attention.merge_heads", "visible", stubs, "k", pairs)
        assert grade(zygote("T0"), asked, SMALL, "s", str(HIDDEN)).passed == passed, cells


def test_a_tier_that_is_refused_says_why(monkeypatch):
    from autograder.engine import sandbox

    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    with pytest.raises(Refused, match="bubblewrap is not installed"):
        Zygote("T1")
    monkeypatch.setattr(sandbox, "command", lambda *_: ["sh", "-c", "echo no namespaces here >&2; exit 1"])
    with pytest.raises(Refused, match="no namespaces here"):
        Zygote("T1")
    with pytest.raises(ValueError, match="tier must be"):
        Zygote("T9")


def test_a_receipt_is_the_first_time_that_exactly_these_files_were_seen(tmp_path):
    from autograder.engine import seen

    first = seen.stamp(tmp_path, "05_attention", "ada", "a1")
    place = tmp_path / "private" / "engine" / "seen" / "05_attention" / "ada.json"
    place.write_text(place.read_text().replace(first, "2026-01-01T00:00:00+00:00"))
    assert seen.stamp(tmp_path, "05_attention", "ada", "a1") == "2026-01-01T00:00:00+00:00"
    assert seen.stamp(tmp_path, "05_attention", "ada", "b2") >= first
    place.write_text("half of a fi")
    assert seen.stamp(tmp_path, "05_attention", "ada", "a1") >= first


def test_one_child_serves_a_submission_until_a_question_fails(tmp_path):
    """What passes may share a child; what does not is run alone, and so is what follows."""
    from autograder.engine.question import KeptChild

    hidden, kept_child, limits = str(ROOT / "autograder" / "hidden"), KeptChild(), Limits(cpu=5, wall=20)
    text = REFERENCE["gptlib/attention.py"]

    def asked(name, files):
        return grade(zygote("T1"), Question(name, "visible", files, "k"), limits, "s", hidden, kept_child)

    assert asked("attention.causal_mask", REFERENCE).passed
    kept = kept_child.session
    assert kept and asked("attention.split_heads", dict(REFERENCE)).passed and kept_child.session is kept
    other = REFERENCE | {"gptlib/attention.py": text + "\nimport os\nfirst = not os.path.exists('seen')\n"
                         "open('seen', 'w').close()\n_merge = merge_heads\n"
                         "def merge_heads(x): return _merge(x) if first else 0 * _merge(x)\n"}  # fmt: skip
    assert asked("attention.split_heads", other).passed and kept_child.session is not kept
    assert asked("attention.merge_heads", other).passed  # right in a fresh child, wrong in one that was used before
    wrong = REFERENCE | {"gptlib/attention.py": text.replace(".transpose(-2, -1) / math", ".transpose(-2, -1) * math")}
    assert asked("attention.causal_mask", wrong).passed
    failed = asked("attention.attend", wrong)
    assert failed.verdict == GRADED and not failed.passed and kept_child.session is None
    killer = REFERENCE | {"gptlib/attention.py": text + "\nimport os\nif os.path.exists('seen'): os._exit(1)\n"
                          "open('seen', 'w').close()\n"}  # fmt: skip
    assert asked("attention.causal_mask", killer).passed and asked("attention.attend", killer).passed
    kept_child.close()


LIBRARY = {
    "gptlib/__init__.py": "", "gptlib/first.py": "VALUE = 1\n", "gptlib/deep/__init__.py": "from . import part\n",
    "gptlib/deep/part.py": "VALUE = 10\n", "gptlib/m.py": "raise ImportError\n",
}  # fmt: skip
ASKS = """
import importlib, os
def value():
    from gptlib import deep, first
    return first.VALUE + deep.part.VALUE
def write(name):
    with open(name, "w") as file:
        file.write("VALUE = 1000")
def there():
    return sorted(os.listdir("gptlib"))
"""


@pytest.mark.parametrize("tier", TIERS)
def test_given_files_are_in_the_zygote_and_those_of_a_submission_count(tier):
    with contextlib.closing(Zygote(tier, LIBRARY)) as own:
        def asked(files, name="value", *args):
            with contextlib.closing(Session(own, SMALL)) as session:
                session.load(files, f"m.{name}")
                return session.exercise(*args)

        given = LIBRARY | {"gptlib/m.py": ASKS}
        linked = tier == "T1"
        assert own.to_send(given) == (({"gptlib/m.py": ASKS}, True) if linked else (given, False))
        assert asked(given) == 11
        other = given | {"gptlib/first.py": "VALUE = 2\n", "gptlib/new.py": "", "helper/x.py": ""}
        assert own.to_send(other)[1] == linked and asked(other) == 12, "compiled code of the given file does not count"
        deep = given | {"gptlib/deep/part.py": "VALUE = 20\n"}
        assert own.to_send(deep) == (deep, False) and asked(deep) == 21
        fewer = {name: text for name, text in given.items() if name != "gptlib/first.py"}
        assert own.to_send(fewer) == (fewer, False) and "first.py" not in asked(fewer, "there")
        assert asked(given) == 11, "what other children had is not seen"
        for name in ("gptlib/first.py", "gptlib/deep/part.py", "gptlib/deep/new.py"):
            with pytest.raises(OSError, match="Read-only") if linked else contextlib.nullcontext():
                asked(given, "write", name)
        assert asked(given) == 11, "what one child wrote, the next one reads"


def test_a_zygotes_memory_lies_in_large_pages():
    """Where the system can: each page of a fork's memory costs time when it begins and when it ends."""
    lines = Path(f"/proc/{zygote('T0').process.pid}/smaps_rollup").read_text().splitlines()[1:]
    counts = {line.split()[0]: int(line.split()[1]) for line in lines}
    if not counts["AnonHugePages:"]:
        pytest.skip("this kernel makes no large pages on demand, or has no room for them")
    assert counts["AnonHugePages:"] <= counts["Anonymous:"]


@pytest.mark.parametrize("again, verdict", [(True, GRADED), (False, HUMAN)])
def test_code_that_chance_decides_goes_to_a_person(monkeypatch, again, verdict):
    """Wrong in a child that was used before, right in a fresh one: it has to be right in another fresh one too."""
    runs = iter([Outcome(GRADED, passed, "", "" if passed else "wrong", 0.0) for passed in (False, True, again)])
    monkeypatch.setattr(questions, "run_in", lambda *_: next(runs))
    monkeypatch.setattr(questions, "Session", lambda *_: None)
    monkeypatch.setattr(questions.KeptChild, "take", lambda *_: object())
    found = grade(None, question(), SMALL, "s", str(HIDDEN), questions.KeptChild())
    assert (found.verdict, found.passed) == (verdict, again) and next(runs, None) is None
    assert again or "different results" in found.message
