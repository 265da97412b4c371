"""One call for each tag of the API document, by the client that is generated from it, checked by mypy."""

import json
import os
import time
from collections.abc import Callable
from http import HTTPStatus
from uuid import UUID

from zenovay_api_client import AuthenticatedClient, Client
from zenovay_api_client.api.account import usage_usage
from zenovay_api_client.api.activity import activity_show
from zenovay_api_client.api.analytics import analytics_overview
from zenovay_api_client.api.application import application_start
from zenovay_api_client.api.assistants import mcp_message
from zenovay_api_client.api.audit_trail import trail_list
from zenovay_api_client.api.captures import capture_performance
from zenovay_api_client.api.dashboard import numbers_totals
from zenovay_api_client.api.doctor import doctor_show
from zenovay_api_client.api.documents import document_changes
from zenovay_api_client.api.errors import errors_groups
from zenovay_api_client.api.errors_of_the_console import error_groups_list
from zenovay_api_client.api.events import batch_events
from zenovay_api_client.api.exports import export_manifest
from zenovay_api_client.api.first_run import welcome_take_over
from zenovay_api_client.api.funnels import funnels_list
from zenovay_api_client.api.goals import goals_create
from zenovay_api_client.api.heatmaps import heatmaps_pages
from zenovay_api_client.api.install_check import install_show
from zenovay_api_client.api.invitations import invitations_list
from zenovay_api_client.api.keys import keys_own
from zenovay_api_client.api.live import live_show
from zenovay_api_client.api.long_questions import queries_show
from zenovay_api_client.api.lost_passwords import resets_ask
from zenovay_api_client.api.mcp_clients import mcp_clients_list
from zenovay_api_client.api.o_auth import oauth_server
from zenovay_api_client.api.operations import operations_readyz
from zenovay_api_client.api.own_account import account_show
from zenovay_api_client.api.page_speed import performance_pages, performance_report
from zenovay_api_client.api.passkeys import passkeys_list
from zenovay_api_client.api.people import audience_list
from zenovay_api_client.api.plans import plan_usage
from zenovay_api_client.api.plausible import plausible_sites
from zenovay_api_client.api.public import public_live
from zenovay_api_client.api.public_links import shares_create, shares_show
from zenovay_api_client.api.recordings import capture_replay_replay
from zenovay_api_client.api.replays import replays_sessions
from zenovay_api_client.api.replays_of_the_console import session_replays_list
from zenovay_api_client.api.script import assets_tracker
from zenovay_api_client.api.second_factor import second_factor_sign_in_with_code
from zenovay_api_client.api.server import instance_show
from zenovay_api_client.api.sign_up import users_sign_up
from zenovay_api_client.api.signing_in import session_begin
from zenovay_api_client.api.source_maps import source_maps_list
from zenovay_api_client.api.stats import stats_aggregate, stats_replays
from zenovay_api_client.api.status_page import status_show
from zenovay_api_client.api.teams import teams_edit
from zenovay_api_client.api.tracking import tracking_hit
from zenovay_api_client.api.visitors import visitors_export
from zenovay_api_client.api.websites import websites_list
from zenovay_api_client.api.websites_of_the_console import sites_create
from zenovay_api_client.models.analytics_overview_range import AnalyticsOverviewRange
from zenovay_api_client.models.batch_body import BatchBody
from zenovay_api_client.models.batch_event import BatchEvent
from zenovay_api_client.models.code import Code
from zenovay_api_client.models.credentials import Credentials
from zenovay_api_client.models.goal_body import GoalBody
from zenovay_api_client.models.hit_body import HitBody
from zenovay_api_client.models.lost_password import LostPassword
from zenovay_api_client.models.mcp_message_body import McpMessageBody
from zenovay_api_client.models.new_user import NewUser
from zenovay_api_client.models.new_website_body import NewWebsiteBody
from zenovay_api_client.models.performance_report_response_200 import PerformanceReportResponse200
from zenovay_api_client.models.replay_chunk_body import ReplayChunkBody
from zenovay_api_client.models.share_body import ShareBody
from zenovay_api_client.models.team_edit import TeamEdit
from zenovay_api_client.models.vitals_body import VitalsBody
from zenovay_api_client.models.welcome import Welcome

