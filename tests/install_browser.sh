#!/bin/sh
# Browser tests need a Chromium. Install Debian's where that is possible, else say exactly how.
set -e
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    echo "Installing chromium for the browser tests ..."
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq chromium >/dev/null
else
    echo "The browser tests need Chromium. Install it, then run 'make test' again:" >&2
    echo "    Debian, Ubuntu:  sudo apt-get install chromium" >&2
    echo "    Fedora:          sudo dnf install chromium" >&2
    echo "    macOS:           brew install --cask google-chrome" >&2
    exit 1
fi
