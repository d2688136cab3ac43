"""The object of an evaluation: what makes measurements of it stale."""

from evaluation_world import micrographs, model

from restore.evaluation.batch import plan
from restore.evaluation.source import Source


def fingerprints(source, folder):
    chosen = micrographs(folder)
    return [job.fingerprint for job in plan(chosen, folder, source.made_with(), None)]


def test_measurements_of_another_way_to_calibrate_are_stale_if_a_model_is_evaluated(
    tmp_path, monkeypatch
):
    sources = [Source(model()), Source(None)]
    before = [fingerprints(source, tmp_path) for source in sources]
    assert [fingerprints(source, tmp_path) for source in sources] == before
    monkeypatch.setattr("restore.evaluation.source.CALIBRATION_VERSION", 99)
    of_model, of_others = (fingerprints(source, tmp_path) for source in sources)
    assert not set(of_model) & set(before[0]) and of_others == before[1]
