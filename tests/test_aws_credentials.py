"""Keys from wherever a process on AWS gets them, each used for a real PUT to a real S3 server.

Web identity has a real STS to itself: test_web_identity.py.
"""

import pytest
from aws_peers import ContainerAgent, InstanceMetadata
from s3_server import S3Server
from support import event, eventually

QUICK = ("--worker-backoff-ms-max", "200", "--archive-linger-ms", "50")


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    server = S3Server(tmp_path_factory.mktemp("s3")).start()
    server.make_bucket("archive")
    yield server
    server.stop()


@pytest.fixture
def archive(s3, request):
    """The settings of an archive below a prefix of its own."""
    prefix = request.node.name.split("[")[0]
    return {"CA4_ARCHIVE_S3_BUCKET": "archive", "CA4_ARCHIVE_S3_ENDPOINT": s3.endpoint, "CA4_ARCHIVE_S3_PREFIX": prefix}


@pytest.fixture
def peer(s3, request):
    """peer(InstanceMetadata) starts one that has the server's keys."""
    started = []

    def start(kind, **keywords):
        started.append(kind(s3.access, s3.secret, **keywords))
        return started[-1]

    yield start
    for one in started:
        one.close()


def assert_archives(server, s3, archive):
    """An event that is accepted now comes to be in the bucket."""
    before = len(objects(s3, archive))
    server.accept(event())
    eventually(lambda: len(objects(s3, archive)) > before, "the event is in the bucket")


def objects(s3, archive):
    return [key for key in s3.keys("archive") if key.startswith(archive["CA4_ARCHIVE_S3_PREFIX"] + "/")]


def test_of_an_instance(s3, archive, peer, up):
    service = peer(InstanceMetadata)
    server = up(*QUICK, env=archive | {"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": service.url})
    assert_archives(server, s3, archive)
    assert ("PUT", "/latest/api/token") in service.asked


def test_of_a_pod_by_its_agent(s3, archive, peer, up, tmp_path):
    agent = peer(ContainerAgent)
    token = tmp_path / "token"
    token.write_text("not-yet\n")
    server = up(
        *QUICK,
        env=archive
        | {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": agent.url + "/v1/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
        },
    )
    eventually(lambda: "/v1/credentials: status 401" in server.said(), "a token that is not taken is told")
    token.write_text("pod-token\n")  # as Kubernetes renews it
    assert_archives(server, s3, archive)


def test_that_expire_are_renewed(s3, archive, peer, up):
    # Shorter than the time before the end at which they are renewed, so that each request may ask.
    service = peer(InstanceMetadata, lifetime_s=20)
    server = up(*QUICK, env=archive | {"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": service.url})
    assert_archives(server, s3, archive)
    first = service.asked.count(("PUT", "/latest/api/token"))

    def renewed():
        server.accept(event())
        return service.asked.count(("PUT", "/latest/api/token")) > first

    eventually(renewed, "the service is asked again before the keys end")
    assert "archive_put fails" not in server.said()


def test_that_a_role_lost_are_read_anew_without_a_restart(s3, archive, peer, up):
    service = peer(InstanceMetadata)
    service.secret = "an-old-one"
    server = up(*QUICK, env=archive | {"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": service.url})
    server.accept(event())
    eventually(lambda: "the keys are from instance role ca4-role" in server.said(), "whose keys they are")
    service.secret = s3.secret
    assert_archives(server, s3, archive)
    assert "an-old-one" not in server.said()


def test_of_a_chosen_profile_alone(s3, archive, up, tmp_path):
    keys = tmp_path / "credentials"
    keys.write_text(f"[mine]\naws_access_key_id={s3.access}\naws_secret_access_key={s3.secret}\n")
    env = archive | {"AWS_SHARED_CREDENTIALS_FILE": str(keys), "AWS_ACCESS_KEY_ID": "other", "AWS_SECRET_ACCESS_KEY": "other"}
    assert_archives(up(*QUICK, "--archive-s3-profile", "mine", env=env), s3, archive)
