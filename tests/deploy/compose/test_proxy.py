"""Three guards behind the proxy of docker-compose.proxy.yml: discovery, drills, lost requests."""

from collections.abc import Iterator

import pytest

from tests.deploy.compose import queries
from tests.deploy.compose.docker import wait_for
from tests.deploy.compose.site import NETWORK, PROXY, REPLICAS, Site, open_site
from tests.deploy.compose.stack import Stack
from tests.deploy.fleet_load import CLIENTS, answered, lost

pytestmark = [pytest.mark.slow, pytest.mark.deploy]


def recent(series: str) -> str:
    """Return a query without the guards of earlier tests.

    Prometheus was stopped with them, so that it returns their last values for 5 minutes.
    """
    return f"({series} and timestamp({series}) > time() - 20)"


FOUND = "count({} == 1)".format(recent('up{job="oodguard"}'))
REJECTED = "sum({})".format(recent('oodguard_decisions_total{job="oodguard",decision="reject"}'))


@pytest.fixture(scope="module")
def site(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(stack, tmp_path_factory.mktemp("tls")) as opened:
        yield opened


def wait_until_used(site: Site, guard: str) -> None:
    """Wait, under load, until the proxy sends requests to a guard."""
    before = site.rejected(guard)
    wait_for(lambda: site.rejected(guard) > before, "requests to the guard", within_s=60)


def test_prometheus_finds_all_guards(site: Site) -> None:
    wait_for(lambda: queries.query(site.stack, FOUND) == [REPLICAS], "targets", within_s=120)


def test_replicas_have_separate_evidence(site: Site) -> None:
    listing = ("exec", "--no-TTY", "guard", "ls", "/var/lib/oodguard/state")
    assert {"replica-2", "replica-3"} <= {*site.stack.compose(*listing, extra=PROXY).split()}


def test_proxy_in_the_project_has_the_limits_of_its_configuration(site: Site) -> None:
    assert site.client.get("/metrics").status_code == 404
    assert site.client.get("/admin/models/reload").status_code == 404
    headers = {"content-type": "image/png"}
    large = bytes(16 * 2**20 + 1)
    assert site.client.post("/predict", content=large, headers=headers).status_code == 413


def test_rejections_of_the_fleet_are_the_sum_over_its_guards(site: Site) -> None:
    load = site.load()
    before = [site.rejected(each) for each in site.guards()]
    with load.sent() as statuses:
        answered(statuses, 200)
    after = [site.rejected(each) for each in site.guards()]
    assert set(statuses) == {200}
    assert all(now > then for then, now in zip(before, after, strict=True))
    assert sum(after) - sum(before) == statuses.total()
    wait_for(lambda: queries.query(site.stack, REJECTED) == [sum(after)], "a scrape", within_s=30)


def test_rolling_replacement_of_all_guards_loses_no_request(site: Site) -> None:
    with site.load().sent() as statuses:
        for guard in site.guards():
            before = site.guards()
            site.stack.docker("stop", "--time", "40", guard)
            assert site.stack.inspect(guard)["State"]["ExitCode"] == 0
            site.stack.docker("rm", guard)
            site.up()
            (new,) = {*site.guards()} - {*before}
            wait_until_used(site, new)
    assert set(statuses) == {200}


def test_killed_guard_loses_only_what_it_was_answering(site: Site) -> None:
    guard = site.guards()[0]
    with site.load().sent() as statuses:
        answered(statuses, 50)
        site.stack.docker("kill", guard)
        answered(statuses, 200)
        site.stack.docker("start", guard)
        site.stack.wait_until_healthy(guard, within_s=180)
        wait_until_used(site, guard)
    assert lost(statuses) <= CLIENTS


def test_guard_that_is_cut_off_loses_only_what_it_was_answering(site: Site) -> None:
    guard = site.guards()[1]
    with site.load().sent() as statuses:
        answered(statuses, 50)
        site.stack.docker("network", "disconnect", NETWORK, guard)
        answered(statuses, 200)
        site.stack.docker("network", "connect", "--alias", "guard", NETWORK, guard)
        wait_until_used(site, guard)
    assert lost(statuses) <= CLIENTS
