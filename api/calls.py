"""One call for each tag of the API document, by the client that is generated from it, checked by mypy."""

import json
import os
import time
from collections.abc import Callable
from http import HTTPStatus
from uuid import UUID

from zenovay_api_client import AuthenticatedClient, Client
from zenovay_api_client.api.account import usage_usage
from zenovay_api_client.api.analytics import analytics_overview
from zenovay_api_client.api.documents import document_changes
from zenovay_api_client.api.errors import errors_groups
from zenovay_api_client.api.events import batch_events
from zenovay_api_client.api.exports import export_manifest
from zenovay_api_client.api.heatmaps import heatmaps_pages
from zenovay_api_client.api.operations import operations_readyz
from zenovay_api_client.api.plausible import plausible_sites
from zenovay_api_client.api.public import public_live
from zenovay_api_client.api.replays import replays_sessions
from zenovay_api_client.api.script import assets_tracker
from zenovay_api_client.api.stats import stats_aggregate
from zenovay_api_client.api.tracking import tracking_hit
from zenovay_api_client.api.visitors import visitors_export
from zenovay_api_client.api.websites import websites_list
from zenovay_api_client.models.analytics_overview_range import AnalyticsOverviewRange
from zenovay_api_client.models.batch_body import BatchBody
from zenovay_api_client.models.batch_event import BatchEvent
from zenovay_api_client.models.hit_body import HitBody

URL, KEY, CODE = os.environ["ZENOVAY_URL"], os.environ["ZENOVAY_KEY"], os.environ["ZENOVAY_CODE"]
WEBSITE = UUID(os.environ["ZENOVAY_WEBSITE"])

with_key = AuthenticatedClient(base_url=URL, token=KEY, prefix="Bearer")
without_key = Client(base_url=URL)


def account() -> None:
    answer = usage_usage.sync_detailed(client=with_key)
    assert answer.status_code == HTTPStatus.OK and int(answer.headers["x-ratelimit-limit"]) > 0, answer


def websites() -> None:
    answer = websites_list.sync_detailed(client=with_key)
    assert answer.status_code == HTTPStatus.OK and str(WEBSITE).encode() in answer.content, answer


def analytics() -> None:
    answer = analytics_overview.sync_detailed(WEBSITE, client=with_key, range_=AnalyticsOverviewRange.VALUE_0)
    assert answer.status_code == HTTPStatus.OK, answer


def visitors() -> None:
    assert visitors_export.sync_detailed(WEBSITE, "visitor-nobody", client=with_key).status_code == HTTPStatus.OK


def stats() -> None:
    answer = stats_aggregate.sync_detailed(client=with_key, site_id=str(WEBSITE), metrics="visitors,bounce_rate")
    assert answer.status_code == HTTPStatus.OK, answer


def exports() -> None:
    assert export_manifest.sync_detailed(WEBSITE, client=with_key).status_code == HTTPStatus.OK


def plausible() -> None:
    assert plausible_sites.sync_detailed(client=with_key).status_code == HTTPStatus.OK


def heatmaps() -> None:
    assert heatmaps_pages.sync_detailed(WEBSITE, client=with_key).status_code == HTTPStatus.OK


def replays() -> None:
    assert replays_sessions.sync_detailed(WEBSITE, client=with_key, limit=7).status_code == HTTPStatus.OK


def errors() -> None:
    assert errors_groups.sync_detailed(WEBSITE, client=with_key).status_code == HTTPStatus.OK


def events() -> None:
    event = BatchEvent(type_="custom", ts=int(time.time() * 1000), visitor_id="visitor-py", session_id="session-py")
    answer = batch_events.sync_detailed(client=with_key, body=BatchBody(tracking_code=CODE, events=[event]))
    assert answer.status_code == HTTPStatus.OK, answer


def tracking() -> None:
    hit = HitBody(
        url="https://example.com/pricing",
        session_id="session-of-python",
        user_agent="MyServer/1.0",
        device_type="desktop",
        browser="Firefox",
        os="Linux",
    )
    answer = tracking_hit.sync_detailed(CODE, client=without_key, body=hit)
    assert answer.status_code == HTTPStatus.OK and answer.headers["x-zenovay-outcome"] == "stored", answer


def public() -> None:
    assert public_live.sync_detailed(CODE, client=without_key).status_code == HTTPStatus.OK


def script() -> None:
    assert b"zenovay" in assets_tracker.sync_detailed(client=without_key).content


def operations() -> None:
    assert operations_readyz.sync_detailed(client=without_key).status_code == HTTPStatus.OK


def documents() -> None:
    assert b"<h1>" in document_changes.sync_detailed(client=without_key).content


CALLS: dict[str, Callable[[], None]] = {
    "Account": account,
    "Websites": websites,
    "Analytics": analytics,
    "Visitors": visitors,
    "Stats": stats,
    "Exports": exports,
    "Plausible": plausible,
    "Heatmaps": heatmaps,
    "Replays": replays,
    "Errors": errors,
    "Events": events,
    "Tracking": tracking,
    "Public": public,
    "Script": script,
    "Operations": operations,
    "Documents": documents,
}

if __name__ == "__main__":
    for tag in json.loads(os.environ["ZENOVAY_TAGS"]):
        assert tag in CALLS, f"api/calls.py has no call for {tag}"
        CALLS[tag]()
