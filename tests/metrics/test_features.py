import numpy as np
import pytest
import torch

from unmist.base.faults import BadInput
from unmist.data.opening import open_data
from unmist.metrics.classifier import Lessons, train_classifier
from unmist.metrics.features import (
    accuracy,
    cluster,
    extract,
    learn_features,
    restore_features,
)
from unmist.metrics.frechet import frechet_score
from unmist.run.weights import load_weights, write_weights

BRIEF = Lessons(passes=2, batch=32)


def _bars(count, seed, shape=(1, 16, 16)):
    """Noise with a bright bar along one of the axes, by class; its place is random."""
    draw = np.random.default_rng(seed)
    values = draw.integers(0, 120, (count, *shape)).astype(np.uint8)
    labels = draw.integers(0, len(shape) - 1, count)
    for row, label in zip(values, labels, strict=True):
        across = np.moveaxis(row, 1 + label, 1)
        across[:, draw.integers(across.shape[1])] += 130
    return values, labels


@pytest.fixture(scope="module")
def taught():
    return learn_features(*_bars(400, 0), lessons=Lessons(passes=3, batch=32))


def test_the_classifier_tells_the_classes_apart(taught):
    """Fails if it does not learn: bars along two axes, places it must ignore."""
    values, labels = _bars(200, 1)
    assert accuracy(taught, values, labels) > 0.97


def test_probabilities_come_from_pictures_and_from_features(taught):
    """Fails if they are not the classifier's own softmax, however they are asked for."""
    values = torch.from_numpy(_bars(40, 13)[0])
    p = taught.probabilities(values)
    torch.testing.assert_close(p, taught.net(values).softmax(1), rtol=0, atol=1e-5)
    assert torch.equal(p, taught.probabilities_of(taught(values)))
    torch.testing.assert_close(p.sum(1), torch.ones(40))


@pytest.mark.parametrize("shape", [(2, 40), (1, 6, 5, 6)])
def test_series_and_volumes(shape):
    """Fails if one axis or three are not learned as two are."""
    values, labels = _bars(400, 2, shape)
    if len(shape) == 2:
        labels = np.random.default_rng(3).integers(0, 2, len(values))
        values[labels == 1] = values[labels == 1, ::-1] // 2
    features = learn_features(values[:300], labels[:300], lessons=Lessons(passes=4, batch=32))
    assert accuracy(features, values[300:], labels[300:]) > 0.9


def test_real_digits_in_a_few_seconds():
    """Fails if the lessons are badly set: 1,500 real digits, two passes, 502 held out."""
    data = open_data("digits")
    values, labels = np.asarray(data.values), data.labels
    rows = np.random.default_rng(0).permutation(data.train)[:1500]
    features = learn_features(values[rows], labels[rows], lessons=BRIEF)
    assert accuracy(features, values[data.held], labels[data.held]) > 0.92


