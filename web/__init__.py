"""The console: a page for browsers, of plain ES modules without a build step. The query API serves it.

`app` holds what is ours, `vendor` what others made, as they published it (vendor/README.md).
"""
