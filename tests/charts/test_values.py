"""What may be set: refused by name where it is wrong, described, and told to the sidecar."""

import json
import re

import pytest
import yaml

from tests.charts.helm import CHART, PACKAGES, Refused, render
from tests.charts.values import readme, values

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())

# Kubernetes' or the operator's own, in all their breadth: the API server says what is wrong with them.
THEIRS = {
    "affinity.nodeAffinity", "affinity.podAffinity", "affinity.podAntiAffinity", "extraEnv.valueFrom", "extraVolumes",
    "global", "podMonitor.metricRelabelings", "podMonitor.relabelings", "redis.affinity.nodeAffinity",
    "redis.affinity.podAffinity", "redis.affinity.podAntiAffinity", "serviceMonitor.metricRelabelings",
    "serviceMonitor.relabelings",
}  # fmt: skip

WRONG = [
    ("bogus=1", "bogus"),
    ("kubernetesApi.enable=true", "enable"),
    ("image.repo=x", "repo"),
    ("redis.imgae.tag=8", "imgae"),
    ("redis.persistence.enable=true", "enable"),
    ("redis.networkPolicy.allow=x", "allow"),
    ("serviceMonitor.intervall=30s", "intervall"),
    ("podMonitor.label.a=b", "label"),
    ("prometheusRule.rules=x", "rules"),
    ("dashboards.label=x", "label"),
    ("neverBan.pod={10.0.0.0/8}", "pod"),
    ("slack.webhook=https://x.example", "webhook"),
    ("updateStrategy.maxSurge=1", "maxSurge"),
    ("resources.limit.memory=1Gi", "limit"),
    ("tolerations[0].operater=Exists", "operater"),
    ("livenessProbe.path=/", "path"),
    ("extraEnv[0].name=A,extraEnv[0].val=1", "val"),
    ("source=journal", "source"),
    ("metrics.port=99999", "port"),
    ("metrics.address=localhost", "address"),
    ("log.level=LOUD", "level"),
    ("image.pullPolicy=Sometimes", "pullPolicy"),
    ("image.digest=latest", "digest"),
    ("nameOverride=Shop_1", "nameOverride"),
    ("neverBan.nodes={node-1}", "nodes"),
    ("slack.webhookUrl=hooks.slack.example", "webhookUrl"),
    ("web.token=short", "token"),
    ("prometheusRule.runbookUrl=docs.example.org", "runbookUrl"),
    ("redis.password=short", "password"),
    ("redis.maxMemory=0", "maxMemory"),
    ("serviceMonitor.interval=often", "interval"),
    ("state.hostPath=/", "hostPath"),
    ("state.hostPath=lib/x", "hostPath"),
    ("filters.shop=x", "shop"),
    (r"filters.\.\./x\.conf=x", "x.conf"),
    ("pods={a/b/c/d}", "pods"),
    ("pods={blog}", "pods"),
    ("trustedProxies={proxy}", "trustedProxies"),
    ("redis.fleetKey.secret=a", "secret"),
    ("jails.wordpress.maxretry=3", "jails"),
    ("test.line=no login", "line"),
    ("flushOnExit=sometimes", "flushOnExit"),
]
TOGETHER = [
    (
        "slack.webhookUrl=https://a.example,slack.existingSecret=b",
        "slack.webhookUrl is set, and so is slack.existingSecret",
    ),
    ("web.token=0123456789abcdef,web.existingSecret=b", "web.token is set, and so is web.existingSecret"),
    ("redis.enabled=true,redis.url=redis://a", "redis.enabled, redis.url are set; keep one"),
    ("redis.url=redis://a,redis.existingSecret=b", "redis.url, redis.existingSecret are set; keep one"),
    (
        "redis.enabled=true,redis.networkPolicy.enabled=true",
        "redis.networkPolicy.enabled needs neverBan.nodes",
    ),
    ("redis.networkPolicy.enabled=true,neverBan.nodes={192.0.2.1}", "set redis.enabled"),
    ("redis.fleetKey.existingSecret=a", "is for a fleet; set redis.enabled"),
    ("serviceMonitor.enabled=true,podMonitor.enabled=true", "scraped twice"),
    ("podMonitor.enabled=true,metrics.address=127.0.0.1", "set it to hostIP"),
    ("kubernetesApi.enabled=true,serviceAccount.create=false", "serviceAccount.create"),
]


@pytest.mark.parametrize("major", sorted(PACKAGES))
@pytest.mark.parametrize(("given", "key"), WRONG, ids=[given for given, _ in WRONG])
def test_what_is_wrong_is_refused_with_its_key(given, key, major):
    with pytest.raises(Refused) as refused:
        render(None, f"--set={given}", major=major)

    assert "schema" in str(refused.value)
    assert key in str(refused.value)


@pytest.mark.parametrize("major", sorted(PACKAGES))
@pytest.mark.parametrize(("given", "sentence"), TOGETHER, ids=[given for given, _ in TOGETHER])
def test_what_does_not_go_together_is_refused_with_a_sentence(given, sentence, major):
    with pytest.raises(Refused) as refused:
        render(None, f"--set={given}", major=major)

    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    "given", ["global.region=eu", "updateStrategy.maxUnavailable=25%", "resources.limits.cpu=2"]
)
def test_what_is_right_is_taken(given):
    assert render(None, f"--set={given}")


def test_the_schema_is_of_the_draft_that_both_helms_read():
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"


def objects(schema, path=()):
    """Every object in the schema: where it is, and what is said of it."""
    schema = SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    if schema.get("type") == "object":
        yield ".".join(path), schema
        for key, inner in schema.get("properties", {}).items():
            yield from objects(inner, (*path, key))
    if schema.get("type") == "array":
        yield from objects(schema["items"], path)


def test_no_object_of_ours_takes_an_unknown_key():
    open_ended = {
        path for path, schema in objects(SCHEMA) if schema.get("additionalProperties", True) is True
    }

    assert open_ended == THEIRS


def described(schema, path=""):
    """The keys that the schema knows, as deep as values.yaml has them."""
    schema = SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    for key, inner in schema.get("properties", {}).items():
        yield f"{path}{key}"
        yield from described(inner, f"{path}{key}.")


def test_every_value_has_a_default_that_the_schema_knows_and_a_description():
    known = set(described(SCHEMA))

    for value in values():
        assert value.key in known, value.key
        assert value.says, f"{value.key} has no comment that begins with `# -- `"


def test_whatever_the_schema_knows_of_ours_is_in_values_yaml():
    def there(path):
        found = VALUES
        for key in path.split("."):
            if not isinstance(found, dict) or key not in found:
                return False
            found = found[key]
        return True

    optional = re.compile(
        r"(affinity|resources|seLinuxOptions|\w+Probe)\.\w+(\.|$)|^global$"
    )  # Kubernetes' own
    assert [key for key in described(SCHEMA) if not optional.search(key) and not there(key)] == []


def test_the_readme_is_of_these_values():
    """`make chart` writes it anew."""
    assert (CHART / "README.md").read_text() == readme()


def test_helm_docs_templates_are_the_ones_that_are_filled_in():
    assert "{{" not in readme()
