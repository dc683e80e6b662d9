"""The bundled digits, compared with scikit-learn's own loader and with numpy's turns."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from common.config import Digits
from common.data import Arrays, load


def digits(**options) -> Arrays:
    return load(Digits(**options), corpora=None)


def images(data: Arrays) -> np.ndarray:
    return data.train.inputs.reshape(-1, 8, 8).numpy()


def test_they_are_those_of_scikit_learn():
    data, twin = digits(), load_digits()
    assert (data.size, len(data.held_out.targets), data.inputs, data.outputs) == (1437, 360, 64, 10)
    ours = torch.cat([torch.cat(data.train[:1] + data.held_out[:1])]).numpy()
    labels = torch.cat([data.train.targets, data.held_out.targets]).numpy()
    expected = np.column_stack([twin.data / 16, twin.target])
    found = np.column_stack([ours, labels])
    np.testing.assert_array_equal(found[np.lexsort(found.T)], expected[np.lexsort(expected.T)])
    assert (ours.min(), ours.max()) == (0, 1)


def test_types_fit_the_contract():
    batch = digits().batch(seed=0, position=0, count=5)
    assert (batch.inputs.dtype, batch.targets.dtype) == (torch.float32, torch.int64)
    assert (batch.inputs.shape, batch.targets.shape) == ((5, 64), (5,))


def test_the_split_is_stratified_and_without_overlap():
    data = digits()
    train, validation = (np.bincount(part.targets) for part in (data.train, data.held_out))
    assert (abs(validation - (train + validation) / 5) < 1).all()
    assert not {*map(bytes, data.train.inputs.numpy())} & {*map(bytes, data.held_out.inputs.numpy())}


def test_a_right_angle_is_an_exact_anticlockwise_turn():
    np.testing.assert_allclose(images(digits(rotation=90.0)), np.rot90(images(digits()), axes=(1, 2)), atol=1e-6)


def turned(image: np.ndarray, degrees: float) -> np.ndarray:
    """Slow twin: each pixel looks up where it came from, and weighs the four pixels around that place."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    result = np.zeros((8, 8))
    for row, column in np.ndindex(8, 8):
        right, up = column - 3.5, 3.5 - row
        x, y = 3.5 + cos * right + sin * up, 3.5 - (cos * up - sin * right)
        if 0 <= x <= 7 and 0 <= y <= 7:
            left, top = min(int(x), 6), min(int(y), 6)
            across, down = x - left, y - top
            upper, lower = image[top : top + 2, left : left + 2] @ [1 - across, across]
            result[row, column] = upper * (1 - down) + lower * down
    return result


@pytest.mark.parametrize("degrees", [10.0, -33.0, 80.0])
def test_any_angle_is_a_bilinear_turn(degrees):
    for plain, found in zip(images(digits())[:20], images(digits(rotation=degrees)), strict=False):
        np.testing.assert_allclose(found, turned(plain, degrees), atol=1e-6)


def test_a_permutation_moves_the_pixels_of_all_images_alike():
    plain, moved = (part.train.inputs.numpy() for part in (digits(), digits(permutation=0)))
    order = [np.flatnonzero((plain == column[:, None]).all(axis=0)) for column in moved.T]
    assert all(len(found) for found in order)
    np.testing.assert_array_equal(np.sort(plain), np.sort(moved))
    assert not np.array_equal(plain, moved)
    assert not np.array_equal(moved, digits(permutation=1).train.inputs)


def test_classes_keep_their_labels_split_and_outputs():
    some, every = digits(classes=(3, 8)), digits()
    assert some.outputs == 10
    assert set(some.train.targets.tolist()) == {3, 8}
    chosen = torch.isin(every.held_out.targets, torch.tensor([3, 8]))
    assert torch.equal(some.held_out.inputs, every.held_out.inputs[chosen])


