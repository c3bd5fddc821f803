"""A rendered pod, as `docker run` takes it: same mounts, capabilities, user, root file system, environment.

What a kubelet would do and is not done here raises, so that nothing of the pod is left out unseen.
"""

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.charts.helm import Manifest

# About where and when it runs, or who may ask; not about what is in the container.
PLACEMENT = {
    "affinity", "automountServiceAccountToken", "dnsPolicy", "enableServiceLinks", "imagePullSecrets", "nodeSelector",
    "priorityClassName", "restartPolicy", "serviceAccountName", "tolerations",
}  # fmt: skip
WATCHING = {
    "imagePullPolicy", "livenessProbe", "ports", "readinessProbe", "startupProbe", "terminationMessagePolicy",
}  # fmt: skip


@dataclass(frozen=True)
class Node:
    """A node's disk, and what is to be known of it."""

    root: Path  # where its / is
    scratch: Path  # for what a kubelet makes: files of ConfigMaps and Secrets
    fields: Mapping[str, str] = field(
        default_factory=lambda: {
            "spec.nodeName": "node-1",
            "status.hostIP": "127.0.0.1",
        }
    )


def docker_run(
    manifests: Iterable[Manifest], node: Node, *, kind: str = "DaemonSet", image: str = "", name: str = ""
) -> list[str]:
    """The arguments after `docker run` for the one pod of this kind among the manifests.

    hostPaths are made below the node's root, with the files of its ConfigMaps and Secrets; `image`: instead of the pod's.
    """
    manifests = list(manifests)
    spec = pod(manifests, kind)
    (container,) = spec["containers"]
    volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
    _known(
        spec,
        PLACEMENT
        | {
            # It restores bans and ends; tests/stories/test_reboot.py has what it does.
            "initContainers",
            "containers",
            "hostNetwork",
            "securityContext",
            "terminationGracePeriodSeconds",
            "volumes",
        },
    )
    _known(
        container,
        WATCHING
        | {"args", "command", "env", "image", "name", "resources", "securityContext", "volumeMounts"},
    )
    command = container.get("command", [])
    return [
        *([f"--name={name}"] if name else []),
        *(["--network=host"] if spec.get("hostNetwork") else []),
        *([f"--stop-timeout={seconds}"] if (seconds := spec.get("terminationGracePeriodSeconds")) else []),
        *_security({**spec.get("securityContext", {}), **container.get("securityContext", {})}),
        *_limits(container.get("resources", {})),
        *(f"--env={name}={value}" for name, value in environ(container, node.fields).items()),
        *(_mount(mount, volumes[mount["name"]], manifests, node) for mount in container["volumeMounts"]),
        *([f"--entrypoint={command[0]}"] if command else []),
        image or container["image"],
        *command[1:],
        *container.get("args", []),
    ]  # fmt: skip


def pod(manifests: Iterable[Manifest], kind: str) -> Manifest:
    """The spec of the one pod of this kind; a Pod's own, or that of a template."""
    (found,) = (each for each in manifests if each["kind"] == kind)
    spec: Manifest = found["spec"]
    return spec["template"]["spec"] if kind != "Pod" else spec


def environ(container: Manifest, fields: Mapping[str, str]) -> dict[str, str]:
    """The environment, in order: a later one of the same name goes over an earlier, $(NAME) is one before."""
    found: dict[str, str] = {}
    for each in container.get("env", []):
        source = each.get("valueFrom", {})
        text = fields[source["fieldRef"]["fieldPath"]] if source else each.get("value", "")
        found[each["name"]] = re.sub(r"\$\((\w+)\)", lambda match: found.get(match[1], match[0]), text)
    return found


