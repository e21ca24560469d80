import fcntl
from pathlib import Path

import pytest

from jobs.errors import ConfigError, TransientError
from jobs.exports.publishing import publish_folder


def publish(target: Path, text: str) -> None:
    with publish_folder(target) as draft:
        (draft / "a.txt").write_text(text)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_publish_folder_second_time_replaces_the_first_whole(tmp_path: Path) -> None:
    target = tmp_path / "out" / "2026-01-31"
    publish(target, "old")
    (target / "left.txt").write_text("left over")
    publish(target, "new")
    assert names(target) == ["a.txt"]
    assert (target / "a.txt").read_text() == "new"
    assert names(target.parent) == [".lock", "2026-01-31"]


def test_publish_folder_is_for_its_owner_only(tmp_path: Path) -> None:
    target = tmp_path / "out" / "2026-01-31"
    publish(target, "x")
    modes = [path.stat().st_mode & 0o777 for path in (target.parent, target, target / "a.txt")]
    assert modes == [0o700, 0o700, 0o600]


def test_publish_folder_error_while_filling_leaves_the_old(tmp_path: Path) -> None:
    target = tmp_path / "2026-01-31"
    publish(target, "old")
    with pytest.raises(UnicodeEncodeError):
        publish(target, "no text: \ud800")
    assert (target / "a.txt").read_text() == "old"
    assert names(tmp_path) == [".lock", "2026-01-31"]


def test_publish_folder_error_between_the_renames_brings_the_old_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "2026-01-31"
    publish(target, "old")
    rename = Path.rename

    def fail_on_draft(self: Path, to: Path) -> Path:
        if self.name.endswith(".draft"):
            raise OSError("no")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", fail_on_draft)
    with pytest.raises(OSError, match="no"):
        publish(target, "new")
    assert (target / "a.txt").read_text() == "old"
    assert names(tmp_path) == [".lock", "2026-01-31"]


def test_publish_folder_after_a_kill_while_filling_clears_the_draft(tmp_path: Path) -> None:
    target = tmp_path / "2026-01-31"
    publish(target, "old")
    draft = tmp_path / ".2026-01-31.draft"
    draft.mkdir()
    (draft / "half.txt").write_text("half")
    publish(target, "new")
    assert names(target) == ["a.txt"]
    assert names(tmp_path) == [".lock", "2026-01-31"]


def test_publish_folder_after_a_kill_between_the_renames_restores_before_it_fails_again(
    tmp_path: Path,
) -> None:
    target = tmp_path / "2026-01-31"
    publish(target, "old")
    target.rename(tmp_path / ".2026-01-31.previous")
    with pytest.raises(RuntimeError), publish_folder(target):
        raise RuntimeError
    assert (target / "a.txt").read_text() == "old"
    assert names(tmp_path) == [".lock", "2026-01-31"]


def test_publish_folder_while_another_does_is_refused(tmp_path: Path) -> None:
    with (tmp_path / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(TransientError, match="another export is being written"):
            publish(tmp_path / "2026-01-31", "x")


def test_publish_folder_below_a_file_tells_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="choose another with PERSONALAKE_EXPORTS_DIR"):
        publish(tmp_path / "file" / "2026-01-31", "x")
