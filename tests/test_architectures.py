"""The networks, their layers, and the report's figures about them."""

import pytest
import torch
from ledger import build_network

from kws.errors import RecipeError
from kws.recipe import NETWORK, OPTIMIZER, Recipe
from kws.training.layers import describe


@pytest.mark.parametrize(
    ("arch", "options", "parameters"),
    [
        ("fc", {}, 567_171),
        ("cnn", {}, 346_067),
        ("gru", {}, 70_531),
        ("tc_resnet", {}, 64_739),
        ("tc_resnet", {"width": 0.35}, 7_880),
        ("tc_resnet", {"width": 1.5}, 143_619),
        ("tc_resnet", {"depth": 14}, 135_427),
        ("tc_resnet", {"width": 0.49, "kernel": 5}, 9_117),
        ("tc_resnet", {"front": 16}, 68_211),
        ("ds_cnn", {}, 22_595),
        ("bc_resnet", {}, 8_935),
        ("bc_resnet", {"tau": 3.0}, 53_295),
    ],
)
def test_parameters_are_the_reports_and_the_papers(arch, options, parameters):
    network = build_network(arch, 3, **options)
    assert describe(arch, network).parameters == parameters
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_a_front_gives_the_blocks_as_many_frames_as_the_papers_first_block_does():
    layers = {layer.name: layer for layer in describe("tc_resnet", build_network("tc_resnet", 3, front=4)).layers}
    papers = {layer.name: layer for layer in describe("tc_resnet", build_network("tc_resnet", 3)).layers}
    for name in ("blocks.0.conv2", "blocks.1.conv2", "blocks.2.conv2"):
        assert layers[name].output_size == papers[name].output_size


@pytest.mark.parametrize("kernel", [0, 4, -1])
def test_a_kernel_is_odd(kernel):
    with pytest.raises(RecipeError, match=rf"`kernel` \(={kernel}\) must be odd"):
        Recipe.of(arch="tc_resnet", kernel=kernel)


def test_layers_of_the_convolutional_network_are_the_reports():
    layers = {layer.name: layer for layer in describe("cnn", build_network("cnn", 3)).layers}
    sizes = {name: layer.output_size for name, layer in layers.items()}
    assert sizes == {
        "conv1": (32, 97, 36),
        "pool1": (32, 48, 18),
        "conv2": (16, 44, 14),
        "pool2": (16, 22, 7),
        "fc1": (128,),
        "fc2": (128,),
        "fc3": (3,),
    }
    parameters = {name: layer.parameters for name, layer in layers.items() if layer.parameters}
    assert parameters == {"conv1": 832, "conv2": 12_816, "fc1": 315_520, "fc2": 16_512, "fc3": 387}


def test_layers_of_the_fully_connected_network_are_the_reports():
    assert [layer.parameters for layer in describe("fc", build_network("fc", 3)).layers] == [
        517_248,
        16_512,
        16_512,
        16_512,
        387,
    ]


@pytest.mark.parametrize("arch", tuple(NETWORK.parts))
def test_every_formula_comes_to_its_layers_parameters(arch):
    for layer in describe(arch, build_network(arch, 3)).layers:
        if layer.parameter_formula:
            assert eval(layer.parameter_formula.replace("x", "*")) == layer.parameters


def test_the_ratio_of_parameters_is_1_6389_and_not_the_reports_1_65():
    ratio = describe("fc", build_network("fc", 3)).parameters / describe("cnn", build_network("cnn", 3)).parameters
    assert round(ratio, 4) == 1.6389


def test_the_convolutional_network_takes_11_million_multiply_accumulates():
    assert describe("cnn", build_network("cnn", 3)).multiply_accumulates == 11_010_560


@pytest.mark.parametrize("arch", tuple(NETWORK.parts))
def test_a_network_takes_features_and_returns_logits(arch):
    logits = build_network(arch, 5)(torch.randn(7, 101, 40))
    assert logits.shape == (7, 5)
    assert logits.dtype == torch.float32


@pytest.mark.parametrize("arch", tuple(NETWORK.parts))
def test_a_network_that_keeps_state_outside_its_parameters_says_so(arch):
    """Its minibatches are not computed in micro-batches, since that would change its meaning."""
    assert bool(list(build_network(arch, 3).buffers())) == bool(NETWORK.part(arch).constant("BATCH_STATISTICS"))


@pytest.mark.parametrize("arch", tuple(NETWORK.parts))
def test_each_answer_is_of_one_clip_alone(arch):
    network = build_network(arch, 3).eval()
    clips = torch.randn(5, 101, 40)
    alone = torch.cat([network(clip[None]) for clip in clips])
    torch.testing.assert_close(network(clips), alone, rtol=1e-4, atol=1e-5)


def test_a_depth_that_the_paper_does_not_have_is_refused():
    with pytest.raises(RecipeError, match=r"`depth` \(=9\) must be 8 or 14"):
        Recipe.of(arch="tc_resnet", opt="sgd", depth=9)


def test_feature_maps_can_be_chosen_where_there_are_any():
    assert build_network("cnn", 3, maps=(8, 4)).conv2.weight.shape == (4, 8, 5, 5)
    with pytest.raises(RecipeError, match=r"`channels` \(=8,4\) is not for fc"):
        Recipe.of(arch="fc", opt="sgd", maps=(8, 4))
    with pytest.raises(RecipeError, match="must be 2 numbers, as in --channels 32,16"):
        Recipe.of(arch="cnn", opt="sgd", maps=(8,))


def test_names_and_titles_are_those_of_table_1():
    assert [NETWORK.title(name) for name in tuple(NETWORK.parts)] == [
        "Fully-connected",
        "Convolutional",
        "GRU",
        "TC-ResNet",
        "DS-CNN",
        "BC-ResNet",
    ]
    assert [OPTIMIZER.title(name) for name in tuple(OPTIMIZER.parts)] == ["SGD", "Adam", "AdamW", "Muon"]


def test_a_name_that_is_none_of_ours_is_its_own_title():
    assert NETWORK.title("transformer") == "transformer"
    assert OPTIMIZER.title("lion") == "lion"
