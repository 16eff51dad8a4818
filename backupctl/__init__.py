"""The operator's command line: what is older than the stack, proof, restoration."""

__version__ = "0.1.0"
