"""What Footfall's services share, and the command line that composes them."""

__version__ = "0.1.0"
