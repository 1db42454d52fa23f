#!/bin/sh
# Makes sure that there are the browsers that the tests drive, all of them or those named: chromium, firefox, webkit. The
# system's, else the system package, for Chromium else Playwright's.
set -eu

has() {
    for name in "$@"; do if command -v "$name" > /dev/null; then return 0; fi; done
    return 1
}

# Of several names, the first that the system has a package of.
install() {
    has apt-get || return 1
    root=""
    [ "$(id -u)" = 0 ] || root="sudo -n"
    echo "Installing $1 for the browser tests ..."
    $root apt-get update -qq || return 1
    # Unquoted where one name may be two packages.
    for package in "$@"; do
        if $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $package > /dev/null; then return 0; fi
    done
    return 1
}

without=", or test without it: .venv/bin/python -m pytest --ignore tests/browser/test_other_browsers.py"
[ $# -gt 0 ] || set -- chromium firefox webkit
for browser in "$@"; do
    case $browser in
        chromium)
            has chromium chromium-browser google-chrome || install chromium || .venv/bin/playwright install chromium && continue
            missing="Chromium and none could be installed: install your system's chromium package"
            ;;
        firefox)
            has firefox-esr firefox || install firefox-esr firefox && continue
            missing="Firefox and none could be installed: install your system's firefox package$without"
            ;;
        webkit)
            { has WebKitWebDriver && has Xvfb; } || install "webkit2gtk-driver xvfb" && continue
            missing="WebKitGTK and none could be installed: install your system's packages of WebKitWebDriver and Xvfb$without"
            ;;
    esac
    echo "error: the browser tests need $missing" >&2
    exit 2
done
