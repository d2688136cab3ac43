"""Stages of a run: kept where nothing has changed, done again where anything has."""

import pytest

from restore.structure.stages import Stage, Stages


@pytest.fixture
def world(tmp_path):
    """A function that runs one stage, which copies its input; how often it has worked is
    ``world.worked``.
    """
    source, copy = tmp_path / "in.txt", tmp_path / "out.txt"
    source.write_text("1")

    def run(made_with="a", overwrite=False, error=None, roles=()):
        def work():
            run.worked += 1
            if error:
                raise error
            copy.write_text(source.read_text())
            return {"read": source.read_text(), "pair": (1, 2)}

        used_as = dict.fromkeys(roles, source)
        stage = Stage("copy", made_with, [source], [copy], used_as)
        return Stages(tmp_path, overwrite).run(stage, work)

    run.worked, run.source, run.copy = 0, source, copy
    return run


def test_a_stage_is_done_once_and_gives_the_same_again(world):
    assert world() == world() == {"read": "1", "pair": [1, 2]}
    assert world.worked == 1


def test_other_settings_another_input_and_overwriting_do_it_again(world):
    world()
    world("b")
    assert world.worked == 2
    world.source.write_text("22")
    assert world("b")["read"] == "22" and world.worked == 3
    world("b", overwrite=True)
    assert world.worked == 4


def test_a_file_in_another_role_is_another_input(world):
    world(roles=["truth"])
    world(roles=["truth"])
    assert world.worked == 1
    world(roles=["mask"])
    assert world.worked == 2
    world.source.write_text("22")
    world(roles=["mask"])
    assert world.worked == 3


@pytest.mark.parametrize("harm", ["remove", "change"])
def test_an_output_that_is_gone_or_was_changed_is_made_again(world, harm):
    world()
    world.copy.unlink() if harm == "remove" else world.copy.write_text("something else")
    world()
    assert world.worked == 2 and world.copy.read_text() == "1"


def test_a_stage_that_failed_is_done_again(world):
    world()
    with pytest.raises(KeyboardInterrupt):
        world("b", error=KeyboardInterrupt())
    world("a")
    assert world.worked == 3


def test_a_damaged_record_is_no_record(world, tmp_path):
    world()
    (tmp_path / "stages" / "copy.json").write_text("{")
    world()
    assert world.worked == 2
