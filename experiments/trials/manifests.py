"""A dry run of the manifests in `platform/deploy`: `python experiments/trials/manifests.py`.

No cluster is needed. Every resource is checked against the schema of Kubernetes or KubeRay, which refuses unknown
fields. Every command is checked against this repository: its script exists and takes the arguments. Serve
configurations name applications that can be imported, the image has the Ray and the folders that the manifests need,
and pods refer to names that exist.
"""

import importlib
import inspect
import json
import re
import shlex
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import ray
import yaml
from ray.serve.schema import ServeDeploySchema
from rich.table import Table

from actors.screen import console
from experiments.cli.arguments import argument_problem
from experiments.cli.options import run_script
from stickers.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "platform" / "deploy"
KUBERNETES = "1.37"
#: the operators of a shell between commands
BETWEEN = ("&&", "||", ";")
Resource = dict[str, Any]


def read(folder: Path) -> dict[str, Resource]:
    """Every resource of the YAML files in a folder, by `<file> <kind>/<name>`. UserError when a file has none."""
    resources: dict[str, Resource] = {}
    for path in sorted(folder.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            if not isinstance(document, dict) or not {"apiVersion", "kind", "metadata"} <= document.keys():
                raise UserError(f"{path.name} holds something that is no Kubernetes resource")
            resources[f"{path.name} {document['kind']}/{document['metadata']['name']}"] = document
    if not resources:
        raise UserError(f"there are no manifests in {folder}")
    return resources


def check(folder: Path = FOLDER) -> dict[str, list[str]]:
    """The problems of each resource and of the Dockerfile; an empty list where there is none."""
    resources = read(folder)
    names = {(resource["kind"], resource["metadata"]["name"]) for resource in resources.values()}
    problems: dict[str, list[str]] = {}
    for title, resource in resources.items():
        sentences = list(_schema_problems(resource, folder))
        if not sentences:  # the other checks need the right form
            sentences = [
                *_reference_problems(resource, names),
                *_command_problems(resource),
                *_serve_problems(resource),
            ]
        problems[title] = sentences
    dockerfile = folder / "Dockerfile"
    problems[dockerfile.name] = list(_image_problems(dockerfile.read_text(), resources.values()))
    return problems


def _schema_problems(resource: Resource, folder: Path) -> Iterator[str]:
    if resource["apiVersion"].startswith("ray.io/"):
        schema = jsonschema.Draft202012Validator(json.loads((folder / "kuberay.json").read_text()))
        yield from (f"{error.json_path}: {error.message}" for error in schema.iter_errors(resource))
        for pod in pods(resource):
            template = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x"}, "template": pod}
            yield from _kubernetes_problems(template)
    else:
        yield from _kubernetes_problems(resource)


def _kubernetes_problems(resource: Resource) -> Iterator[str]:
    try:
        kubernetes_validate.validate(resource, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield f"{error.json_path}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError as error:
        yield str(error.message)


def pods(value: Any) -> Iterator[Resource]:
    """Every pod template inside a resource."""
    if isinstance(value, dict):
        if isinstance(value.get("template"), dict):
            yield value["template"]
        for inner in value.values():
            yield from pods(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from pods(inner)


def containers(resource: Resource) -> Iterator[Resource]:
    """Every container of a resource's pods."""
    for pod in pods(resource):
        yield from pod["spec"]["containers"]


def _reference_problems(resource: Resource, names: set[tuple[str, str]]) -> Iterator[str]:
    """Names that a pod refers to and no manifest defines."""
    for pod in pods(resource):
        spec = pod["spec"]
        volumes = {volume["name"]: volume for volume in spec.get("volumes", ())}
        references = [("ServiceAccount", spec["serviceAccountName"])] if "serviceAccountName" in spec else []
        references += [
            ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
            for volume in volumes.values()
            if "persistentVolumeClaim" in volume
        ]
        for container in spec["containers"]:
            references += [
                ("ConfigMap", source["configMapRef"]["name"])
                for source in container.get("envFrom", ())
                if "configMapRef" in source
            ]
            for mount in container.get("volumeMounts", ()):
                if mount["name"] not in volumes:
                    yield f"container {container['name']} mounts {mount['name']}, which the pod does not have"
        yield from (
            f"{kind} {name} is in no manifest" for kind, name in references if (kind, name) not in names
        )


def _command_problems(resource: Resource) -> Iterator[str]:
    commands = [resource["spec"]["entrypoint"]] if resource["kind"] == "RayJob" else []
    for text in commands:
        for argv in split(text):
            problem = command_problem(argv)
            if problem:
                yield f"{shlex.join(argv)}: {problem}"
    for container in containers(resource):
        argv = [*container.get("command", ()), *container.get("args", ())]
        if argv and not entry_points(group="console_scripts", name=argv[0]):
            yield f"{argv[0]} is no program that requirements.lock installs"


def split(entrypoint: str) -> list[list[str]]:
    """The single commands of an entry point, also those inside `bash -c`."""
    words = shlex.split(entrypoint)
    if words[:2] == ["bash", "-c"]:
        words = shlex.split(words[2])
    commands: list[list[str]] = [[]]
    for word in words:
        if word in BETWEEN:
            commands.append([])
        else:
            commands[-1].append(word)
    return commands


def command_problem(argv: list[str]) -> str:
    """Why a command cannot run here, or an empty string. Its script's own parser reads the arguments."""
    if len(argv) < 2 or argv[0] != "python" or not re.fullmatch(r"experiments/\w+\.py", argv[1]):
        return "only scripts of experiments/ are run"
    return argument_problem(argv[1], argv[2:])


def _serve_problems(resource: Resource) -> Iterator[str]:
    """Whether Serve takes the configuration, and whether the application exists and takes its arguments."""
    if resource["kind"] != "RayService":
        return
    try:
        config = ServeDeploySchema.model_validate(yaml.safe_load(resource["spec"]["serveConfigV2"]))
    except ValueError as error:
        yield f"serveConfigV2: {error}"
        return
    for application in config.applications:
        module, _, name = application.import_path.partition(":")
        try:
            builder = getattr(importlib.import_module(module), name)
            (parameter,) = inspect.signature(builder, eval_str=True).parameters.values()
            parameter.annotation.model_validate(application.args)
        except (ImportError, AttributeError, ValueError) as error:
            yield f"application {application.name}: {error}"


def _image_problems(dockerfile: str, resources: Any) -> Iterator[str]:
    """The image must bring our Ray and copy existing files; all pods must run one image, of this project's version."""
    base = re.search(r"^FROM rayproject/ray:(\S+)-py311", dockerfile, re.M)
    if base is None or base[1] != ray.__version__:
        yield f"it must start from rayproject/ray:{ray.__version__}-py311-..., as requirements.lock has it"
    for line in re.findall(r"^COPY (?:--\S+ )*(.+)$", dockerfile, re.M):
        *sources, _ = line.split()
        yield from (
            f"it copies {source}, which is not there" for source in sources if not (ROOT / source).exists()
        )
    project = (ROOT / "pyproject.toml").read_text()
    version = re.search(r'^version = "(.+)"', project, re.M)
    expected_image = f"animated-stickers:{version[1] if version else ''}"
    for resource in resources:
        other_images = {container["image"].rpartition("/")[2] for container in containers(resource)} - {
            expected_image
        }
        yield from (
            f"{resource['metadata']['name']} runs {image}, not {expected_image}"
            for image in sorted(other_images)
        )
        cluster = resource["spec"] if resource["kind"] == "RayCluster" else None
        for key in ("rayClusterSpec", "rayClusterConfig"):
            cluster = resource.get("spec", {}).get(key, cluster)
        if cluster and cluster.get("rayVersion") != ray.__version__:
            yield f"{resource['metadata']['name']} expects Ray {cluster.get('rayVersion')}, not {ray.__version__}"


def main(folder: Path = FOLDER) -> int:
    """Check the manifests of a folder; returns 1 when there is a problem.

    Args:
        folder: the folder of manifests, Dockerfile and KubeRay's schema.
    """
    problems = check(folder)
    table = Table("resource", "problem", title=f"{folder}, Kubernetes {KUBERNETES}")
    for title, sentences in problems.items():
        table.add_row(title, "\n".join(sentences) or "none")
    console.print(table)
    return int(any(problems.values()))


if __name__ == "__main__":
    run_script(main)
