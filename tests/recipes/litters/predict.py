"""Write a neighbour beside the output, and with --link a symbolic link in its stead. An empty input is refused."""

from hive_runner.errors import InputError


def predict(run):
    if not run.inputs[0].read_text():
        raise InputError("the input is empty", why=f"nothing in {run.inputs[0]}", hint=f"write to {run.inputs[0]}")
    (run.out / "neighbour.txt").write_text("not asked for\n")
    if run.options.link:
        run.output.symlink_to("/etc/passwd")
    else:
        run.output.write_text("asked for\n")
