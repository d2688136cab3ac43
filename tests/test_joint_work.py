"""Work that several processes share and whose result one of them writes."""

import pytest

from restore.errors import UserError
from restore.joint_work import joined_to_write


def test_a_result_is_written_by_one_run_at_a_time(tmp_path):
    result = tmp_path / "out.star"
    with joined_to_write(result, "cpu") as place:
        assert place.is_main and place.device.type == "cpu"
        with (
            pytest.raises(UserError, match="is writing it"),
            joined_to_write(result, "cpu"),
        ):
            pass
    with joined_to_write(result, "cpu"):
        pass
    assert list(tmp_path.iterdir()) == []
