package starlib

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
)

// testingHost is a dataHost that tests of scripts can use.
type testingHost struct {
	*dataHost
	t      testing.TB
	golden map[string]string
}

func newExampleTestHost(t testing.TB) *testingHost {
	h := &testingHost{newDataHost(t), t, map[string]string{"testdata/limit.json": "{\n  \"limit\": 3\n}\n"}}
	h.files = map[string]string{"clean.star": `def main(limit = 1):
    if limit < 0:
        fail("limit is negative")
    print("limit", limit)
`}
	return h
}

func (h *testingHost) Fixture(_ context.Context, store, path, prefix string) (int, error) {
	h.put(h.t, store, prefix+"x.csv", "a\n1\n")
	h.put(h.t, store, prefix+"y.csv", "a\n2\n")
	return 2, nil
}

func (h *testingHost) Place(_ context.Context, store, path string, content []byte) error {
	h.put(h.t, store, path, string(content))
	return nil
}

func (h *testingHost) Events(topic string) ([]event.Message, error) {
	if h.sent[topic] == nil {
		return nil, fault.New(fault.NotFound, "no topic %s", topic)
	}
	return h.sent[topic].Events(), nil
}

func (h *testingHost) SetNow(time.Time) {}

func (h *testingHost) Golden(path string, got []byte) ([]byte, error) {
	return []byte(h.golden[path]), nil
}

// runTest runs a test file whose only function is test_it.
func runTest(t *testing.T, h Host, cover *Coverage, body string) (string, error) {
	t.Helper()
	src := "def test_it():\n    " + strings.ReplaceAll(strings.TrimSpace(body), "\n", "\n    ") + "\n"
	p, err := ParseTest("x_test.star", []byte(src), cover)
	if err != nil {
		t.Fatal(err)
	}
	if tests := p.Tests(); len(tests) != 1 || tests[0] != (TestFunc{"test_it", 1, 0}) {
		t.Fatalf("tests %v", tests)
	}
	var out bytes.Buffer
	err = p.Run(t.Context(), RunOptions{Host: h, Func: "test_it", Stdout: &out, Limits: Limits{Memory: 256 << 20, Steps: 1e6, Timeout: time.Minute}})
	return out.String(), err
}

