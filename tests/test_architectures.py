"""The networks, their layers, and the report's figures about them."""

import pytest
import torch
from ledger import build_network

from kws.errors import RecipeError
from kws.recipe import NETWORK, OPTIMIZER, Recipe
from kws.training.layers import describe


@pytest.mark.parametrize(("arch", "parameters"), [("fc", 567_171), ("cnn", 346_067)])
def test_parameters_are_the_reports(arch, parameters):
    assert describe(arch, build_network(arch, 3)).parameters == parameters
    assert sum(p.numel() for p in build_network(arch, 3).parameters()) == parameters


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
def test_a_network_keeps_no_state_outside_its_parameters(arch):
    assert not list(build_network(arch, 3).buffers())


def test_feature_maps_can_be_chosen_where_there_are_any():
    assert build_network("cnn", 3, maps=(8, 4)).conv2.weight.shape == (4, 8, 5, 5)
    with pytest.raises(RecipeError, match=r"`channels` \(=8,4\) is not for fc"):
        Recipe.of(arch="fc", opt="sgd", maps=(8, 4))
    with pytest.raises(RecipeError, match="must be 2 numbers, as in --channels 32,16"):
        Recipe.of(arch="cnn", opt="sgd", maps=(8,))


def test_names_and_titles_are_those_of_table_1():
    assert [NETWORK.title(name) for name in tuple(NETWORK.parts)] == ["Fully-connected", "Convolutional"]
    assert [OPTIMIZER.title(name) for name in tuple(OPTIMIZER.parts)] == ["SGD", "Adam"]


def test_a_name_that_is_none_of_ours_is_its_own_title():
    assert NETWORK.title("transformer") == "transformer"
    assert OPTIMIZER.title("lion") == "lion"
