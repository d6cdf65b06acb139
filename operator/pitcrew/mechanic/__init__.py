"""The Mechanic: the only part that changes workloads, and only with a permit that it verified itself.

What lives here: checking permits with the Official's public key, the ledger of spent ones, the order of spending and
acting. What must not: deciding, policies, the private key. It holds the changing half of the runtimes (`Actuator`).
"""
