# A browser without a screen opens the HTML reference; puppeteer-core drives it.
command -v chromium >/dev/null || apt_packages chromium
puppeteer="$bin/../npm/puppeteer-core"
if [ "$(cat "$puppeteer/installed" 2>/dev/null)" != 24.15.0 ]; then
	echo "testbed: installing puppeteer-core"
	rm -rf "$puppeteer" && mkdir -p "$puppeteer"
	npm install --prefix "$puppeteer" --no-audit --no-fund --no-update-notifier puppeteer-core@24.15.0 >"$bin/../puppeteer-core.log" 2>&1 &&
		echo 24.15.0 >"$puppeteer/installed" || echo "testbed: puppeteer-core could not be installed, see $bin/../puppeteer-core.log"
fi