def _security(context: Manifest) -> list[str]:
    known = {
        "allowPrivilegeEscalation", "capabilities", "readOnlyRootFilesystem", "runAsGroup", "runAsNonRoot", "runAsUser",
        "seLinuxOptions", "seccompProfile",
    }  # fmt: skip
    _known(context, known)
    assert context.get("seccompProfile") == {"type": "RuntimeDefault"}  # which is Docker's own as well
    capabilities = context.get("capabilities", {})
    return [
        f"--user={context['runAsUser']}:{context['runAsGroup']}",
        *(f"--cap-drop={name}" for name in capabilities.get("drop", [])),
        *(f"--cap-add={name}" for name in capabilities.get("add", [])),
        *(["--read-only"] if context.get("readOnlyRootFilesystem") else []),
        *(f"--security-opt=label={key}:{text}" for key, text in context.get("seLinuxOptions", {}).items()),
        *([] if context.get("allowPrivilegeEscalation", True) else ["--security-opt=no-new-privileges"]),
    ]


def _limits(resources: Manifest) -> list[str]:
    limits = resources.get("limits", {})
    _known(limits, {"cpu", "memory"})
    return [
        *([f"--memory={_bytes(str(limits['memory']))}"] if "memory" in limits else []),
        *([f"--cpus={limits['cpu']}"] if "cpu" in limits else []),
    ]


def _bytes(quantity: str) -> int:
    units = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
    match = re.fullmatch(r"(\d+)(|Ki|Mi|Gi)", quantity)
    assert match, f"{quantity} is no number of bytes that is understood here"
    return int(match[1]) * units[match[2]]


def _mount(mount: Manifest, volume: Manifest, manifests: list[Manifest], node: Node) -> str:
    _known(mount, {"mountPath", "name", "readOnly"})
    mode = ":ro" if mount.get("readOnly") else ""
    match volume:
        case {"hostPath": {"path": path, "type": kind}}:
            return f"--volume={_on_host(node.root / path.lstrip('/'), kind)}:{mount['mountPath']}{mode}"
        case {"emptyDir": {"medium": "Memory", "sizeLimit": size}}:
            return f"--tmpfs={mount['mountPath']}:size={_bytes(size)}"
        case {"configMap": {"name": name}}:
            data = _found(manifests, "ConfigMap", name)["data"]
            return f"--volume={_files(node, volume['name'], volume['configMap'], data)}:{mount['mountPath']}{mode}"
        case {"secret": {"secretName": name}}:
            data = secret(_found(manifests, "Secret", name))
            return (
                f"--volume={_files(node, volume['name'], volume['secret'], data)}:{mount['mountPath']}{mode}"
            )
    raise ValueError(f"no such volume is understood here: {volume}")


def secret(manifest: Manifest) -> dict[str, str]:
    """A Secret's texts."""
    stored = {key: base64.b64decode(text).decode() for key, text in manifest.get("data", {}).items()}
    given: dict[str, str] = manifest.get("stringData", {})
    return stored | given


def _on_host(path: Path, kind: str) -> Path:
    if kind == "DirectoryOrCreate":
        path.mkdir(parents=True, exist_ok=True)
    fits = {"DirectoryOrCreate": path.is_dir, "Directory": path.is_dir, "Socket": path.is_socket}
    if not fits[kind]():
        raise FileNotFoundError(f"{path} is no {kind}; a kubelet would not start the pod")
    return path


def _files(node: Node, volume: str, source: Manifest, data: Mapping[str, str]) -> Path:
    """A folder with what a kubelet would put there, of the modes that it would have."""
    _known(source, {"name", "secretName", "items", "defaultMode"})
    folder = node.scratch / volume
    folder.mkdir(parents=True)
    for item in source.get("items") or [{"key": key, "path": key} for key in data]:
        file = folder / item["path"]
        file.parent.mkdir(exist_ok=True)
        file.write_text(data[item["key"]])
        file.chmod(source.get("defaultMode", 0o644))
    return folder


def _found(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    """The one of this kind and name. Raises LookupError where the release does not bring it."""
    for each in manifests:
        if (each["kind"], each["metadata"]["name"]) == (kind, name):
            return each
    raise LookupError(f"the release has no {kind} {name}; add its manifest to those that are given")


def _known(mapping: Mapping[str, object], names: set[str]) -> None:
    if unknown := set(mapping) - names:
        raise ValueError(f"not understood here: {', '.join(sorted(unknown))}")