def test_a_seed_gives_one_classifier():
    """Fails if weights, order or shifts are drawn from a shared generator."""
    values, labels = _bars(64, 4)
    one = train_classifier(values, labels, lessons=Lessons(passes=1), seed=5)
    torch.manual_seed(123)
    before = torch.get_rng_state()
    two = train_classifier(values, labels, lessons=Lessons(passes=1), seed=5)
    assert torch.equal(before, torch.get_rng_state())
    other = train_classifier(values, labels, lessons=Lessons(passes=1), seed=6)
    pairs = zip(one.parameters(), two.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(one.head.weight, other.head.weight)


def test_features_have_mean_zero_and_mean_variance_one(taught):
    """Fails if distances in two classifiers' features are in different units."""
    x = extract(taught, _bars(400, 0)[0])
    assert x.shape == (400, 64)
    assert float(x.mean(0).abs().max()) < 1e-5
    assert float(x.var(0).mean()) == pytest.approx(1, abs=1e-5)


def test_batches_do_not_change_features(taught):
    """Fails if a row depends on its company, as with batch norms."""
    values = _bars(50, 6)[0]
    one, other = extract(taught, values, batch=7), extract(taught, torch.from_numpy(values))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


def test_features_come_back_from_their_file(taught, tmp_path):
    """Fails if a weight, the centre or the name is lost; or if other pictures are let in."""
    write_weights(tmp_path / "features.safetensors", taught.tensors())
    stored = load_weights(tmp_path / "features.safetensors")
    back = restore_features(stored, (1, 16, 16))
    values = _bars(20, 7)[0]
    assert back.name == taught.name
    assert back.name.startswith("labels-")
    assert torch.equal(extract(back, values), extract(taught, values))
    with pytest.raises(BadInput, match="no features for pictures"):
        restore_features(stored, (3, 16, 16))


def test_rows_without_a_label_teach_nothing():
    """Fails if -1 becomes a class: ten classes stay ten."""
    values, labels = _bars(120, 8)
    labels[::3] = -1
    assert len(learn_features(values, labels * 4, lessons=BRIEF).net.head.bias) <= 3
    features = learn_features(values, np.where(labels < 0, -1, labels), lessons=BRIEF)
    assert len(features.net.head.bias) == 2
    assert features.learned == "labels"


@pytest.mark.parametrize("labels", [None, np.zeros(400, np.int64)])
def test_without_labels_clusters_stand_in(labels):
    """Fails if the fall-back is named as if it had labels, or does not see a missing class."""
    data = open_data("digits")
    order = np.random.default_rng(9).permutation(len(data))[:1000]
    values, digit = np.asarray(data.values)[order], data.labels[order]
    features = learn_features(values[:400], labels, lessons=BRIEF)
    assert features.name.startswith("clusters-")
    x = extract(features, values)
    reference, train = x[:300], x[300:700]
    whole = frechet_score(x[700:], train, reference, features=features.name)
    narrow = frechet_score(x[700:][digit[700:] < 5], train, reference, features=features.name)
    assert abs(whole.excess) < 0.3 * narrow.excess


def test_clusters_are_told_apart():
    """Fails if k-means mixes what is far apart: ten well separated pictures with noise."""
    draw = np.random.default_rng(10)
    kinds = draw.integers(0, 256, (10, 1, 8, 8))
    true = draw.integers(0, 10, 400)
    values = (kinds[true] + draw.integers(-5, 6, (400, 1, 8, 8))).clip(0, 255).astype(np.uint8)
    found = cluster(values)
    purity = sum(np.bincount(true[found == k]).max() for k in np.unique(found))
    assert purity / 400 > 0.9
    assert set(np.unique(found)) == set(range(found.max() + 1))


@pytest.mark.parametrize("labels", [True, False])
def test_read_only_maps_are_taken(labels):
    """Fails if torch is handed memory it may not write (a warning, here an error)."""
    values, classes = _bars(64, 11)
    values.setflags(write=False)
    features = learn_features(values, classes if labels else None, lessons=Lessons(passes=1))
    assert bool(extract(features, values).isfinite().all())


def test_large_sets_are_not_seen_whole():
    """Fails if the lessons grow with the data: capped at 96 pictures, six passes of 128
    are one of 96."""
    values, labels = _bars(128, 12)
    few = Lessons(passes=6, batch=32, most=96)
    capped = train_classifier(values, labels, lessons=few)
    once = train_classifier(values, labels, lessons=Lessons(passes=1, batch=32, most=96))
    whole = train_classifier(values, labels, lessons=Lessons(passes=1, batch=32))
    assert torch.equal(capped.head.weight, once.head.weight)
    assert not torch.equal(capped.head.weight, whole.head.weight)


def test_equal_pictures_do_not_divide_by_zero():
    """Fails if a set of one picture repeated gives NaN features."""
    values = np.full((60, 1, 8, 8), 9, np.uint8)
    features = learn_features(values, None, lessons=Lessons(passes=1))
    assert bool(extract(features, values).isfinite().all())


def test_a_foreign_file_is_refused(taught):
    """Fails if tensors of another kind end in a traceback."""
    tensors = taught.tensors()
    for change in ({"net.head.bias": torch.tensor(1.0)}, {"feature_scale": torch.ones(3)}):
        with pytest.raises(BadInput, match="no features"):
            restore_features({**tensors, **change}, (1, 16, 16))
