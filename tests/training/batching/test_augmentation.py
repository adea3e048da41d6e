"""Augmentations: their effect on recordings, what they leave unchanged, and reproducible random numbers."""

import numpy as np
import pytest
import torch

from merit.processing.feature_extraction_merit import MeritFeatureExtractor
from merit.processing.leads_merit import LIMB_LEAD_WEIGHTS
from merit.training.batching.augmentation import EFFECTS, Augmentation, RecordRng

RATE = 500


def augmentation(name, strength=0.5, probability=1.0, rate=RATE, bandpass=None):
    extractor = MeritFeatureExtractor(sampling_rate=rate, bandpass=bandpass)
    return Augmentation({name: {"probability": probability, "strength": strength}}, extractor)


def batch(records=40, samples=5000, value=None):
    """A batch in which the first recording lacks leads and the second is shorter."""
    generator = torch.Generator().manual_seed(0)
    values = (
        torch.randn(records, 12, samples, generator=generator)
        if value is None
        else torch.zeros(records, 12, samples).fill_(value)
    )
    lead_mask, sample_mask = torch.ones(records, 12).bool(), torch.ones(records, samples).bool()
    lead_mask[0, 3:9], sample_mask[1, samples // 2 :] = False, False
    values = values.masked_fill(~(lead_mask[..., None] & sample_mask[:, None]), 0.0)
    return {"ecg_values": values, "lead_mask": lead_mask, "sample_mask": sample_mask}


def rng(records=40, seed=0):
    return RecordRng((seed, 0, i) for i in range(records))


@pytest.mark.parametrize("name", EFFECTS)
def test_absent_leads_and_samples_stay_absent_and_the_batch_is_not_changed_in_place(name):
    before = batch()
    kept = {key: value.clone() for key, value in before.items()}
    after = augmentation(name)(before, rng())
    assert all(torch.equal(before[key], kept[key]) for key in kept)
    assert not (after["lead_mask"] & ~kept["lead_mask"]).any()
    assert torch.equal(after["sample_mask"], kept["sample_mask"])
    absent = ~(after["lead_mask"][..., None] & after["sample_mask"][:, None])
    assert (after["ecg_values"][absent] == 0).all()
    assert not torch.equal(after["ecg_values"], kept["ecg_values"])
    assert after["ecg_values"].isfinite().all()


@pytest.mark.parametrize("name", EFFECTS)
def test_the_augmentation_of_a_recording_depends_on_its_key_and_not_on_its_batch(name):
    augment, whole = augmentation(name, probability=0.5), batch()
    together = augment(whole, rng())
    again = augment(whole, rng())
    assert all(torch.equal(together[key], again[key]) for key in together)
    for i in (0, 1, 7, 8, 9):
        alone = augment({key: value[i : i + 1] for key, value in whole.items()}, RecordRng([(0, 0, i)]))
        torch.testing.assert_close(alone["ecg_values"][0], together["ecg_values"][i], rtol=0, atol=1e-6)
        assert torch.equal(alone["lead_mask"][0], together["lead_mask"][i])
    assert not torch.equal(augment(whole, rng(seed=1))["ecg_values"], together["ecg_values"])


def test_the_share_of_augmented_recordings_is_the_probability():
    after = augmentation("amplitude", probability=0.3)(batch(1000, 10, 1.0), rng(1000))
    changed = (after["ecg_values"] != batch(1000, 10, 1.0)["ecg_values"]).flatten(1).any(1)
    assert 0.25 < changed.float().mean() < 0.35


def test_lead_dropout_removes_up_to_its_share_of_leads_and_never_all():
    before = batch(400, 10)
    before["lead_mask"][2], before["lead_mask"][3] = False, False
    before["lead_mask"][2, 5] = before["lead_mask"][3, 4:6] = True
    after = augmentation("lead_dropout")(before, rng(400))
    dropped = before["lead_mask"].sum(1) - after["lead_mask"].sum(1)
    assert after["lead_mask"].any(1).all()
    assert dropped[2] == 0
    assert dropped[3] == 1
    assert set(dropped[4:].tolist()) == {1, 2, 3, 4, 5, 6}
    assert (~after["lead_mask"][4:]).float().mean(0).min() > 0.2


def test_amplitude_scales_all_leads_by_one_factor():
    before, after = batch(), augmentation("amplitude", 0.3)(batch(), rng())
    ratio = (after["ecg_values"] / before["ecg_values"])[2:].flatten(1)
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio), rtol=1e-4, atol=0)
    assert (ratio[:, 0].log().abs() < 0.3).all()
    assert ratio[:, 0].log().std() > 0.1


def spectrum(name, **settings):
    """The root mean square spectrum of the noise over leads and recordings, its frequencies, and the noise."""
    noise = augmentation(name, **settings)(batch(value=0.0), rng())["ecg_values"][2:]
    return torch.fft.rfft(noise).abs().square().mean((0, 1)).sqrt(), torch.fft.rfftfreq(5000, 1 / RATE), noise


@pytest.mark.parametrize(
    ("name", "low", "high"), [("baseline_wander", 0, 0.8), ("mains", 49, 61), ("muscle", 19.9, RATE / 2)]
)
def test_noise_is_limited_to_its_band(name, low, high):
    power, frequency, noise = spectrum(name)
    inside = power[(frequency >= low) & (frequency <= high)].square().sum() / power.square().sum()
    assert inside > (0.95 if name == "baseline_wander" else 0.99)
    # Levels are uniform up to 0.5 mV at an electrode.
    assert 0.1 < noise.std() < 0.5


@pytest.mark.parametrize("name", ["baseline_wander", "mains", "muscle"])
def test_noise_obeys_einthoven_and_goldberger(name):
    noise = spectrum(name)[2].numpy()
    expected = np.einsum("lk,bkt->blt", LIMB_LEAD_WEIGHTS, noise[:, :2])
    np.testing.assert_allclose(noise[:, :6], expected, atol=1e-5)


@pytest.mark.parametrize(("name", "left"), [("baseline_wander", 0.35), ("mains", 0.3), ("muscle", 0.5)])
def test_the_band_pass_attenuates_noise(name, left):
    before, after = spectrum(name)[2], spectrum(name, bandpass=(0.5, 40.0))[2]
    assert 0.02 < after.std() / before.std() < left


def test_mains_above_half_the_sampling_rate_are_refused():
    with pytest.raises(ValueError, match="sampling rate of 100 Hz; leave it out"):
        augmentation("mains", rate=100)


@pytest.mark.parametrize(
    ("effects", "message"),
    [
        ({"mirror": {"probability": 1, "strength": 1}}, "no augmentation 'mirror'"),
        ({"amplitude": {"probability": 1}}, "needs probability and strength"),
        ({"amplitude": 0.5}, "needs probability and strength"),
        ({"amplitude": {"probability": 2, "strength": 1}}, "probability must be in"),
        ({"amplitude": {"probability": 0.5, "strength": 0}}, "strength must be positive"),
        ({"amplitude": {"probability": "often", "strength": 1}}, "must be a number"),
        ({"lead_dropout": {"probability": 0.5, "strength": 1}}, "a share is below 1"),
    ],
)
def test_invalid_augmentations_are_refused(effects, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(effects, MeritFeatureExtractor())


def test_signals_must_be_in_millivolts():
    with pytest.raises(ValueError, match="millivolts"):
        Augmentation({"amplitude": {"probability": 1, "strength": 1}}, MeritFeatureExtractor(normalization="zscore"))
