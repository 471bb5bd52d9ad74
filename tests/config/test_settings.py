"""Settings: which source wins, what a mistake is told, and that no secret gets out."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml

from isthmus.config.errors import ConfigError
from isthmus.config.load import load_settings
from isthmus.config.settings import Settings, bootstrap_servers

SECRET = "s3cr3t-lamp"
SALESFORCE = {"login_url": "https://lamp.my.salesforce.com", "client_id": "lamp", "client_secret": SECRET}
DYNAMICS = {"url": "https://lamp.crm.dynamics.com", "tenant": "t", "client_id": "c", "client_secret": SECRET}


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings but the test's own."""
    for name in os.environ:
        if name.startswith("ISTHMUS_") or name == "KAFKA_URL":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def written(path: Path, declared: Any) -> Path:
    path.write_text(yaml.safe_dump(declared))
    return path


def test_everything_has_a_default_and_no_platform_is_needed() -> None:
    settings = load_settings()
    assert (settings.kafka.bootstrap, settings.node.own_url) == ("localhost:9092", "http://127.0.0.1:8080")
    assert settings.salesforce is settings.dynamics is None


def test_each_source_wins_over_the_next(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in ("name", "namespace", "http_host"):
        (secrets / f"node__{name}").write_text("secret\n")
    file = written(tmp_path / "x.yaml", {"node": dict.fromkeys(["name", "namespace", "http_host", "instance"], "file")})
    monkeypatch.setenv("ISTHMUS_SECRETS_DIR", str(secrets))
    monkeypatch.setenv("ISTHMUS_NODE__NAME", "variable")
    monkeypatch.setenv("ISTHMUS_NODE__NAMESPACE", "variable")
    node = load_settings(file, node={"name": "argument"}).node
    assert (node.name, node.namespace, node.http_host, node.instance) == ("argument", "variable", "secret", "file")
    assert node.partitions == 4


def test_the_file_is_the_named_one_or_else_the_one_beside_us(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    written(tmp_path / "isthmus.yaml", {"log_level": "error"})
    assert load_settings().log_level == "error"
    monkeypatch.setenv("ISTHMUS_CONFIG", str(written(tmp_path / "other.yaml", {"log_level": "debug"})))
    assert load_settings().log_level == "debug"
    assert load_settings(written(tmp_path / "third.yaml", {"log_level": "warning"})).log_level == "warning"


@pytest.mark.parametrize(
    "url", ["kafka://one:9092;two:9093", "one:9092, two:9093", "kafka://one:9092,kafka://two:9093"]
)
def test_kafka_is_named_in_either_way(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("KAFKA_URL", url)
    assert load_settings().kafka.bootstrap == bootstrap_servers(url) == "one:9092,two:9093"
    monkeypatch.setenv("ISTHMUS_KAFKA__URL", "three:9092")
    assert load_settings().kafka.bootstrap == "three:9092"


@pytest.mark.parametrize(
    ("variable", "suggested"),
    [("ISTHMUS_KAFKAA__URL", "ISTHMUS_KAFKA__URL"), ("ISTHMUS_NODE__PARTITION", "ISTHMUS_NODE__PARTITIONS")],
)
def test_a_variable_that_is_no_setting_is_an_error(
    monkeypatch: pytest.MonkeyPatch, variable: str, suggested: str
) -> None:
    monkeypatch.setenv(variable, SECRET)
    with pytest.raises(ConfigError, match=rf"{variable}: .*did you mean {suggested}\?") as caught:
        load_settings()
    assert SECRET not in str(caught.value)


def test_a_key_of_the_file_that_is_no_setting_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"node\.prtitions: .*did you mean node\.partitions\?"):
        load_settings(written(tmp_path / "x.yaml", {"node": {"prtitions": 8}}))


def test_a_secret_file_that_is_no_setting_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    (secrets / "..data").mkdir(parents=True)
    monkeypatch.setenv("ISTHMUS_SECRETS_DIR", str(secrets))
    load_settings()
    (secrets / "slesforce__client_secret").write_text(SECRET)
    with pytest.raises(ConfigError, match=r"did you mean salesforce__client_secret\?"):
        load_settings()


def test_a_secrets_folder_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ISTHMUS_SECRETS_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="not a folder"):
        load_settings()


@pytest.mark.parametrize("content", [f"salesforce: {{client_secret: {SECRET}\n", f"- {SECRET}\n", f"a: b: {SECRET}\n"])
def test_a_file_that_cannot_be_read_is_not_quoted(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.yaml").write_text(content)
    with pytest.raises(ConfigError, match=r"x\.yaml: not ") as caught:
        load_settings(tmp_path / "x.yaml")
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_file_that_is_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_settings(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    "declared",
    [
        {"salesforce": {**SALESFORCE, "api_version": SECRET}},
        {"salesforce": SECRET},
        {"dynamics": {**DYNAMICS, "webhook": {"keys": SECRET}}},
        {"dynamics": {**DYNAMICS, "webhook": {"kind": "key", "name": "code2", "keys": [SECRET]}}},
        {"dynamics": {**DYNAMICS, "webhook": {"keys": [SECRET, ""]}}},
        {"dynamics": {**DYNAMICS, "webhook": {"keys": []}}},
    ],
)
def test_a_wrong_value_is_named_by_its_place_and_never_quoted(tmp_path: Path, declared: Any) -> None:
    with pytest.raises(ConfigError, match=r"^(salesforce|dynamics)") as caught:
        load_settings(written(tmp_path / "x.yaml", declared))
    assert SECRET not in str(caught.value) + repr(caught.value.__cause__)


def test_a_variable_that_is_not_json_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISTHMUS_DYNAMICS__WEBHOOK__KEYS", SECRET)
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert SECRET not in str(caught.value)
    assert "JSON" in caught.value.hint


def test_no_secret_is_ever_printed() -> None:
    webhook = {"keys": [SECRET]}
    settings = load_settings(salesforce=SALESFORCE, dynamics={**DYNAMICS, "webhook": webhook})
    assert SECRET not in f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"
    assert settings.salesforce is not None
    assert settings.salesforce.client_secret is not None
    assert settings.salesforce.client_secret.get_secret_value() == SECRET


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().log_level = "debug"  # type: ignore[misc]


def test_a_url_is_kept_without_its_last_slash() -> None:
    settings = load_settings(salesforce={**SALESFORCE, "login_url": "https://lamp.my.salesforce.com/"})
    assert settings.salesforce is not None
    assert settings.salesforce.login_url == "https://lamp.my.salesforce.com"


def test_two_workers_of_one_host_have_names_of_their_own() -> None:
    one, two = load_settings(node={"http_port": 1001}), load_settings(node={"http_port": 1002})
    assert one.node.instance != two.node.instance


def test_a_worker_that_listens_everywhere_is_reached_by_its_hosts_name() -> None:
    node = load_settings(node={"http_host": "0.0.0.0", "http_port": 1001}).node
    assert node.own_url == f"http://{socket.gethostname()}:1001"
    assert node.model_copy(update={"advertised_url": "https://lamp"}).own_url == "https://lamp"


OPERATIONS = {"url": "https://lamp.operations.dynamics.com", "tenant": "t", "client_id": "c", "client_secret": SECRET}


def test_operations_takes_events_by_several_keys_and_shows_none_of_them() -> None:
    given = {**OPERATIONS, "company": "USMF", "event_keys": ["old-lamp", "new-lamp"]}
    settings = load_settings(operations=given)
    assert settings.operations is not None
    assert [key.get_secret_value() for key in settings.operations.event_keys] == ["old-lamp", "new-lamp"]
    assert "lamp" not in repr(settings.operations).replace("lamp.operations", "")


def test_operations_proves_itself_by_a_file_as_dynamics_does() -> None:
    given = {**OPERATIONS, "company": "usmf", "client_secret": None, "secret_file": "/run/secret"}
    settings = Settings.model_validate({"operations": given})
    assert settings.operations is not None
    told = settings.operations
    assert (told.secret, told.secret_file, told.issuer) == (
        "",
        Path("/run/secret"),
        "https://login.microsoftonline.com",
    )
    with pytest.raises(ValueError, match="give one of"):
        Settings.model_validate({"operations": {**given, "client_secret": SECRET}})


@pytest.mark.parametrize("wrong", [{"company": "usmfx"}, {"company": ""}, {"company": "u", "event_keys": [""]}])
def test_a_company_or_an_event_key_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"operations\."):
        load_settings(operations={**OPERATIONS, **wrong})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "set one of"),
        ({"client_secret": SECRET, "client_secret_file": "/run/secret"}, "set one of"),
        ({"private_key_file": "/run/key.pem"}, "go together"),
        ({"client_secret": SECRET, "username": "robot@example.com"}, "go together"),
    ],
)
def test_salesforce_is_logged_in_to_in_one_way(given: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load_settings(salesforce={"login_url": "https://a.example", "client_id": "x", **given})


@pytest.mark.parametrize(
    "given",
    [{"client_secret_file": "/run/secret"}, {"private_key_file": "/run/key.pem", "username": "robot@example.com"}],
)
def test_a_secret_or_a_key_may_be_a_file(given: dict[str, str]) -> None:
    settings = load_settings(salesforce={"login_url": "https://a.example", "client_id": "x", **given})
    assert settings.salesforce is not None
    assert settings.salesforce.client_secret is None


@pytest.mark.parametrize(
    ("more", "issuer"),
    [
        ({}, "https://login.microsoftonline.com"),
        ({"url": "https://o.crm9.dynamics.com"}, "https://login.microsoftonline.com"),
        ({"url": "https://o.crm.microsoftdynamics.us", "cloud": "usgov"}, "https://login.microsoftonline.us"),
        ({"url": "https://o.crm.appsplatform.us", "cloud": "usgovdod"}, "https://login.microsoftonline.us"),
        ({"url": "https://o.crm.dynamics.cn", "cloud": "china"}, "https://login.partner.microsoftonline.cn"),
        ({"authority": "https://localhost:1"}, "https://localhost:1"),
    ],
)
def test_each_cloud_logs_in_at_its_own_authority(more: dict[str, str], issuer: str) -> None:
    settings = Settings.model_validate({"dynamics": {**DYNAMICS, **more}})
    assert settings.dynamics is not None
    assert settings.dynamics.issuer == issuer


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"url": "https://o.crm.dynamics.cn"}, "of the cloud china"),
        ({"cloud": "usgov"}, "of the cloud public"),
        ({"secret_file": "s"}, "give one of"),
        ({"client_secret": None}, "give one of"),
    ],
)
def test_a_secret_goes_to_no_other_cloud_and_there_is_one_proof(more: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Settings.model_validate({"dynamics": {**DYNAMICS, **more}})


def test_what_stands_below_a_further_platform_is_its_own_from_every_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "isthmus.yaml").write_text("platforms: {lamp: {folder: /lamp}}")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "platforms__lamp__token").write_text(SECRET)
    monkeypatch.setenv("ISTHMUS_SECRETS_DIR", str(tmp_path / "secrets"))
    monkeypatch.setenv("ISTHMUS_PLATFORMS__LAMP__EVERY", "3")
    settings = load_settings(tmp_path / "isthmus.yaml")
    assert settings.platforms == {"lamp": {"folder": "/lamp", "every": "3", "token": SECRET}}
    assert SECRET not in repr(settings)
    monkeypatch.setenv("ISTHMUS_PLATFORM__LAMP__EVERY", "3")
    with pytest.raises(ConfigError, match="no such setting"):
        load_settings(tmp_path / "isthmus.yaml")
