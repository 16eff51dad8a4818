"""The commands: options in, exit code out; what they do is in the modules beside this package."""
