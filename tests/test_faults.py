from tests import faults


def test_a_build_that_is_killed_and_repeated_ends_with_the_same_bytes(tmp_path):
    found = faults.compare(tmp_path, kills=3, seed=1)
    assert len(found["hits"]) == 3
    assert found["metrics_equal"] and found["figure_equal"]
    assert found["doubled"] == 0
    assert found["recorded"][0] == found["recorded"][1] > 0
    assert not found["leftovers"]
