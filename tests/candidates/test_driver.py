"""Nobody makes a plan that somebody else makes, and nobody waits for the dead."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from uuid import uuid4

import psutil
import pytest

from stickers import storage
from stickers.candidates import driver as module
from stickers.candidates.driver import DRIVER, driving
from stickers.errors import UserError


def test_a_second_driver_is_refused_while_the_first_is_there(tmp_path: Path) -> None:
    plan = tmp_path / "plan"
    with driving(str(plan)):
        with pytest.raises(ValueError, match="plan plan is being made by process"), driving(str(plan)):
            pass
        assert (plan / DRIVER).exists()
    assert not (plan / DRIVER).exists()


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
    signature, ended = str(tmp_path / DRIVER), Event()

    def sign() -> None:
        far = {"host": "elsewhere", "pid": 1, "began": 0.0, "token": "theirs", "signed": uuid4().hex}
        storage.write_json(signature, far)

    def keep_signing() -> None:
        while not ended.wait(0.05):
            sign()

    sign()
    if signs:
        monkeypatch.setattr(module, "SILENCE", 600.0)  # a new signature ends the wait, however late it is
        with ThreadPoolExecutor(1) as pool:
            pool.submit(keep_signing)
            try:
                with pytest.raises(UserError, match="process 1 on elsewhere"), driving(str(tmp_path)):
                    pass
            finally:
                ended.set()
    else:
        monkeypatch.setattr(module, "SILENCE", 1.0)
        with driving(str(tmp_path)):
            assert storage.read_json(signature)["token"] != "theirs"
