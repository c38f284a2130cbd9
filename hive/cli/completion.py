"""Installs shell completion for the user's shell."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from hive.errors import RequestError

PLACES = {
    "bash": ".local/share/bash-completion/completions/hive",
    "fish": ".config/fish/completions/hive.fish",
    "zsh": ".zfunc/_hive",
}
# bash would cut NAME@VERSION at the @
BASH = "COMP_WORDBREAKS=${COMP_WORDBREAKS//@}\n"


def install_completion(app: click.Command) -> str:
    """Write the completion script where the shell looks for it; what to tell the user. Raises RequestError."""
    shell = Path(os.environ.get("SHELL", "bash")).name
    completer = get_completion_class(shell)
    if completer is None or shell not in PLACES:
        raise RequestError(
            f"no completion for {shell!r}", f"known are {', '.join(PLACES)}", "SHELL=bash hive --install-completion"
        )
    target = Path.home() / PLACES[shell]
    target.parent.mkdir(parents=True, exist_ok=True)
    script = completer(app, {}, "hive", "_HIVE_COMPLETE").source()
    target.write_text(BASH + script if shell == "bash" else script)
    extra = "; put 'fpath+=~/.zfunc; autoload -Uz compinit && compinit' in ~/.zshrc" if shell == "zsh" else ""
    return f"completion for {shell} is in {target}; it works in the next shell{extra}"
