"""Exit codes of every command; scripts build on them."""

GOOD, BAD_NEWS, USAGE, INPUT_INVALID, UNREADABLE = 0, 1, 2, 3, 4
EXIT_CODES = {
    GOOD: "done, and the answer is good",
    BAD_NEWS: (
        "the answer is bad news: unhealthy, a guard not armed, a bad chain, a runbook with errors, a refused order; "
        "or `run` failed"
    ),
    USAGE: "the command line is wrong",
    INPUT_INVALID: "something named or written cannot be used: a manifest, a name, a setting",
    UNREADABLE: "the state or something else on this machine cannot be read, or no operator answers",
}
