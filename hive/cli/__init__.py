"""The command line: parse, call the service, render. A command's module is imported when the command is used."""

from __future__ import annotations

import importlib
import os
import sys
from typing import NoReturn

import click

from hive import __version__
from hive.errors import DamagedDatabase, HiveError

# command -> module:attribute, in the order in which help shows them
COMMANDS = {
    "install": "install:install",
    "remove": "packages:remove",
    "autoremove": "packages:autoremove",
    "upgrade": "upgrade:upgrade",
    "outdated": "upgrade:outdated",
    "pin": "upgrade:pin",
    "unpin": "upgrade:unpin",
    "list": "packages:list_",
    "search": "packages:search",
    "info": "packages:info",
    "run": "run:run",
    "verify": "packages:verify",
    "repair": "upkeep:repair",
    "rebuild": "upkeep:rebuild",
    "history": "upkeep:history",
    "rollback": "upkeep:rollback",
    "gc": "upkeep:gc",
    "du": "upkeep:du",
    "source": "source:source",
    "new": "recipe:new",
    "recipe": "recipe:recipe",
    "export": "bundle:export",
    "import": "bundle:import_",
    "status": "status:status",
    "monitor": "status:monitor",
    "queue": "queue:queue",
    "logs": "queue:logs",
    "runners": "runners:runners",
    "scale": "runners:scale",
    "spawn": "runners:spawn",
    "kill": "runners:kill",
    "start": "runners:start",
    "stop": "runners:stop",
    "restart": "runners:restart",
    "init": "system:init",
    "clean": "status:clean",
    "lock": "project:lock",
    "sync": "project:sync",
    "doctor": "system:doctor",
    "config": "system:config",
}


class LazyGroup(click.Group):
    """A group that imports a command's module when that command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(f"hive.cli.{module}"), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            from hive.suggest import did_you_mean

            why, hint = did_you_mean(args[0], list(COMMANDS), "see: hive --help")
            raise click.UsageError(f"there is no command {args[0]!r}\n  why: {why}\n  try: {hint}")
        return super().resolve_command(ctx, args)


def _install_completion(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        from hive.cli.completion import install_completion

        click.echo(install_completion(app))
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", message="hive %(version)s")
@click.option("--install-completion", is_flag=True, is_eager=True, expose_value=False, callback=_install_completion,
              help="Complete commands, models and jobs in your shell.")  # fmt: skip
def app() -> None:
    """apt for trained models: train, install and run them, each by one command."""


def main() -> NoReturn:
    """Run the command line and end with the exit code that the outcome stands for."""
    try:
        code = _run()
    except HiveError as error:
        _tell(error)
        _end(error.exit_code)
    except click.UsageError as error:
        usage = f"{error.ctx.get_usage()}\n" if error.ctx else ""
        click.echo(f"{usage}error: {error.format_message()}", err=True)
        _end(2)
    except click.ClickException as error:
        error.show()
        _end(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _end(130)
    except BrokenPipeError:
        _end_unheard()
    except SystemExit:
        if "_HIVE_COMPLETE" in os.environ:
            raise
        _end_unheard()  # how click says the same
    except Exception as error:
        if _terminal_is_gone():
            _end(129)  # as a shell says of what SIGHUP ended
        _end_as_bug(error)
    _end(code if isinstance(code, int) else 0)  # taking the interpreter apart takes longer than many commands


def _run() -> object:
    """The command; once more if the database had to be mended first."""
    try:
        return app.main(prog_name=_program_name(), standalone_mode=False)
    except DamagedDatabase as error:
        _mend(error)
        return app.main(prog_name=_program_name(), standalone_mode=False)


def _mend(error: DamagedDatabase) -> None:
    from hive.console import say
    from hive.service import Hive

    rebuilt = Hive.open().mend()
    if rebuilt is None:  # another command was first
        return
    names = ", ".join(package.name for package in rebuilt.packages) or "nothing"
    say(f"note: {error.message} ({error.why})")
    say(f"  made again from the store: {names} installed; what was queued must be asked for again")
    if rebuilt.kept:
        say(f"  the damaged files are kept in {rebuilt.kept}")


def _program_name() -> str:
    name = os.path.basename(sys.argv[0])
    return name if name in ("hive", "hive-control") else "hive"


def _tell(error: HiveError) -> None:
    from hive.console import render_error, wants_json

    click.echo(render_error(error, as_json=wants_json()), err=True)


def _end(code: int) -> NoReturn:
    """Leave with `code`, whatever state the streams are in."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        pass
    os._exit(code)


def _end_unheard() -> NoReturn:
    """The reader of stdout has gone, as `head` does: nothing more to say to it, and nothing went wrong."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    _end(0)


def _terminal_is_gone() -> bool:
    """Whether the window that this runs in was closed: whatever failed, there is nobody to tell of it."""
    import errno
    import termios

    for stream in (0, 1, 2):
        try:
            termios.tcgetattr(stream)
        except termios.error as error:
            if error.args[0] == errno.EIO:
                return True
    return False


def _end_as_bug(error: Exception) -> NoReturn:
    """Something that hive did not foresee: the traceback goes to a file, not to the user."""
    import tempfile
    import traceback

    text = "".join(traceback.format_exception(error))
    with tempfile.NamedTemporaryFile("w", prefix="hive-bug-", suffix=".log", delete=False) as file:
        file.write(f"hive {__version__}, Python {sys.version}\n{' '.join(sys.argv)}\n\n{text}")
    _tell(HiveError("this is a bug in hive", f"{type(error).__name__}: {error}", f"please report it with {file.name}"))
    _end(70)
