"""Make shapes of sentences: `predict` for `hive run`, `load` for `hive.load`, `sample` for `hive run --sample`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from hive_recipe_shape_corpus.export import SUFFIXES, turntable, write
from hive_runner.errors import InputError
from hive_runner.export import load_weights

from .concepts import Concepts
from .encoder import SentenceEncoder
from .make import Maker

if TYPE_CHECKING:
    from hive_recipe_shape_corpus.mesh import Mesh
    from hive_runner.run import Run

MOST_SHAPES = 64
SAMPLE = "a low round wooden table with three legs\n"


class Model:
    """Sentences to meshes, in one object."""

    def __init__(self, artifact: Path) -> None:
        tensors, config = load_weights(artifact)
        self.maker = Maker(tensors, config)
        self.encoder = SentenceEncoder()
        self.concepts = Concepts(config["concept_names"], tensors["concepts"], float(config["bound"]))

    def make(
        self, sentence: str, seed: int = 0, steps: int = 25, guidance: float = 0.0, faces: int = 0, candidates: int = 0
    ) -> Mesh:
        """A closed, coloured mesh, longest side 1, z up. guidance, candidates 0: what was chosen in training."""
        said = self.encoder.encode([sentence])
        [field] = self.maker.fields(said, [seed], steps, guidance or None, candidates or None)
        return self.maker.mesh(field, faces)


def load(artifact: Path, threads: int = 1, device: str = "cpu") -> Model:
    torch.set_num_threads(threads)
    return Model(artifact)


def predict(run: Run) -> None:
    output = run.output if run.output.suffix else run.output.with_suffix(".glb")
    if output.suffix.lower() not in SUFFIXES:
        raise InputError(f"cannot write {output.name}", f"a shape is written as {', '.join(SUFFIXES)}")
    prompts = [line for source in run.inputs for line in read_prompts(source)]
    options = run.options
    total = len(prompts) * options.count
    if total > MOST_SHAPES:
        raise InputError(
            f"{total} shapes are too many",
            f"at most {MOST_SHAPES} are made at once",
            "give fewer lines, or a lower --count",
        )
    model = Model(run.artifact)
    run.phase("make", total=total)
    made: list[dict[str, Any]] = []
    for prompt in prompts:
        near, similarity = model.concepts.nearest(model.encoder.encode([prompt]).sentence[0])
        for number in range(options.count):
            seed = options.seed + number
            mesh = model.make(prompt, seed, options.steps, options.guidance, options.faces, options.candidates)
            path = numbered(output, len(made) + 1)
            write(mesh, path)
            turntable(mesh, path.with_name(f"{path.stem}-views.png"))
            facts = {
                "prompt": prompt, "seed": seed, "guidance": options.guidance or model.maker.guidance,
                "candidates": options.candidates or model.maker.candidates, "steps": options.steps,
                "faces": len(mesh.faces), "nearest_known": near, "similarity": similarity,
                "warnings": warnings(prompt, near, similarity, model.concepts.bound),
            }  # fmt: skip
            path.with_suffix(".json").write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", "utf-8")
            made.append({"file": path.name, **facts})
            run.progress(len(made))
    run.summary.update(summary(made))


def read_prompts(source: Path) -> list[str]:
    """The lines of a text file that are not empty. Raises InputError."""
    try:
        text = source.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{source.name} is no text", str(error), "a text file in UTF-8, one sentence in a line"
        ) from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise InputError(f"{source.name} is empty", "there is nothing to make", 'say what, such as "a red chair"')
    return lines


def numbered(output: Path, number: int) -> Path:
    """chair.glb, chair-2.glb, chair-3.glb, ..."""
    return output if number == 1 else output.with_name(f"{output.stem}-{number}{output.suffix}")


def warnings(prompt: str, near: str, similarity: float, bound: float) -> list[str]:
    if similarity >= bound:
        return []
    return [f'"{prompt}" is unlike all that was learned (nearest: "{near}", {similarity:.2f} < {bound:.2f}): a guess']


def summary(made: list[dict[str, Any]]) -> dict[str, Any]:
    first = made[0]
    found = {"shapes": len(made), "nearest known": first["nearest_known"], "similarity": first["similarity"]}
    return found | {
        "faces": first["faces"],
        "warnings": list(dict.fromkeys(w for one in made for w in one["warnings"])),
    }


def sample(run: Run) -> None:
    """A sentence."""
    run.output.write_text(SAMPLE, "utf-8")
