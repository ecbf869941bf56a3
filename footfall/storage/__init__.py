"""Where events rest: the one place that knows tables, columns and how values are written into them."""
