"""Versions of the workspace's tables, for Alembic: the same on both engines, each in one transaction.

A new one is a further file in `versions/`, `v0003_what_it_does.py`, of the revision 0003 after 0002. What is
there is never changed. During an upgrade processes of the version before still run: add, and remove nothing
that they use.
"""
