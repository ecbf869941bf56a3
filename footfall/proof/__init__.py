"""Proof that nothing was lost, doubled or altered, and what to do where something was.

verify.py   holds the collectors' counts, the blocks' outcomes and the store's rows against each other
"""
