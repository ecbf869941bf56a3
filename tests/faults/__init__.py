"""Kills processes of a real Footfall under load and proves that nothing is lost, doubled or invented.

machine.py    a `footfall up` of its own, and ways to hurt it
events.py     what the clients send: seeded, of every kind that ends differently
clients.py    the load: sends until it has an answer, and writes down every answer
administrator.py  the words about ids beside it
stored.py     what the store and the log hold after a clean stop, read by a process of its own
invariants.py what must be true of answers, store and ledger
rounds.py     one round: a seed draws the load and the faults
"""
