// Opens the HTML reference in a browser: node browser.cjs CHROMIUM URL PROFILE. NODE_PATH leads to puppeteer-core.
const puppeteer = require("puppeteer-core");
const assert = require("node:assert");
const [executablePath, url, userDataDir] = process.argv.slice(2);

(async () => {
  const browser = await puppeteer.launch({ executablePath, userDataDir, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
  let checks = 0;
  try {
    const page = await browser.newPage();
    const problems = [], foreign = [];
    page.on("pageerror", e => problems.push(String(e)));
    page.on("console", m => { if (["error", "warn"].includes(m.type())) problems.push(m.text()); });
    page.on("request", r => { if (r.url().split("#")[0] !== url) foreign.push(r.url()); });
    await page.setViewport({ width: 1200, height: 800 });
    await page.goto(url);
    const results = () => page.$$eval("#results a", as => as.map(a => a.querySelector("code").textContent));
    const hidden = () => page.$eval("#results", r => getComputedStyle(r).display === "none");
    const inView = id => page.evaluate(id => {
      const r = document.getElementById(id).getBoundingClientRect();
      return r.top < innerHeight && r.bottom > 0;
    }, id);
    const check = async fn => { await fn(); checks++; };

    await check(async () => assert(await hidden(), "results are shown before anything is typed"));
    await check(async () => { // the key / goes to the search, the best hit is first, Enter follows it
      await page.keyboard.press("/");
      await page.keyboard.type("store.copy");
      assert.equal((await results())[0], "store.copy");
      await page.keyboard.press("Enter");
      assert.equal(await page.evaluate(() => location.hash), "#script-store--storecopy");
      assert(await inView("script-store--storecopy"));
      assert(await hidden());
    });
    await check(async () => { // a row of a table is shown and marked
      await page.click("#search", { clickCount: 3 });
      await page.keyboard.type("s3 storage_class");
      assert.equal((await results())[0], "datastore s3 storage_class");
      await page.click("#results a");
      await page.waitForFunction(() => { const r = document.querySelector("tr.found"); if (!r) return false; const b = r.getBoundingClientRect(); return b.top > 0 && b.bottom < innerHeight; });
      assert.match(await page.$eval("tr.found", r => r.textContent), /^storage_class/);
    });
    await check(async () => { // words of the summaries count too
      await page.click("#search", { clickCount: 3 });
      await page.keyboard.type("security token service");
      assert((await results()).includes("credential aws sts_endpoint"), String(await results()));
    });
    await check(async () => { // what is not there
      await page.click("#search", { clickCount: 3 });
      await page.keyboard.type("qqqqqq");
      assert.deepEqual(await results(), []);
      assert.match(await page.$eval("#results", r => r.textContent), /Nothing found/);
      await page.keyboard.press("Escape");
      assert(await hidden());
    });
    await check(async () => { // what is typed is text
      await page.click("#search");
      await page.keyboard.type("<img src=x onerror=alert(1)>");
      assert.equal((await page.$$("#results img")).length, 0);
      await page.keyboard.press("Escape");
    });
    await check(async () => { // nothing shines through the results
      await page.click("#search");
      await page.keyboard.type("acl");
      assert(await page.$$eval("#results a", as => as.every(a => {
        const b = a.getBoundingClientRect();
        return document.elementFromPoint(b.left + 5, b.top + b.height / 2).closest("#results");
      })));
      await page.keyboard.press("Escape");
    });
    await check(async () => { // arrows go through the results and back
      await page.click("#search");
      await page.keyboard.type("list");
      const all = await results();
      assert(all.length > 2);
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("ArrowDown");
      assert.equal(await page.evaluate(() => document.activeElement.querySelector("code").textContent), all[1]);
      await page.keyboard.press("Escape");
    });
    await check(async () => { // every link of the contents shows its section
      const links = await page.$$eval("nav a", as => as.map(a => a.getAttribute("href")));
      assert(links.length > 40, String(links.length));
      for (const href of links) {
        await page.evaluate(h => document.querySelector(`nav a[href="${h}"]`).click(), href);
        assert(await inView(href.slice(1)), href);
      }
    });
    await check(async () => {
      assert.deepEqual(problems, []);
      assert.deepEqual(foreign, []);
    });
  } finally {
    await browser.close();
  }
  console.log(`${checks} checks passed`);
})().catch(e => { console.error(e); process.exit(1); });
