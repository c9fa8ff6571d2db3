package main

import (
	"encoding/json"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"context"

	"github.com/dsrun/dsrun/engine/providers"
	"github.com/dsrun/dsrun/internal/markdown"
	"github.com/dsrun/dsrun/internal/testbed"
)

// htmlPage is the whole reference as one page that needs nothing else: no file, no network.
func htmlPage(pages []refPage, features string) string {
	pages = append(pages, refPage{Path: "features.md", Group: groupRest, Kind: "features", Name: "features", Markdown: features})
	var nav, main strings.Builder
	group := ""
	for _, p := range pages {
		if p.Group != group {
			if group != "" {
				nav.WriteString("</ul>\n")
			}
			group = p.Group
			fmt.Fprintf(&nav, "<h2>%s</h2>\n<ul>\n", html.EscapeString(group))
		}
		name := p.title()
		if p.Group == groupConfig {
			name = p.Name
		}
		fmt.Fprintf(&nav, "<li><a href=\"#%s\">%s</a></li>\n", pageID(p.Path), html.EscapeString(name))
		first := true
		fmt.Fprintf(&main, "<section id=\"%s\">\n", pageID(p.Path))
		main.WriteString(markdown.HTML(p.Markdown, 1, func(heading string, _ int) string {
			if first {
				first = false
				return pageID(p.Path) + "--title"
			}
			return pageID(p.Path + "#" + anchor(heading))
		}, func(to string) string { return "#" + pageID(to) }))
		main.WriteString("</section>\n")
	}
	nav.WriteString("</ul>\n")
	var index [][5]string
	for _, t := range topics(pages) {
		if t.Kind != "features" {
			index = append(index, [5]string{t.Name, t.Kind, t.Summary, pageID(t.Page), t.short})
		}
	}
	data, err := json.Marshal(index) // with <, > and & escaped, so that it can stand in a script
	if err != nil {
		panic(err)
	}
	return strings.NewReplacer("{{nav}}", nav.String(), "{{main}}", main.String(), "{{index}}", string(data)).Replace(htmlFrame)
}

// pageID is the anchor of a page of the reference, or of a section of it: "script/store.md#storelist" is
// script-store--storelist.
func pageID(path string) string {
	page, section, ok := strings.Cut(path, "#")
	id := strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(page, "../"), ".md"), "/", "-")
	if ok {
		id += "--" + section
	}
	return id
}

const htmlFrame = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>dsrun reference</title>
<style>
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 20%, transparent); --soft: color-mix(in srgb, currentColor 7%, transparent); }
* { box-sizing: border-box; }
html { scroll-padding-top: 4.5rem; }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; }
header { position: sticky; top: 0; z-index: 1; display: flex; gap: 1rem; align-items: center; padding: .6rem 1rem; background: Canvas; border-bottom: 1px solid var(--line); }
header a { font-weight: 600; color: inherit; text-decoration: none; }
#search { flex: 1; max-width: 40rem; padding: .4rem .7rem; font: inherit; border: 1px solid var(--line); border-radius: .4rem; background: Field; color: FieldText; }
#results { position: fixed; z-index: 2; top: 3.4rem; left: 1rem; right: 1rem; max-width: 52rem; max-height: 75vh; overflow: auto; margin: 0; padding: .3rem; list-style: none; background: Canvas; border: 1px solid var(--line); border-radius: .4rem; box-shadow: 0 .5rem 1.5rem rgb(0 0 0 / .25); }
#results[hidden] { display: none; }
#results a { display: block; padding: .3rem .6rem; color: inherit; text-decoration: none; border-radius: .3rem; }
#results a:hover, #results a:focus, #results a.first { background: var(--soft); }
#results small { opacity: .7; }
.columns { display: grid; grid-template-columns: 16rem minmax(0, 1fr); }
nav { position: sticky; top: 3.4rem; align-self: start; max-height: calc(100vh - 3.4rem); overflow: auto; padding: 0 1rem 2rem; border-right: 1px solid var(--line); font-size: .9rem; }
nav h2 { font-size: .8rem; text-transform: uppercase; letter-spacing: .05em; margin: 1.2rem 0 .3rem; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav a { color: inherit; text-decoration: none; }
nav a:hover { text-decoration: underline; }
main { padding: 0 2rem 6rem; max-width: 72rem; }
section { border-bottom: 1px solid var(--line); padding-bottom: 1.5rem; }
pre { padding: .8rem 1rem; overflow: auto; background: var(--soft); border-radius: .4rem; }
code { font: .9em ui-monospace, monospace; }
.table { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); }
tr.found { outline: 2px solid Highlight; }
blockquote { margin: 1rem 0; padding: .1rem 1rem; border-left: .25rem solid var(--line); }
@media (max-width: 50rem) { .columns { display: block; } nav { display: none; } main { padding: 0 1rem 4rem; } }
</style>
</head>
<body>
<header><a href="#">dsrun reference</a><input id="search" type="search" placeholder="Search ( / )" autocomplete="off" spellcheck="false" aria-label="Search"></header>
<ol id="results" hidden></ol>
<div class="columns">
<nav>
{{nav}}</nav>
<main>
{{main}}</main>
</div>
<script>
"use strict";
// Each entry: name, kind, summary, anchor, the last part of the name.
const index = {{index}};
const box = document.getElementById("search"), list = document.getElementById("results");

