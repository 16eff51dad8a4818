"""Local AWS: start MiniStack and deploy the unchanged Pulumi program into it.

`ministack` runs the emulator, `stack_config` reads the stack's configuration, `engine` runs the
program and `provider` creates what it declares; `redeployment`
runs it again over what is there.
"""
