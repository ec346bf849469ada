"""What Envoy is given is what is shipped for it in `deploy/`, but for who verifies and where things are."""

from pathlib import Path

from gateway.proxyconfig.folders import shipped

DEPLOY = Path(__file__).parents[3] / "deploy" / "envoy" / "envoy.yaml"

_LUA = "type.googleapis.com/envoy.extensions.filters.http.lua.v3"

# What stands here beyond what is shipped.
ADDED = (
    f"""\
                            admission:
                              "@type": {_LUA}.LuaPerRoute
                              disabled: true
""",
    f"""\
                  # Behind the script above, which takes away what visitors say of themselves.
                  - name: admission
                    typed_config:
                      "@type": {_LUA}.Lua
                      default_source_code: {{filename: @FOLDER@/admission.lua}}
""",
    """\
                      # Everybody is asked about, but who was admitted by the script before this.
                      filter_enabled_metadata:
                        filter: admission
                        path: [{key: verified}]
                        value: {bool_match: true}
                        invert: true
""",
)

# What stands here, and in the shipped file.
PLACES = (
    ("@LISTEN@", "{address: 0.0.0.0, port_value: 80}"),
    ('"http://@GATEWAY@"', "http://127.0.0.1:8080"),
    ("@GATEWAY_TYPE@", "STATIC"),
    ("@SITE_TYPE@", "STATIC"),
    ("@GATEWAY_ADDRESS@", "{address: 127.0.0.1, port_value: 8080}"),
    ("@SITE_ADDRESS@", "{address: 127.0.0.1, port_value: 3000}"),
)


def test_what_asks_the_gateway_is_the_same_with_and_without_passes_verified_here() -> None:
    text = shipped("envoy/envoy.yaml").decode()
    for added in ADDED:
        assert text.count(added) == 1
        text = text.replace(added, "")
    for here, there in PLACES:
        assert text.count(here) == 1
        text = text.replace(here, there)
    both = (text, DEPLOY.read_text("utf-8"))
    # The comments at the top say of each what it is.
    ours, theirs = (written[written.index("static_resources:") :] for written in both)
    assert ours == theirs