// rank says how well an entry fits: 0 not at all.
function rank(e, words) {
  let total = 0;
  const name = e[0].toLowerCase(), short = e[4].toLowerCase(), text = e[2].toLowerCase();
  for (const w of words) {
    let r = 0;
    if (name === w || short === w) r = 100;
    else if (name.split(/[ .]/).includes(w)) r = 60;
    else if (name.startsWith(w) || short && short.startsWith(w)) r = 40;
    else if (name.includes(w)) r = 20;
    else if (text.includes(w)) r = 5;
    if (!r) return 0;
    total += r;
  }
  return total;
}

function search() {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  list.replaceChildren();
  list.hidden = !words.length;
  if (!words.length) return;
  const hits = index.map((e, i) => [rank(e, words), i]).filter(h => h[0]).sort((a, b) => b[0] - a[0] || a[1] - b[1]).slice(0, 50);
  for (const [, i] of hits) {
    const [name, kind, summary, anchor, short] = index[i];
    const a = document.createElement("a"), code = document.createElement("code"), small = document.createElement("small"), item = document.createElement("li");
    a.href = "#" + anchor;
    code.textContent = name;
    small.textContent = " " + kind + ": " + summary;
    a.append(code, small);
    if (!list.children.length) a.className = "first";
    a.addEventListener("click", () => { list.hidden = true; box.blur(); mark(anchor, short); });
    item.append(a);
    list.append(item);
  }
  if (!hits.length) {
    const item = document.createElement("li");
    item.textContent = "Nothing found";
    list.append(item);
  }
}

// mark shows the row of a table that an entry is about.
function mark(anchor, short) {
  for (const r of document.querySelectorAll("tr.found")) r.classList.remove("found");
  const from = document.getElementById(anchor);
  const place = from && (from.tagName === "SECTION" ? from : from.parentElement);
  if (!place || !short) return;
  for (const td of place.querySelectorAll("td:first-child")) {
    if (td.textContent.split(/[ ,=.]+/).some(w => w === short || w === "--" + short)) {
      td.parentElement.classList.add("found");
      setTimeout(() => td.scrollIntoView({ block: "center" }));
      return;
    }
  }
}

box.addEventListener("input", search);
box.addEventListener("focus", search);
document.addEventListener("keydown", e => {
  if (e.key === "/" && document.activeElement !== box) { e.preventDefault(); box.focus(); }
  if (e.key === "Escape") { box.value = ""; search(); box.blur(); }
  if (e.key === "Enter" && document.activeElement === box) { const a = list.querySelector("a"); if (a) a.click(); }
  if (e.key === "ArrowDown" || e.key === "ArrowUp") {
    const all = [...list.querySelectorAll("a")];
    if (list.hidden || !all.length) return;
    e.preventDefault();
    const at = all.indexOf(document.activeElement) + (e.key === "ArrowDown" ? 1 : -1);
    (all[at] || box).focus();
  }
});
document.addEventListener("click", e => { if (!list.contains(e.target) && e.target !== box) list.hidden = true; });
</script>
</body>
</html>
`

// TestHTMLLinks checks that the page is whole: every link leads to something in it, no anchor is there twice, nothing
// comes from elsewhere.
func TestHTMLLinks(t *testing.T) {
	page := htmlPage(referenceOf(commandTree(), providers.All()), featurePage(t, providers.All()))
	ids := map[string]bool{"": true}
	for _, m := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if ids[m[1]] {
			t.Errorf("the anchor %q is there twice", m[1])
		}
		ids[m[1]] = true
	}
	links := 0
	for _, m := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		links++
		if to, ok := strings.CutPrefix(m[1], "#"); !ok || !ids[to] {
			t.Errorf("the link %q leads nowhere", m[1])
		}
	}
	for _, x := range topics(referenceOf(commandTree(), providers.All())) {
		if !ids[pageID(x.Page)] {
			t.Errorf("the search finds %s at %q, which is not there", x.Name, pageID(x.Page))
		}
	}
	if links < 50 || strings.Contains(page, "src=") || strings.Contains(page, "@import") || strings.Contains(page, "url(") {
		t.Errorf("%d links, or something from elsewhere", links)
	}
}

// TestHTMLInBrowser opens the page in a browser without a network, searches and follows links.
func TestHTMLInBrowser(t *testing.T) {
	chromium, node := testbed.Program(t, "chromium"), testbed.Program(t, "node")
	modules := testbed.NodeModules(t, "puppeteer-core")
	dir := t.TempDir()
	page := filepath.Join(dir, "index.html")
	if err := os.WriteFile(page, []byte(htmlPage(referenceOf(commandTree(), providers.All()), featurePage(t, providers.All()))), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "testdata/browser.cjs", chromium, "file://"+page, filepath.Join(dir, "profile"))
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if want := "10 checks passed\n"; !strings.HasSuffix(string(out), want) {
		t.Errorf("got %q, want %q at the end", out, want)
	}
}