@pytest.mark.parametrize("options", [{"rotation": 5.0}, {"permutation": 0}, {"classes": (0, 1)}])
def test_the_digest_tells_the_options_apart(options):
    assert digits(**options).digest == digits(**options).digest != digits().digest


def test_fewer_samples_are_a_fixed_part_of_all():
    some, whole = digits(samples=100), digits()
    assert some.size == 100 and torch.equal(some.held_out.inputs, whole.held_out.inputs)
    assert {*map(bytes, some.train.inputs.numpy())} < {*map(bytes, whole.train.inputs.numpy())}
    assert len(some.train.targets.unique()) == 10
    with pytest.raises(ValueError, match="samples=2000 must be at most 1437"):
        digits(samples=2000)


def test_label_noise_moves_a_share_of_the_training_labels_to_other_classes():
    noisy, clean = digits(label_noise=0.1), digits()
    assert int((noisy.train.targets != clean.train.targets).sum()) == round(0.1 * 1437)
    assert torch.equal(noisy.held_out.targets, clean.held_out.targets)
    assert torch.equal(noisy.train.inputs, clean.train.inputs)
    assert (int(noisy.train.targets.min()), int(noisy.train.targets.max())) == (0, 9)


def test_standardised_pixels_of_the_training_images():
    inputs = digits(standardised=True, samples=500).train.inputs.double()
    deviation = inputs.std(0, correction=0)
    assert inputs.mean(0).abs().max() < 1e-6
    assert torch.all(((deviation - 1).abs() < 1e-5) | (deviation == 0)) and 0 < int((deviation == 0).sum()) < 10


def test_squared_error_has_one_hot_targets():
    squared, classes = digits(loss="mse"), digits()
    assert (squared.loss, classes.loss) == ("mse", "cross_entropy")
    assert squared.train.targets.dtype == torch.float32 and squared.train.targets.shape == (1437, 10)
    assert torch.equal(squared.train.targets.argmax(1), classes.train.targets)
    assert torch.equal(squared.held_out.targets.sum(1), torch.ones(360))


def training_images(**options) -> list[bytes]:
    return sorted(map(bytes, digits(**options).train.inputs.numpy()))


@pytest.mark.parametrize("options", [{}, {"classes": (3, 8)}, {"rotation": 30.0}])
@pytest.mark.parametrize("parts", [2, 5])
def test_parts_hold_each_training_image_once(options, parts):
    split = [training_images(split=(i, parts), **options) for i in range(parts)]
    assert sorted(image for part in split for image in part) == training_images(**options)
    assert max(map(len, split)) - min(map(len, split)) <= 1
    whole = digits(**options)
    for i in range(parts):
        assert torch.equal(digits(split=(i, parts), **options).held_out.inputs, whole.held_out.inputs)


def test_a_part_is_a_random_one_with_its_own_labels():
    part, whole = digits(split=(1, 2)), digits()
    label_of = dict(zip(map(bytes, whole.train.inputs.numpy()), whole.train.targets.tolist(), strict=True))
    assert [label_of[bytes(image)] for image in part.train.inputs.numpy()] == part.train.targets.tolist()
    share = np.bincount(part.train.targets) / np.bincount(whole.train.targets)
    assert (abs(share - 0.5) < 0.15).all() and share.std() > 0
    assert part.digest != digits(split=(0, 2)).digest


def test_samples_are_taken_from_the_part():
    assert {*training_images(split=(0, 3), samples=100)} < {*training_images(split=(0, 3))}
    with pytest.raises(ValueError, match="samples=480 must be at most 479"):
        digits(split=(2, 3), samples=480)
    with pytest.raises(ValueError, match=r"split=\(0, 1438\) needs 1438 training images, but these digits have 1437"):
        digits(split=(0, 1438))


def test_parts_are_standardised_alike():
    parts = [digits(split=(i, 2), standardised=True) for i in range(2)]
    assert torch.equal(*(part.held_out.inputs for part in parts))
    assert torch.equal(parts[0].held_out.inputs, digits(standardised=True).held_out.inputs)
