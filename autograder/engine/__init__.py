"""The grading engine: learners' code runs in a sandboxed child, the checks run in another, trusted process.

The pipeline, one file a step:

    wire      values as bytes: a JSON tree and raw tensors, every size checked, never pickle
    remote    the other side's objects as they are seen from here; gradients that cross
    frames    messages over a socket
    objects   what an end knows of objects by number: its own and the other side's
    peer      one end of a conversation: calls, gradients, callables
    sandbox   what a child may do: limits, namespaces, tiers
    child     the zygote and its forks: the only place where learners' code runs
    judge     a child under limits, seen from the trusted side
    archive   the wanted files of a zip or tar file, without unpacking it
    collect   `python -m autograder collect`: archives become submissions, with receipts
    intake    a submission's allowed files, without running code
    rebuild   a learner's notebook: the assignment's own, with the answers in it
    seen      when a submission was first seen, by our own clock
    verdicts  their names, and how they are written: whole or not at all
    question  one grade cell: the ordinary checks on a proxy, and what they say
    records   one immutable verdict a question, named by all that it depends on
    work      one worker: questions after each other, with a warm zygote
    pool      several workers, here or on a Dask cluster; any of them may be killed
    nbgrader_steps  nbgrader with the course's settings, without what it does again for every learner
    notebook  the notebook that is entered, with verdicts in its outputs
    given_files  what an assignment's folder adds to every graded submission
    gradebook  a learner's grades as rows of nbgrader's gradebook, in one transaction
    commit    a single writer enters verdicts
    feedback  pages from what was entered, without live scripts
    run       one run over one assignment: take in, grade, enter, count
    chapter   how a chapter is graded: questions in a sandbox
    capstone  how a capstone is graded: weights, measured on hidden text
    grading   `python -m autograder grade` and `capstone`: all of it in order
    doctor    `python -m autograder doctor`: what this machine can do
"""
import sys

sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # else every command spends 1.6 s on a grammar
# of IRIs for jsonschema, which no notebook's schema asks for; jsonschema takes it for not installed
