"""Log in, store out: reads blocks of the event log, enriches, drops repeats, stamps persons, inserts
exactly once.
"""
