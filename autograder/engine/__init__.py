"""The grading engine: learners' code runs in a sandboxed child, the checks run in another, trusted process.

The pipeline, one file a step:

    wire      values as bytes: a JSON tree and raw tensors, every size checked, never pickle
    remote    the other side's objects as they are seen from here; gradients that cross
    peer      one end of a conversation: calls, gradients, modules, callables
    sandbox   what a child may do: limits, namespaces, tiers
    child     the zygote and its forks: the only place where learners' code runs
    judge     a child under limits, seen from the trusted side
    intake    a submission's allowed files and a rebuilt notebook, without running code
    receipts  when a submission was first seen, by our own clock
    question  one grade cell: the ordinary checks on a proxy, and what they say
    records   one immutable verdict a question, named by all that it depends on
    work      questions in one or several processes, any of which may be killed
    commit    a single writer enters verdicts through nbgrader's own converter
    feedback  pages from what was entered, without live scripts
    grading   `python -m autograder grade`: all of it in order
    doctor    `python -m autograder doctor`: what this machine can do
"""