URL, KEY, CODE = os.environ["ZENOVAY_URL"], os.environ["ZENOVAY_KEY"], os.environ["ZENOVAY_CODE"]
WEBSITE, TEAM = UUID(os.environ["ZENOVAY_WEBSITE"]), UUID(os.environ["ZENOVAY_TEAM"])
EMAIL, PASSWORD = os.environ["ZENOVAY_EMAIL"], os.environ["ZENOVAY_PASSWORD"]

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
    assert stats_replays.sync_detailed(client=with_key, site_id=str(WEBSITE)).status_code == HTTPStatus.OK


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


def captures() -> None:
    visit = "session-of-python"
    speed = VitalsBody(url="https://example.com/pricing", session_id=visit, view_id="view-py-1", lcp=1843.2, cls_=0.03)
    answer = capture_performance.sync_detailed(CODE, client=without_key, body=speed)
    assert answer.status_code == HTTPStatus.OK, answer


def recordings() -> None:
    event = {"type": 3, "data": {}, "timestamp": int(time.time() * 1000)}
    chunk = {"url": "https://example.com/pricing", "session_id": "session-of-python", "replay_id": "0" * 32, "seq": 0}
    body = ReplayChunkBody.from_dict({**chunk, "events": [event]})
    answer = capture_replay_replay.sync_detailed(CODE, client=without_key, body=body)
    assert answer.status_code == HTTPStatus.OK, answer


def replays_of_the_console() -> None:
    assert session_replays_list.sync_detailed(WEBSITE, client=with_key).status_code == HTTPStatus.OK


def source_maps() -> None:
    assert source_maps_list.sync_detailed(WEBSITE, client=with_key).status_code == HTTPStatus.OK


def page_speed() -> None:
    answer = performance_report.sync_detailed(WEBSITE, client=with_key)
    assert answer.status_code == HTTPStatus.OK, answer
    assert isinstance(answer.parsed, PerformanceReportResponse200), answer
    speed = answer.parsed.data
    assert speed.views >= 1 and speed.metrics.lcp is not None and speed.metrics.cls_ is not None, speed
    assert performance_pages.sync_detailed(WEBSITE, client=with_key).status_code == HTTPStatus.OK


def errors_of_the_console() -> None:
    assert error_groups_list.sync_detailed(WEBSITE, client=with_key).status_code == HTTPStatus.OK


def public() -> None:
    assert public_live.sync_detailed(CODE, client=without_key).status_code == HTTPStatus.OK


def script() -> None:
    assert b"zenovay" in assets_tracker.sync_detailed(client=without_key).content


def operations() -> None:
    assert operations_readyz.sync_detailed(client=without_key).status_code == HTTPStatus.OK


def documents() -> None:
    assert b"<h1>" in document_changes.sync_detailed(client=without_key).content


def application() -> None:
    assert b"zenovay" in application_start.sync_detailed(client=without_key).content


def server() -> None:
    assert instance_show.sync_detailed(client=without_key).status_code == HTTPStatus.OK


def teams() -> None:
    answer = teams_edit.sync_detailed(TEAM, client=with_key, body=TeamEdit(name=""))
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY, answer


def keys() -> None:
    # Keys are of people: a key does not make another one.
    refused = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
    assert keys_own.sync_detailed(client=with_key).status_code in refused


def plans() -> None:
    assert plan_usage.sync_detailed(TEAM, client=with_key).status_code == HTTPStatus.OK


def doctor() -> None:
    assert doctor_show.sync_detailed(client=with_key).status_code == HTTPStatus.OK


def activity() -> None:
    assert activity_show.sync_detailed(client=with_key).status_code == HTTPStatus.OK


def audit_trail() -> None:
    assert trail_list.sync_detailed(TEAM, client=with_key, limit=1).status_code == HTTPStatus.OK


def signing_in() -> None:
    answer = session_begin.sync_detailed(client=without_key, body=Credentials(email=EMAIL, password=PASSWORD))
    assert answer.status_code == HTTPStatus.OK, answer
    cookie = answer.headers["set-cookie"].split(";")[0]
    person = AuthenticatedClient(base_url=URL, token=cookie, prefix="", auth_header_name="Cookie")
    assert account_show.sync_detailed(client=person).status_code == HTTPStatus.OK


def own_account() -> None:
    assert account_show.sync_detailed(client=with_key).status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


def second_factor() -> None:
    # There is no sign-in that waits for a code.
    answer = second_factor_sign_in_with_code.sync_detailed(client=without_key, body=Code(code="123456"))
    assert answer.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN), answer


def sign_up() -> None:
    body = NewUser(email="python@example.com", name="Python", password=PASSWORD)
    assert users_sign_up.sync_detailed(client=without_key, body=body).status_code == HTTPStatus.FORBIDDEN


