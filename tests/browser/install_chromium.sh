#!/bin/sh
# Makes sure that there is a Chromium for the browser tests: the system's, else the system package, else Playwright's.
set -eu
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" > /dev/null; then exit 0; fi
done
if command -v apt-get > /dev/null; then
    root=""
    [ "$(id -u)" = 0 ] || root="sudo -n"
    echo "Installing the system's Chromium for the browser tests ..."
    if $root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $root apt-get install -y -qq chromium > /dev/null; then exit 0; fi
fi
if .venv/bin/playwright install chromium; then exit 0; fi
echo "error: the browser tests need Chromium and none could be installed: install your system's chromium package" >&2
exit 2
