"""The console's files: what is served, what others made and must not change, texts in both languages."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from footfall import __version__
from footfall.storage.store import Store
from tests.query_world import World

WEB = Path(__file__).parents[1] / "web"
MODULES = sorted((WEB / "app").rglob("*.js"))
DOCS = (WEB.parent / "docs" / "console.md").read_text("utf-8")


@pytest.fixture
def world(store: Store, new_name: Callable[[str], str], tmp_path: Path) -> Iterator[World]:
    with closing(World(store, new_name("console"), tmp_path)) as opened:
        yield opened


async def get(world: World, path: str, **headers: str) -> httpx.Response:
    """Without a key: the page and its files need none."""
    return await world.client.get(path, headers={"Authorization": "", **headers})


class Loads(HTMLParser):
    """Everything that a page loads, and what it has inline."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self._tag = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        for name, value in attrs:
            if name == "style" or name.startswith("on"):
                self.inline.append(f"{tag} {name}")
            elif tag in ("script", "link", "img") and name in ("src", "href"):
                self.addresses.append(value or "")

    def handle_data(self, data: str) -> None:
        if self._tag in ("script", "style") and data.strip():
            self.inline.append(data)


async def test_the_page_loads_only_files_of_ours_that_exist(world: World) -> None:
    answer = await get(world, "/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    loads = Loads(answer.text)
    assert loads.inline == []
    assert len(loads.addresses) == 3
    for address in loads.addresses:
        assert address.startswith("/console/")
        assert (await get(world, address)).status_code == 200


async def test_the_page_says_what_it_is_also_without_scripts(world: World) -> None:
    page = await get(world, "/")
    assert f"Footfall {__version__}" in page.text
    assert "{" not in page.text
    shown = page.text.partition("<noscript>")[2]
    assert 'lang="zh-CN"' in shown
    assert 'lang="en"' in shown
    head = await world.client.head("/")
    assert (head.status_code, head.headers["content-length"]) == (200, page.headers["content-length"])


@pytest.mark.parametrize("path", ["/", "/console/vendor/echarts-6.1.0.esm.min.js"])
async def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere(world: World, path: str) -> None:
    headers = (await get(world, path)).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy.pop("default-src") == "'none'"
    assert set(policy.values()) == {"'self'", "'none'"}
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


async def test_files_may_be_kept_for_ever_and_lie_under_a_digest_of_them_all(world: World) -> None:
    (script,) = re.findall(r'src="([^"]+)"', (await get(world, "/")).text)
    answer = await get(world, script)
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    digest = hashlib.sha256()
    for path in sorted((WEB / "app").rglob("*"), key=lambda path: path.relative_to(WEB).parts):
        if path.is_file():
            name = path.relative_to(WEB / "app").as_posix()
            digest.update(f"{name} {path.stat().st_size}\n".encode() + path.read_bytes())
    assert script == f"/console/{digest.hexdigest()[:16]}/main.js"


async def test_files_come_compressed_for_those_who_take_it(world: World) -> None:
    path = "/console/vendor/echarts-6.1.0.esm.min.js"
    packed = await get(world, path, **{"Accept-Encoding": "gzip"})
    plain = await get(world, path, **{"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 2
    assert packed.content == plain.content == (WEB / "vendor/echarts-6.1.0.esm.min.js").read_bytes()


@pytest.mark.parametrize(
    "path",
    [
        "/console/",
        "/console/vendor/README.md",
        "/console/vendor/licenses/htm-LICENSE",
        "/console/vendor/../index.html",
        "/console/vendor/..%2findex.html",
        "/console/0000000000000000/main.js",
        "/console/__init__.py",
    ],
)
async def test_nothing_else_is_served(world: World, path: str) -> None:
    answer = await get(world, path)
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


def test_others_files_are_as_they_published_them() -> None:
    listed = dict(re.findall(r"^\| `([^`]+)` \|.*\| `([0-9a-f]{64})` \|$", vendor_readme(), re.MULTILINE))
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (WEB / "vendor").glob("*.js")
    }
    assert found == listed
    assert {name.split("-")[0] for name in found} <= {
        path.name.split("-")[0] for path in (WEB / "vendor" / "licenses").iterdir()
    }


def vendor_readme() -> str:
    return (WEB / "vendor" / "README.md").read_text("utf-8")


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_a_module_imports_only_files_that_are_there(module: Path) -> None:
    text = module.read_text("utf-8")
    for address in re.findall(r'(?:\bfrom |\bimport |\bimport\()"([^"]+)"', text):
        assert address.startswith("."), f"{address} would have to come from elsewhere"
        assert (module.parent / address).is_file(), address


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_a_module_makes_no_html_of_texts(module: Path) -> None:
    text = module.read_text("utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function", text)


def texts_of(language: str) -> dict[str, str]:
    source = (WEB / "app" / "texts" / f"{language}.js").read_text("utf-8")
    return dict(re.findall(r'^  "?([\w.]+)"?: "(.*)",$', source, re.MULTILINE))


def test_both_languages_say_everything() -> None:
    chinese, english = texts_of("zh"), texts_of("en")
    assert len(chinese) > 50
    assert set(chinese) == {key for key in english if not key.endswith(".one")}
    assert {key.removesuffix(".one") for key in english} == set(chinese)
    for key, text in english.items():
        wanted = set(re.findall(r"\{\w+\}", chinese[key.removesuffix(".one")]))
        assert set(re.findall(r"\{\w+\}", text)) | {"{count}"} == wanted | {"{count}"}, key


def test_every_text_is_used_and_every_used_text_is_there() -> None:
    code = "\n".join(path.read_text("utf-8") for path in MODULES if path.parent.name != "texts")
    used = set(re.findall(r'\bt\("([\w.]+)"', code))
    families = tuple(re.findall(r"\bt\(`([\w.]+\.)\$\{", code))
    known = set(texts_of("zh"))
    assert used <= known
    assert families
    assert {key for key in known - used if not key.startswith(families)} == set()


async def test_lists_the_projects_that_a_key_opens(world: World) -> None:
    listed = (await world.get("/api/v1/projects"))["projects"]
    assert {"name": world.project, "timezone": "Asia/Shanghai", "week_start": "monday"} in listed
    assert [each["name"] for each in listed] == sorted(each["name"] for each in listed)
    own = await world.get("/api/v1/projects", Authorization=f"Bearer {world.keys.secret_key}")
    assert [each["name"] for each in own["projects"]] == [world.project]
    problem = await world.get("/api/v1/projects", status=403, Authorization=f"Bearer {world.keys.write_key}")
    assert problem["code"] == "write_key"
    assert (await world.get("/api/v1/projects", status=401, Authorization=""))["code"] == "unauthorised"


def test_the_page_is_documented() -> None:
    assert "sessionStorage" in DOCS
    for name in re.findall(r"\]\((\.\./[^)]+|images/[^)]+)\)", DOCS):
        assert (WEB.parent / "docs" / name).is_file(), name