// Assertions say both values, where they differ, and their own line.
func TestAssertions(t *testing.T) {
	for body, want := range map[string]string{
		`assert.eq(1, 2)`:                                         "assert.eq: the values differ\ngot:  1\nwant: 2",
		`assert.eq(1, 2, "rows")`:                                 "assert.eq: rows: the values differ\ngot:  1\nwant: 2",
		`assert.eq(1, "1")`:                                       "assert.eq: the values differ\ngot:  1\nwant: \"1\"\ngot int 1, want string \"1\"",
		`assert.eq([1, {"a": [2]}], [1, {"a": [3]}])`:             "assert.eq: the values differ\ngot:  [1, {\"a\": [2]}]\nwant: [1, {\"a\": [3]}]\nat [1][\"a\"][0]: got 2, want 3",
		`assert.eq([1], [1, 2])`:                                  "assert.eq: the values differ\ngot:  [1]\nwant: [1, 2]\ngot 1 element, want 2",
		`assert.eq({"a": 1}, {"b": 1})`:                           "assert.eq: the values differ\ngot:  {\"a\": 1}\nwant: {\"b\": 1}\nthe key \"a\" is too much",
		`assert.eq([{}], [{"b": 1}])`:                             "assert.eq: the values differ\ngot:  [{}]\nwant: [{\"b\": 1}]\nat [0]: the key \"b\" is missing",
		`assert.eq("a\nb\nc", "a\nx\nc")`:                         "assert.eq: the values differ\ngot:  \"a\\nb\\nc\"\nwant: \"a\\nx\\nc\"\nline 2: got \"b\", want \"x\"",
		`assert.eq(ds.lake.read("raw/a.csv"), [])`:                "the values differ.*a stream is not compared with list: make a list of it with .collect\\(\\)",
		`assert.ne((1,), (1,))`:                                   "assert.ne: both values are (1,)",
		`assert.true([])`:                                         "assert.true: got [], want what counts as true",
		`assert.false(1, "flag")`:                                 "assert.false: flag: got 1, want what counts as false",
		`assert.contains("abc", "x")`:                             "assert.contains: \"x\" is missing\nin: \"abc\"",
		`assert.contains([1, 2], 3)`:                              "assert.contains: 3 is missing\nin: [1, 2]",
		`assert.contains({"a": 1}, "b")`:                          "assert.contains: \"b\" is missing\nin: {\"a\": 1}",
		`assert.contains(1, 1)`:                                   "assert.contains: for parameter whole: got int, want string, dict or iterable",
		`assert.lt(2, 2)`:                                         "assert.lt: 2 is not less than 2",
		`assert.ge(1, 2)`:                                         "assert.ge: 1 is not greater than or equal to 2",
		`assert.near(1, 2, tolerance = 0.5)`:                      "assert.near: got 1, want 2, at most 0.5 apart",
		`assert.fails(lambda: 7)`:                                 "assert.fails: no error was raised\nreturned: 7",
		`assert.fails(lambda: fail("x"), "y")`:                    "assert.fails: the error is another one\ngot:  x\nwant: a match of \"y\"",
		`assert.fails(lambda: ds.lake.stat("no"), code = "fail")`: "assert.fails: the error has another code\ngot:  not_found: ",
		`assert.fails(lambda: 1, "(")`:                            "assert.fails: for parameter pattern: error parsing regexp",
		`test.golden("testdata/limit.json", {"limit": 4})`:        "test.golden: the value is not what testdata/limit.json holds\nline 2: got \"  \\\"limit\\\": 4\", want \"  \\\"limit\\\": 3\"\ndsrun test --update",
		`test.golden("none", "x")`:                                "test.golden: the value is not what none holds\ngot:  \"x\"\nwant: \"\"",
		`test.run("clean.star", limt = 2)`:                        "main() of clean.star has no parameter limt (did you mean limit?)",
		`test.run("clean.star", limit = "x")`:                     "for parameter limit of clean.star: \"x\" is not a whole number",
		`test.run("none.star")`:                                   "test.run: ",
		`test.run("../clean.star")`:                               "test.run: the module's path contains ..",
		`test.now("today")`:                                       "test.now: for parameter time: got string, want time or RFC 3339 text",
		`test.events("none")`:                                     "test.events: no topic none",
	} {
		_, err := runTest(t, newExampleTestHost(t), nil, body)
		var e *ScriptError
		if !errors.As(err, &e) {
			t.Errorf("%s: no error", body)
			continue
		}
		ok := strings.HasPrefix(e.Message, want) || strings.Contains(want, ".*") && strings.Contains(e.Message, strings.ReplaceAll(want[strings.Index(want, ".*")+2:], "\\", ""))
		if !ok {
			t.Errorf("%s:\n got %s\nwant %s", body, e.Message, want)
		}
		if len(e.Frames) == 0 || e.Frames[0].Line != 2 {
			t.Errorf("%s: frames %v", body, e.Frames)
		}
	}
}

// What holds raises nothing, and the script under test meets the data of the test.
func TestTestWords(t *testing.T) {
	h := newExampleTestHost(t)
	out, err := runTest(t, h, nil, `
assert.eq(ds.lake.read("raw/b.csv").collect(), [{"name": "c", "n": "3"}])
assert.eq({"a": (1, 2.0), "b": None}, {"b": None, "a": (1.0, 2)})
assert.ne([1], (1,))
assert.true("x")
assert.false(None)
assert.contains(ds.lake.read("raw/*.csv"), {"name": "b", "n": "2"})
assert.contains({"a": 1}, "a")
assert.eq(assert.fails(lambda: ds.lake.stat("no"), "no", code = "not_found").path, "no")
assert.eq(test.fixture("lake", "f", prefix = "in/"), 2)
test.put("out", "k", "v")
assert.eq(ds.out.read_text("k"), "v")
topics.events.publish("t", {"n": 1}, subject = "s", attributes = {"x": "y"})
e = test.events("events")[0]
assert.eq((e.type, e.subject, e.data, e.attributes["x"]), ("t", "s", {"n": 1}, "y"))
assert.eq(test.run("clean.star").output, "limit 1\n")
assert.eq(test.run("clean.star", limit = "5").output, "limit 5\n")
assert.fails(lambda: test.run("clean.star", limit = -1), "^limit is negative$", code = "fail")
test.golden("testdata/limit.json", {"limit": 3})
`)
	if err != nil {
		t.Fatal(err)
	}
	if out != "limit 1\nlimit 5\n" {
		t.Errorf("printed %q", out)
	}
}

