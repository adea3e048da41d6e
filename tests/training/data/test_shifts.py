"""The labels that the tasks of two data sets share."""

from merit.training.data.shifts import SHIFTS, name_in_shifts
from merit.training.data.tasks import snomed_tasks


def test_every_shift_maps_labels_of_its_source_to_labels_of_its_target():
    tasks = snomed_tasks()
    labels = {"super": {"CD", "HYP", "MI", "NORM", "STTC"}, "cpsc2018": set(tasks["cpsc2018"].labels)}
    labels["csn"] = set(tasks["csn-clean"].labels) & set(tasks["csn-merl"].labels)
    assert set(SHIFTS) == {(source, target) for source in labels for target in labels if source != target}
    for (source, target), overlap in SHIFTS.items():
        assert set(overlap) <= labels[source]
        assert {label for several in overlap.values() for label in several} <= labels[target]
        assert all(overlap.values())


def test_a_shift_read_the_other_way_has_the_same_pairs():
    for (source, target), overlap in SHIFTS.items():
        there = {(label, other) for label, several in overlap.items() for other in several}
        back = {(other, label) for label, several in SHIFTS[target, source].items() for other in several}
        assert there == back
    assert {shift: len(overlap) for shift, overlap in SHIFTS.items()} == {
        ("super", "cpsc2018"): 3,
        ("super", "csn"): 5,
        ("cpsc2018", "super"): 6,
        ("cpsc2018", "csn"): 9,
        ("csn", "super"): 16,
        ("csn", "cpsc2018"): 11,
    }
    assert SHIFTS["csn", "super"]["QTIE"] == ("STTC",)
    assert SHIFTS["csn", "cpsc2018"]["STTU"] == ("STD",)


def test_a_task_is_found_by_its_whole_name():
    assert {name_in_shifts(task) for task in ("csn-clean", "csn-merl")} == {"csn"}
    assert name_in_shifts("super-hospital") == "super-hospital"
