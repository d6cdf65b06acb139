"""The Official: judges plans and signs permits.

What lives here: the verdict by the policy as declared now and by its own ledger of permits, and the only private key.
What must not: workload runtimes, the loop, models. Nobody but the composition root imports it, so that the key cannot
be reached from the loop. It believes what it holds itself (declarations, ledger, clock, stop) before what it is told.
"""
