"""What every project's clients send without having declared it: names of Sensors Analytics' SDKs, and ours.

A plan need not repeat them: they are never unknown. Nor may a plan give another type to a property that the
store keeps in a column of its own (footfall/storage/columns.py, which layers keep out of reach here; a test
compares).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from footfall.tracking_plan.plan import PropertyType

_APP_EVENTS = """
$AppInstall $AppStart $AppStartPassively $AppEnd $AppViewScreen $AppClick $AppPageLeave $AppPushClick
$AppDeeplinkLaunch $AppDeeplinkMatchedResult $AppRemoteConfigChanged $AppDataTrackingClose $AppInteract
$ChannelDebugInstall $PlanPopupDisplay $ABTestTrigger AppCrashed
"""
_WEB_EVENTS = "$pageview $WebClick $WebStay $WebPageLeave $WebPageLoad $ChannelLinkReaching"
_MINI_PROGRAM_EVENTS = """
$MPLaunch $MPShow $MPHide $MPViewScreen $MPShare $MPClick $MPPageLeave $MPAddFavorites
"""
_IDENTITY_EVENTS = "$SignUp $BindID $UnbindID"

_APP_PROPERTIES = """
$os $os_version $lib $lib_version $lib_method $lib_detail $lib_plugin_version $manufacturer $model $brand
$app_version $app_id $app_name $screen_width $screen_height $screen_orientation $timezone_offset $device_id
$anonymization_id $wifi $network_type $carrier $is_first_day $is_first_time $resume_from_background
$screen_name $title $url $referrer $referrer_title $element_id $element_type $element_content
$element_position $element_path $element_selector $event_session_id $latitude $longitude
app_crashed_reason event_duration $event_duration
"""
_WEB_PROPERTIES = """
$viewport_width $viewport_height $viewport_position $latest_traffic_source_type $latest_search_keyword
$latest_referrer $latest_referrer_host $latest_landing_page $url_path $url_host $referrer_host
$element_name $element_class_name $element_target_url $page_x $page_y $page_resource_size
$first_visit_time $first_referrer $first_referrer_host $first_browser_language $first_browser_charset
$first_traffic_source_type $first_search_keyword
"""
_MINI_PROGRAM_PROPERTIES = """
$mp_client_app_version $mp_client_basic_library_version $latest_scene $scene $url_query
"""
_SERVER_PROPERTIES = """
$ip $country $province $city $receive_time $browser $browser_version $device_type $is_bot
$traffic_source_type $channel $crash_fingerprint $crash_type $crash_top_frame $original_time $device_id_list
"""

PRESET_EVENTS: Final = frozenset(
    f"{_APP_EVENTS} {_WEB_EVENTS} {_MINI_PROGRAM_EVENTS} {_IDENTITY_EVENTS}".split()
)
"""Events that SDKs send of themselves."""

PRESET_PROPERTIES: Final = frozenset(
    f"{_APP_PROPERTIES} {_WEB_PROPERTIES} {_MINI_PROGRAM_PROPERTIES} {_SERVER_PROPERTIES}".split()
)
"""Properties that SDKs send of themselves, of events and of profiles; and what enrichment adds, so that an
export of one installation is no surprise to another."""

PRESET_PREFIXES: Final = ("$utm_", "$latest_utm_", "$first_utm_", "$identity_", "$share_")
"""Beginnings of names of which there are many."""

_TEXT_COLUMNS = """
channel $app_version $os $os_version $lib $lib_version $manufacturer $model $device_type $browser
$browser_version $network_type $carrier $country $province $city $screen_name $title $url_path $url_host
$referrer_host $utm_source $utm_medium $utm_campaign $utm_content $utm_term $traffic_source_type $channel
platform page product_id fund_id currency $url $referrer $event_session_id
"""

FIXED_TYPES: Final[Mapping[str, PropertyType]] = {
    **dict.fromkeys(_TEXT_COLUMNS.split(), "string"),
    "event_duration": "number",
    "amount": "decimal",
    "balance": "decimal",
    "fee": "decimal",
    "$is_bot": "boolean",
    "$is_first_day": "boolean",
    "$is_first_time": "boolean",
}
"""Types of event properties that the store decided, whatever a plan says."""


def is_preset_property(name: str) -> bool:
    """
    >>> is_preset_property("$os"), is_preset_property("$utm_source"), is_preset_property("colour")
    (True, True, False)
    """
    return name in PRESET_PROPERTIES or name.startswith(PRESET_PREFIXES)
