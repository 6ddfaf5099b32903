"""Reports from the results of Sanctuary. Research software: makes no claim about any real patient."""

__version__ = "0.1.0"
