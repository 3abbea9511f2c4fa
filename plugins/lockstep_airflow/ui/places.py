"""Where in Airflow's own pages the web UI is shown.

Rules:
- One bundle for all places. Airflow keeps a module by its address, and takes what it leaves as its component: so each
  place has an address of its own, which says where it is (`d=`), and what the bundle's content is (`v=`).
- Addresses are relative: Airflow may be served below a path.
- Every process of Airflow may ask for them: the bundle is read, and nothing else is imported.
"""

from typing import Any, Final

from lockstep_airflow.ui.dist import BUNDLE, ICON, version_of

# A name becomes a global variable of Airflow's page, and the title of a tab.
_PLACES: Final = (
    {"destination": "nav", "name": "Lockstep", "url_route": "lockstep", "nav_top_level": True},
    {"destination": "dashboard", "name": "LockstepCard", "url_route": "lockstep_card"},
    {"destination": "dag", "name": "Release group", "url_route": "lockstep_group"},
    {"destination": "task_instance", "name": "Lockstep made", "url_route": "lockstep_made"},
)


def places() -> list[dict[str, Any]]:
    """The React apps of the plugin, as Airflow reads them."""
    icon = version_of(ICON)
    shown = {"icon": f"lockstep/ui/{ICON}?v={icon}"} if icon else {}
    return [{**place, **shown, "bundle_url": _address(str(place["destination"]))} for place in _PLACES]


def _address(destination: str) -> str:
    return f"lockstep/ui/{BUNDLE}?d={destination}&v={version_of(BUNDLE)}"
