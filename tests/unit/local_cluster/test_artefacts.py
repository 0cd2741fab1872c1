"""What a cluster is made of: certificates, images, binaries, and the room they need."""

from __future__ import annotations

import base64
import json
import tarfile
from ipaddress import ip_address
from pathlib import Path

import pytest
import yaml
from cryptography import x509

from local_cluster import binaries, pki, preflight
from local_cluster.errors import ClusterError
from local_cluster.images import write_scratch_image
from local_cluster.layout import Mode
from local_cluster.progress import Silence

GO_MODULES = Path(__file__).parents[3] / "tools" / "go"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    pki.write(folder, pki.identities("demo", ["10.200.1.2", "10.151.0.1"], ["10.200.1.2"]))
    return folder


def certificate(folder: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes())


def served_addresses(folder: Path, name: str) -> set[str]:
    names = certificate(folder, name).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(address) for address in names.get_values_for_type(x509.IPAddress)}


def test_the_kubelets_certificate_carries_the_nodes_address(certificates: Path) -> None:
    assert served_addresses(certificates, "kubelet-serving") == {str(ip_address("10.200.1.2"))}


def test_the_api_servers_certificate_carries_every_address_it_is_called_at(certificates: Path) -> None:
    assert served_addresses(certificates, "apiserver") == {"127.0.0.1", "10.200.1.2", "10.151.0.1"}


def test_the_kubelet_is_known_as_its_node(certificates: Path) -> None:
    subject = certificate(certificates, "kubelet").subject.rfc4514_string()
    assert "CN=system:node:demo" in subject
    assert "O=system:nodes" in subject


def test_keys_are_readable_by_their_owner_alone(certificates: Path) -> None:
    assert {path.stat().st_mode & 0o777 for path in certificates.glob("*.key")} == {0o600}


def test_a_kubeconfig_holds_the_identity_it_was_made_for(certificates: Path) -> None:
    written = yaml.safe_load(pki.kubeconfig(certificates, "admin", "https://10.200.1.2:6443", "demo"))
    user = written["users"][0]["user"]
    assert base64.b64decode(user["client-certificate-data"]) == (certificates / "admin.crt").read_bytes()
    assert written["clusters"][0]["cluster"]["server"] == "https://10.200.1.2:6443"
    assert written["current-context"] == "demo"


def test_the_same_image_is_made_of_the_same_bytes(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    program.write_bytes(b"program")
    for name in ("one.tar", "two.tar"):
        write_scratch_image(tmp_path / name, "localhost/pause:1", {"/pause": program}, ["/pause"])
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as archive:
        manifest = archive.extractfile("manifest.json")
        assert manifest is not None
        assert json.load(manifest)[0]["RepoTags"] == ["localhost/pause:1"]


@pytest.mark.parametrize(
    ("module", "pinned"),
    [
        ("kubernetes", "k8s.io/kubernetes"),
        ("etcd", "go.etcd.io/etcd/server/v3"),
        ("helm", "helm.sh/helm/v4"),
        ("versitygw", "github.com/versity/versitygw"),
        ("registry", "github.com/distribution/distribution/v3"),
        ("fake-gcs-server", "github.com/fsouza/fake-gcs-server"),
        ("promtool", "github.com/prometheus/prometheus"),
    ],
)
def test_the_stamped_version_is_the_one_that_is_pinned(module: str, pinned: str) -> None:
    words = (GO_MODULES / module / "go.mod").read_text().split()
    version = words[words.index(pinned, words.index("require")) + 1]
    assert {binary.version for binary in binaries.KNOWN.values() if binary.module == module} == {version}


@pytest.mark.parametrize("binary", binaries.KNOWN.values(), ids=lambda binary: binary.name)
def test_every_program_is_named_in_its_module_so_that_its_sums_are_there(binary: binaries.Binary) -> None:
    if binary.package != ".":
        assert binary.package in (GO_MODULES / binary.module / "go.mod").read_text().split()


def test_what_is_built_already_is_not_built_again(tmp_path: Path) -> None:
    names = binaries.needed_by(Mode.API_ONLY)
    for name in names:
        path = binaries.path_of(name, tmp_path)
        path.parent.mkdir(parents=True)
        path.touch()
    before = sorted(tmp_path.rglob("*"))
    assert set(binaries.ensure(names, tmp_path, Silence())) == set(names)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unknown_program_is_named_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"'kubeadm' is not .* kube-apiserver"):
        binaries.path_of("kubeadm", tmp_path)


@pytest.mark.parametrize(
    ("disk", "memory", "told"),
    [(5.9, 8, "6 GiB of disk at /cache, and 5.9 are free"), (7, 2.5, "3 GiB of memory, and 2.5 are")],
)
def test_too_little_room_is_told_in_numbers(disk: float, memory: float, told: str) -> None:
    sentence = preflight.shortage(preflight.BUILD, disk, memory, Path("/cache"))
    assert sentence is not None
    assert told in sentence


def test_enough_room_is_not_spoken_of() -> None:
    assert preflight.shortage(preflight.BUILD, 6, 3, Path("/cache")) is None


@pytest.mark.parametrize(
    ("reported", "version"),
    [("go1.26.8", (1, 26)), ("go1.27rc1", (1, 27)), ("devel +abc", None), ("", None)],
)
def test_gos_version_is_read_from_its_answer(reported: str, version: tuple[int, int] | None) -> None:
    assert preflight.go_version(reported) == version
