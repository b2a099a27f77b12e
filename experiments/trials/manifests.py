"""A dry run of what `platform/deploy` asks of a cluster: `python experiments/trials/manifests.py`.

No cluster is needed. Every resource is checked against the schema of Kubernetes or KubeRay, unknown fields refused;
every command against this repository: its script is there and takes those arguments; what a Serve configuration names
is imported; the image has the Ray and the folders that the manifests count on, and pods find the names they refer to.
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
from rich.console import Console
from rich.table import Table

from experiments.cli.arguments import argument_problem
from experiments.cli.options import run_script
from stickers.errors import UserError

console = Console()
ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "platform" / "deploy"
KUBERNETES = "1.37"
#: the operators of a shell between commands
BETWEEN = ("&&", "||", ";")
Resource = dict[str, Any]


def read(folder: Path) -> dict[str, Resource]:
    """Every resource of the YAML files in a folder, by `<file> <kind>/<name>`. UserError when a file has none."""
    found: dict[str, Resource] = {}
    for path in sorted(folder.glob("*.yaml")):
        for each in yaml.safe_load_all(path.read_text()):
            if not isinstance(each, dict) or not {"apiVersion", "kind", "metadata"} <= each.keys():
                raise UserError(f"{path.name} holds something that is no Kubernetes resource")
            found[f"{path.name} {each['kind']}/{each['metadata']['name']}"] = each
    if not found:
        raise UserError(f"there are no manifests in {folder}")
    return found


def check(folder: Path = FOLDER) -> dict[str, list[str]]:
    """What is wrong with each resource, and with the Dockerfile; an empty list says nothing is."""
    resources = read(folder)
    names = {(each["kind"], each["metadata"]["name"]) for each in resources.values()}
    problems: dict[str, list[str]] = {}
    for title, each in resources.items():
        said = list(_schema_problems(each, folder))
        if not said:  # the rest counts on the form
            said = [*_reference_problems(each, names), *_command_problems(each), *_serve_problems(each)]
        problems[title] = said
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
    for pod in pods(resource):
        yield from pod["spec"]["containers"]


def _reference_problems(resource: Resource, names: set[tuple[str, str]]) -> Iterator[str]:
    """Names that a pod refers to and no manifest defines."""
    for pod in pods(resource):
        spec = pod["spec"]
        volumes = {each["name"]: each for each in spec.get("volumes", ())}
        asked = [("ServiceAccount", spec["serviceAccountName"])] if "serviceAccountName" in spec else []
        asked += [
            ("PersistentVolumeClaim", each["persistentVolumeClaim"]["claimName"])
            for each in volumes.values()
            if "persistentVolumeClaim" in each
        ]
        for container in spec["containers"]:
            asked += [
                ("ConfigMap", each["configMapRef"]["name"])
                for each in container.get("envFrom", ())
                if "configMapRef" in each
            ]
            for mount in container.get("volumeMounts", ()):
                if mount["name"] not in volumes:
                    yield f"container {container['name']} mounts {mount['name']}, which the pod does not have"
        yield from (f"{kind} {name} is in no manifest" for kind, name in asked if (kind, name) not in names)


def _command_problems(resource: Resource) -> Iterator[str]:
    commands = [resource["spec"]["entrypoint"]] if resource["kind"] == "RayJob" else []
    for text in commands:
        for argv in split(text):
            said = command_problem(argv)
            if said:
                yield f"{shlex.join(argv)}: {said}"
    for container in containers(resource):
        argv = [*container.get("command", ()), *container.get("args", ())]
        if argv and not entry_points(group="console_scripts", name=argv[0]):
            yield f"{argv[0]} is no program that requirements.lock installs"


def split(entrypoint: str) -> list[list[str]]:
    """The single commands of an entry point, those inside `bash -c` too."""
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
    """Why a command cannot run here, or nothing. Its arguments are read by its script's own parser."""
    if len(argv) < 2 or argv[0] != "python" or not re.fullmatch(r"experiments/\w+\.py", argv[1]):
        return "only scripts of experiments/ are run"
    return argument_problem(argv[1], argv[2:])


def _serve_problems(resource: Resource) -> Iterator[str]:
    """Whether Serve would take the configuration, and the application exists and takes its arguments."""
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
    """The image brings our Ray, and copies what is here; all pods run one image, of this project's version."""
    base = re.search(r"^FROM rayproject/ray:(\S+)-py311", dockerfile, re.M)
    if base is None or base[1] != ray.__version__:
        yield f"it must start from rayproject/ray:{ray.__version__}-py311-..., as requirements.lock has it"
    for line in re.findall(r"^COPY (?:--\S+ )*(.+)$", dockerfile, re.M):
        *sources, _ = line.split()
        yield from (f"it copies {each}, which is not there" for each in sources if not (ROOT / each).exists())
    project = (ROOT / "pyproject.toml").read_text()
    version = re.search(r'^version = "(.+)"', project, re.M)
    wanted = f"animated-stickers:{version[1] if version else ''}"
    for each in resources:
        found = {container["image"].rpartition("/")[2] for container in containers(each)} - {wanted}
        yield from (f"{each['metadata']['name']} runs {image}, not {wanted}" for image in sorted(found))
        cluster = each["spec"] if each["kind"] == "RayCluster" else None
        for key in ("rayClusterSpec", "rayClusterConfig"):
            cluster = each.get("spec", {}).get(key, cluster)
        if cluster and cluster.get("rayVersion") != ray.__version__:
            yield f"{each['metadata']['name']} expects Ray {cluster.get('rayVersion')}, not {ray.__version__}"


def main(folder: Path = FOLDER) -> int:
    """Check the manifests of a folder; returns 1 when something is wrong.

    Args:
        folder: where manifests, Dockerfile and the schema of KubeRay lie.
    """
    problems = check(folder)
    table = Table("resource", "problem", title=f"{folder}, Kubernetes {KUBERNETES}")
    for title, said in problems.items():
        table.add_row(title, "\n".join(said) or "none")
    console.print(table)
    return int(any(problems.values()))


if __name__ == "__main__":
    run_script(main)
