"""The dry run finds what a cluster would refuse, or would start and see fail."""

import shutil
from pathlib import Path

import pytest

from experiments.trials.manifests import FOLDER, check, command_problem, main, split


def test_shipped_manifests_are_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert main() == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "old", "new", "sentence"),
    [
        ("candidates.yaml", "backoffLimit: 5", "backOffLimit: 5", "backOffLimit"),
        ("candidates.yaml", "replicas: 15", 'replicas: "15"', "is not of type 'integer'"),
        ("candidates.yaml", "submissionMode: HTTPMode", "submissionMode: HttpMode", "'HttpMode' is not one of"),
        ("candidates.yaml", "preStop:", "prestop:", "prestop"),
        ("candidates.yaml", "nodeSelector:", "nodeSelektor:", "nodeSelektor"),
        ("candidates.yaml", "experiments/candidates.py", "experiments/candidate.py", "no such script"),
        ("candidates.yaml", "--project paper", "--projec paper", "projec"),
        ("students.yaml", "python experiments/export.py", "make export", "only scripts of experiments/"),
        ("teachers.yaml", "configMapRef: {name: stickers}", "configMapRef: {name: sticker}", "ConfigMap sticker"),
        ("teachers.yaml", "- {name: shm, emptyDir", "- {name: sham, emptyDir", "mounts shm"),
        ("teachers.yaml", "animated-stickers:0.1.0", "animated-stickers:0.2.0", "runs animated-stickers:0.2.0"),
        ("teachers.yaml", 'rayVersion: "2.60.0"', 'rayVersion: "2.59.0"', "expects Ray 2.59.0"),
        ("mlflow.yaml", "command: [mlflow, server]", "command: [mlflaw, server]", "mlflaw is no program"),
        ("mlflow.yaml", "targetPort: http", "targetport: http", "targetport"),
        ("serve.yaml", "serve.apps:build_student", "serve.apps:build_students", "build_students"),
        ("serve.yaml", "device: cuda}", "devise: cuda}", "devise"),
        ("serve.yaml", "num_replicas: 2", "num_replicas: two", "serveConfigV2"),
        ("Dockerfile", "COPY --chown=ray:users recipes", "COPY --chown=ray:users recipies", "recipies"),
        ("Dockerfile", "rayproject/ray:2.60.0", "rayproject/ray:2.50.0", "must start from"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found(file: str, old: str, new: str, sentence: str, tmp_path: Path) -> None:
    for name in {"shared.yaml", "kuberay.json", "Dockerfile", file}:
        shutil.copy(FOLDER / name, tmp_path / name)
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new))
    problems = [problem for sentences in check(tmp_path).values() for problem in sentences]
    assert problems and any(sentence in problem for problem in problems), problems


def test_an_empty_folder_and_a_foreign_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there are no manifests"):
        check(tmp_path)
    (tmp_path / "notes.yaml").write_text("just: text")
    with pytest.raises(ValueError, match=r"notes\.yaml holds something that is no Kubernetes resource"):
        check(tmp_path)


def test_commands_are_taken_apart() -> None:
    both = [["python", "experiments/a.py", "--x", "1"], ["python", "experiments/b.py"]]
    assert split("bash -c 'python experiments/a.py --x 1 && python experiments/b.py'") == both
    assert command_problem(["python", "experiments/candidates.py", "--num-prompts", "3"]) == ""
    assert "num-prompts" in command_problem(["python", "experiments/candidates.py", "--num-prompts", "three"])
