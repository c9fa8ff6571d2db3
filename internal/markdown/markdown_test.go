package markdown

import (
	"strings"
	"testing"
)

const page = "# Title `x`\n\nA paragraph with `code in it`, **strong** words and a [link](a.md).\nIt goes on.\n\n" +
	"| name | what |\n|---|---|\n| `a\\|b` | First <b>. |\n| `long` | A longer text that has to be broken because it does not fit into the line at all. |\n\n" +
	"> **Note:** mind.\n\n- one\n- two\n  more\n\n```hcl\na = \"<&>\"\n\n  b\n```\n"

func TestText(t *testing.T) {
	want := `Title x

A paragraph with code in it, strong words and a link. It
goes on.

name  what
a|b   First <b>.
long  A longer text that has to be broken because it does
      not fit into the line at all.

  Note: mind.

- one
- two more

    a = "<&>"

      b
`
	if got := Text(page, 60, false); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if colored := Text(page, 60, true); !strings.Contains(colored, "\x1b[36mcode in it\x1b[0m") {
		t.Errorf("no color in %q", colored)
	}
	for line := range strings.Lines(Text(page, 40, false)) {
		if len(strings.TrimRight(line, "\n")) > 40 {
			t.Errorf("too long: %q", line)
		}
	}
}

func TestHTML(t *testing.T) {
	want := `<h2 id="t-Title x-1">Title <code>x</code></h2>
<p>A paragraph with <code>code in it</code>, <strong>strong</strong> words and a <a href="#a.md">link</a>. It goes on.</p>
<div class="table"><table>
<tr><th>name</th><th>what</th></tr>
<tr><td><code>a|b</code></td><td>First &lt;b&gt;.</td></tr>
<tr><td><code>long</code></td><td>A longer text that has to be broken because it does not fit into the line at all.</td></tr>
</table></div>
<blockquote><strong>Note:</strong> mind.</blockquote>
<ul>
<li>one</li>
<li>two more</li>
</ul>
<pre><code>a = &#34;&lt;&amp;&gt;&#34;

  b</code></pre>
`
	got := HTML(page, 1, func(h string, n int) string { return "t-" + h + "-1" }, func(to string) string { return "#" + to })
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestInline takes what is not closed for text.
func TestInline(t *testing.T) {
	for in, want := range map[string]string{"a `b": "a `b", "**": "**", "[a](b": "[a](b", "[a]": "[a]", "``a`b``": "a`b", "2 ** 3 ** x": "2  3  x"} {
		if got := Plain(in); got != want {
			t.Errorf("Plain(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(page)
	f.Add("|\n|-\n```\n")
	f.Fuzz(func(t *testing.T, s string) {
		Text(s, 60, true)
		HTML(s, 1, nil, nil)
	})
}
