"""By which names the demo may be called, and which pages are its own."""

import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dyto
from dyto.demo.addresses import Addresses


@pytest.mark.parametrize(
    ("host", "public", "good", "bad"),
    [
        ("127.0.0.1", None, ["127.0.0.1:80", "127.0.0.1", "localhost", "LocalHost:80", "[::1]:80"],
         ["127.0.0.2", "10.0.0.1", "a.example", "localhost.", "localhost:81", "0.0.0.0", "[::]", "", None, "a b", ":80",
          "127.0.0.1:", "127.0.0.1:80:80", "[127.0.0.1", "user@localhost", "localhost/x", "127.0.0.1:999999", "127.1"]),
        ("::1", None, ["[::1]", "[0:0:0:0:0:0:0:1]:80", "localhost"], ["[::2]", "::1", "a.example"]),
        ("127.0.0.5", None, ["127.0.0.5", "localhost"], ["127.0.0.6"]),
        ("192.168.1.5", None, ["192.168.1.5:80"], ["localhost", "127.0.0.1", "192.168.1.6", "a.example"]),
        ("box.lan", None, ["box.lan", "BOX.lan:80"], ["localhost", "a.example"]),
        ("0.0.0.0", None, ["192.168.1.5", "localhost", "127.0.0.1", "[fe80::1]", socket.gethostname()],
         ["a.example", "192.168.1.5.nip.example", "192.168.1.5:81"]),
        ("::", None, ["[fe80::1]", "localhost", "10.1.2.3"], ["a.example"]),
        ("127.0.0.1", "https://a.example", ["a.example", "A.example:443", "127.0.0.1:80"],
         ["b.example", "a.example:80", "a.example.b.example", "x.a.example"]),
        ("127.0.0.1", "http://a.example:8000/x/", ["a.example:8000", "localhost"], ["a.example", "a.example:80"]),
    ],
)  # fmt: skip
def test_hosts_are_those_where_it_listens_and_the_public_one(host, public, good, bad):
    addresses = Addresses(host, 80, public)
    assert [name for name in good if not addresses.knows(name)] == []
    assert [name for name in bad if addresses.knows(name)] == []


def test_an_origin_is_the_host_itself_or_the_public_one():
    plain, public = Addresses("0.0.0.0", 7860), Addresses("127.0.0.1", 7860, "https://a.example/x")
    assert plain.same("http://10.0.0.1:7860", "10.0.0.1:7860")
    assert public.same("https://a.example", "a.example")
    assert public.same("https://a.example:443", "127.0.0.1:7860")  # a proxy that names us by our own address
    assert public.same("http://127.0.0.1:7860", "127.0.0.1:7860")
    for origin in ("http://10.0.0.2:7860", "http://10.0.0.1", "https://10.0.0.1:7860", "null", "", "10.0.0.1:7860",
                   "ftp://10.0.0.1:7860", "http://10.0.0.1:7860/", "http://10.0.0.1:7860.a.example"):  # fmt: skip
        assert not plain.same(origin, "10.0.0.1:7860"), origin
    for origin in ("http://a.example", "https://b.example", "https://a.example:7860", "https://a.example.b.example"):
        assert not public.same(origin, "a.example"), origin


@settings(derandomize=True, database=None, deadline=None, max_examples=200)
@given(name=st.from_regex(r"[a-z0-9.-]{1,30}", fullmatch=True), port=st.sampled_from(["", ":7860", ":80"]))
def test_no_name_leads_in_but_the_known(name, port):
    known = {"localhost", "127.0.0.1"}
    assert Addresses("127.0.0.1", 7860).knows(name + port) == (name in known and port == ":7860")


@pytest.mark.parametrize(
    "url",
    ["a.example", "ftp://a.example", "https://", "https://a b", "https://u:p@a.example", "https://a.example/?x", "//a"],
)
def test_a_public_address_that_is_none_is_told(url):
    with pytest.raises(dyto.ConfigError, match="is not a public address"):
        Addresses("127.0.0.1", 7860, url)


def test_what_a_public_address_says_of_the_page():
    addresses = Addresses("127.0.0.1", 7860, "https://a.example/videos/")
    assert (addresses.root, addresses.prefix, addresses.encrypted) == ("https://a.example/videos", "/videos", True)
    plain = Addresses("::1", 7860)
    assert (plain.root, plain.prefix, plain.encrypted, plain.local) == (None, "", False, "http://[::1]:7860/")