def lost_passwords() -> None:
    body = LostPassword(email="nobody@example.com")
    assert resets_ask.sync_detailed(client=without_key, body=body).status_code == HTTPStatus.OK


def first_run() -> None:
    body = Welcome(token="not-the-one", email="late@example.com", name="Late", password=PASSWORD)
    assert welcome_take_over.sync_detailed(client=without_key, body=body).status_code == HTTPStatus.NOT_FOUND


def invitations() -> None:
    assert invitations_list.sync_detailed(TEAM, client=with_key).status_code == HTTPStatus.OK


def websites_of_the_console() -> None:
    body = NewWebsiteBody(team_id=str(TEAM), domain="not a domain")
    answer = sites_create.sync_detailed(client=with_key, body=body)
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY and b"Invalid" in answer.content, answer


def install_check() -> None:
    assert install_show.sync_detailed(WEBSITE, client=with_key).status_code == HTTPStatus.OK


def live() -> None:
    assert live_show.sync_detailed(WEBSITE, client=with_key).status_code == HTTPStatus.OK


def people() -> None:
    assert audience_list.sync_detailed(WEBSITE, client=with_key, limit=1).status_code == HTTPStatus.OK


def dashboard() -> None:
    assert numbers_totals.sync_detailed(WEBSITE, client=with_key).status_code == HTTPStatus.OK


def public_links() -> None:
    made = shares_create.sync_detailed(WEBSITE, client=with_key, body=ShareBody(name="Python"))
    assert made.status_code == HTTPStatus.CREATED, made
    token = json.loads(made.content)["data"]["token"]
    assert shares_show.sync_detailed(token, client=without_key).status_code == HTTPStatus.OK


def goals() -> None:
    made = goals_create.sync_detailed(WEBSITE, client=with_key, body=GoalBody(name="Python", type_="page", value="/"))
    assert made.status_code == HTTPStatus.CREATED and made.headers["location"], made


def long_questions() -> None:
    answer = queries_show.sync_detailed("0" * 32, client=with_key)
    assert answer.status_code == HTTPStatus.NOT_FOUND, answer


def own_passkeys() -> None:
    # Passkeys are of people: a key reads none.
    assert passkeys_list.sync_detailed(client=with_key).status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


def mcp_clients() -> None:
    # As passkeys are.
    assert mcp_clients_list.sync_detailed(client=with_key).status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


def oauth() -> None:
    assert oauth_server.sync_detailed(client=without_key).status_code == HTTPStatus.OK


def assistants() -> None:
    asked = McpMessageBody(jsonrpc="2.0", id=1, method="tools/list")
    assert mcp_message.sync_detailed(client=with_key, body=asked).status_code == HTTPStatus.OK


def status_page() -> None:
    assert status_show.sync_detailed(client=without_key).status_code == HTTPStatus.OK


def funnels() -> None:
    assert funnels_list.sync_detailed(WEBSITE, client=with_key).status_code == HTTPStatus.OK


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
    "Captures": captures,
    "Page speed": page_speed,
    "Recordings": recordings,
    "Replays of the console": replays_of_the_console,
    "Source maps": source_maps,
    "Errors of the console": errors_of_the_console,
    "Public": public,
    "Script": script,
    "Operations": operations,
    "Activity": activity,
    "Doctor": doctor,
    "Documents": documents,
    "Application": application,
    "Server": server,
    "Teams": teams,
    "Keys": keys,
    "Plans": plans,
    "Audit trail": audit_trail,
    "Signing in": signing_in,
    "Own account": own_account,
    "Second factor": second_factor,
    "Sign-up": sign_up,
    "Lost passwords": lost_passwords,
    "First run": first_run,
    "Invitations": invitations,
    "Websites of the console": websites_of_the_console,
    "Install check": install_check,
    "Live": live,
    "People": people,
    "Dashboard": dashboard,
    "Public links": public_links,
    "Goals": goals,
    "Funnels": funnels,
    "Passkeys": own_passkeys,
    "MCP clients": mcp_clients,
    "OAuth": oauth,
    "Assistants": assistants,
    "Status page": status_page,
    "Long questions": long_questions,
}

if __name__ == "__main__":
    for tag in json.loads(os.environ["ZENOVAY_TAGS"]):
        assert tag in CALLS, f"api/calls.py has no call for {tag}"
        CALLS[tag]()
