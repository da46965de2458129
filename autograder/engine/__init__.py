"""The grading engine: learners' code runs in a sandboxed child, the checks run in another, trusted process.

The pipeline, one file a step:

    wire      values as bytes: a JSON tree and raw tensors, every size checked, never pickle
    peer      one end of a conversation: calls, gradients, modules, callables
    sandbox   what a child may do: limits, namespaces, tiers
    child     the zygote and its forks: the only place where learners' code runs
    judge     a child under limits, seen from the trusted side
    question  one grade cell: the ordinary checks on a proxy, and what they say
"""
