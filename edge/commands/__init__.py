"""The subcommands of `earmark`, a module each: `add_parser(subparsers)` and `run(args) -> int`.

`edge.cli` imports only the one that is asked for.
"""