// A failure of a script that a test runs shows the places in both; its limits are those of the test; it has no test words.
func TestRunOfTest(t *testing.T) {
	h := newExampleTestHost(t)
	_, err := runTest(t, h, nil, `test.run("clean.star", limit = -1)`)
	var e *ScriptError
	if !errors.As(err, &e) || len(e.Frames) != 4 {
		t.Fatalf("%v\n%s", err, traceback(e))
	}
	places := fmt.Sprint(e.Frames[0].File, e.Frames[0].Line, " ", e.Frames[1].Func, " ", e.Frames[2].File, e.Frames[2].Line, " ", e.Frames[3].Func, " ", e.Message)
	if places != "x_test.star2 test.run clean.star3 fail fail: limit is negative" || e.Usage {
		t.Errorf("%s %+v", places, e)
	}
	h.files["loop.star"] = "def main():\n    for i in range(10000000):\n        pass\n"
	if _, err = runTest(t, h, nil, `catch(test.run, "loop.star")`); !fault.Is(err, fault.Limit) {
		t.Errorf("the step limit: %v", err)
	}
	h.files["word.star"] = "assert.eq(1, 1)\n"
	if _, err = runTest(t, h, nil, `test.run("word.star")`); err == nil || !strings.Contains(err.Error(), "undefined: assert") {
		t.Errorf("a script under test has the words of tests: %v", err)
	}
	if _, err = runTest(t, h.dataHost, nil, `test.events("events")`); !fault.Is(err, fault.Unimplemented) {
		t.Errorf("outside of a test: %v", err)
	}
}

func TestCoverage(t *testing.T) {
	h := newExampleTestHost(t)
	h.files["lib.star"] = `"""Doc."""
def sign(x):
    """Doc."""
    if x < 0:
        return -1
    elif x == 0:
        return 0; x += 1
    for i in range(x):
        x += (i +
              1)
    return [y
            for y in [1]]

def unused():
    a = 1
    b = 2
`
	h.files["job.star"] = "load(\"//lib.star\", \"sign\")\ndef main(x = 0):\n    print(sign(x))\n"
	cover := NewCoverage()
	for range 2 { // a file that is parsed again goes on counting
		if _, err := runTest(t, h, cover, `test.run("job.star", x = 3)`); err != nil {
			t.Fatal(err)
		}
	}
	var got strings.Builder
	for _, f := range cover.Files() {
		fmt.Fprintf(&got, "%s %d of %d, missing %s; %v\n", f.File, f.Hit(), len(f.Lines), f.Missing(), f.Lines)
	}
	want := `job.star 3 of 3, missing ; [{1 2} {2 2} {3 2}]
lib.star 7 of 11, missing 5, 7, 15-16; [{2 2} {4 2} {5 0} {6 2} {7 0} {8 2} {9 6} {11 2} {14 2} {15 0} {16 0}]
x_test.star 2 of 2, missing ; [{1 2} {2 2}]
`
	if got.String() != want {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
	var lcov strings.Builder
	if err := WriteLcov(&lcov, cover.Files()[:1]); err != nil || lcov.String() != "TN:\nSF:job.star\nDA:1,2\nDA:2,2\nDA:3,2\nLF:3\nLH:3\nend_of_record\n" {
		t.Errorf("%v\n%s", err, lcov.String())
	}
}
