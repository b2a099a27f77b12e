"""Nobody makes a plan that somebody else makes, and nobody waits for the dead."""

import json
import subprocess
import sys
from pathlib import Path
from threading import Timer

import psutil
import pytest

from stickers.candidates import driver as module
from stickers.candidates.driver import DRIVER, driving


def test_a_second_driver_is_refused_while_the_first_is_there(tmp_path: Path) -> None:
    place = tmp_path / "plan"
    with driving(str(place)):
        with pytest.raises(ValueError, match="plan plan is being made by process"), driving(str(place)):
            pass
        assert (place / DRIVER).exists()
    assert not (place / DRIVER).exists()


def test_a_driver_that_was_killed_is_gone_at_once(tmp_path: Path) -> None:
    script = "import sys, time; from stickers.candidates.driver import driving\n"
    script += "with driving(sys.argv[1]): print('there', flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE) as first:
        assert first.stdout and first.stdout.readline() == b"there\n"
        with pytest.raises(ValueError, match=f"process {first.pid} on"), driving(str(tmp_path)):
            pass
        first.kill()
    assert not psutil.pid_exists(first.pid) and (tmp_path / DRIVER).exists()
    with driving(str(tmp_path)):
        pass


@pytest.mark.parametrize("signs", [True, False])
def test_a_driver_on_another_machine_is_gone_when_it_does_not_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signs: bool
) -> None:
    monkeypatch.setattr(module, "SILENCE", 2.0)
    far = {"host": "elsewhere", "pid": 1, "began": 0.0, "token": "theirs", "signed": "once"}
    (tmp_path / DRIVER).write_text(json.dumps(far))
    again = Timer(0.5, (tmp_path / DRIVER).write_text, [json.dumps({**far, "signed": "twice"})])
    if signs:
        again.start()
        with pytest.raises(ValueError, match="process 1 on elsewhere"), driving(str(tmp_path)):
            pass
        again.join()
    else:
        with driving(str(tmp_path)):
            assert json.loads((tmp_path / DRIVER).read_text())["token"] != "theirs"
