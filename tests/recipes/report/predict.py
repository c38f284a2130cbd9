"""Count the letters and the lines of a text: letters.csv and pages/lines.csv in a folder, or letters.csv alone."""


def predict(run):
    [source] = run.inputs
    text = source.read_text()
    if run.output.suffix == ".csv":
        run.output.write_text(f"{len(text)}\n")
        return
    (run.output / "pages").mkdir(parents=True)
    (run.output / "letters.csv").write_text(f"{len(text)}\n")
    (run.output / "pages" / "lines.csv").write_text(f"{len(text.splitlines())}\n")


def sample(run):
    run.output.write_text("one\ntwo\n")
