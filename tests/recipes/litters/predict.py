"""Write a neighbour beside the output, and with --link a symbolic link in its stead."""


def predict(run):
    (run.out / "neighbour.txt").write_text("not asked for\n")
    if run.options.link:
        run.output.symlink_to("/etc/passwd")
    else:
        run.output.write_text("asked for\n")
