package starlib

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
)

// attacks are scripts that try to take the machine: each must end with the code limit, soon, and without having taken
// much more than its budget.
var attacks = []struct{ name, src string }{
	{"endless loop", "for i in range(1 << 60):\n    pass"},
	{"repeat list", "x = [0] * (1 << 29)"},
	{"repeat text", "n = 1 << 29\nx = 'xxxxx' * 100\nx = x * (n >> 9)"},
	{"repeat augmented", "x = [0]\nx *= 1 << 29"},
	{"repeat in a dict", "d = {'x': [0]}\nd['x'] *= 1 << 29"},
	{"ten gigabytes in three lines", "x = 'a' * 1000\nfor i in range(100):\n    x = x + x"},
	{"double list", "a = [0]\nfor i in range(100):\n    a += a"},
	{"double list in a dict", "d = {'a': [0]}\nfor i in range(100):\n    d['a'] += d['a']"},
	{"double with extend", "a = [0]\nfor i in range(100):\n    a.extend(a)"},
	{"extend through getattr", "a = [0]\nfor i in range(100):\n    getattr(a, 'extend')(a)"},
	{"extend through a variable", "a = [0]\nf = a.extend\nfor i in range(100):\n    f(a)"},
	{"extend with a huge range", "a = []\na.extend(range(1 << 60))"},
	{"add a huge range", "a = []\na += range(1 << 60)"},
	{"double tuple", "a = (0,)\nfor i in range(100):\n    a = a + a"},
	{"text of a nest", "a = ['x']\nfor i in range(40):\n    a = [a, a]\ns = str(a)"},
	{"repr of a nest", "a = ['x']\nfor i in range(40):\n    a = [a, a]\ns = repr(a)"},
	{"print of a nest", "a = ['x']\nfor i in range(40):\n    a = [a, a]\nprint(a)"},
	{"percent of a nest", "a = ['x']\nfor i in range(40):\n    a = [a, a]\ns = '%s' % (a,)"},
	{"percent keys of a nest", "a = ['x']\nfor i in range(40):\n    a = [a, a]\ns = '%(a)s' % {'a': a}"},
	{"format of a nest", "a = ['x']\nfor i in range(40):\n    a = [a, a]\ns = '{}'.format(a)"},
	{"fmt of a nest", "a = ['x']\nfor i in range(40):\n    a = [a, a]\ns = fmt('{}', a)"},
	{"fail with a nest", "a = ['x']\nfor i in range(40):\n    a = [a, a]\nfail(a)"},
	{"json of a nest", "a = ['x']\nfor i in range(40):\n    a = [a, a]\njson.encode(a)"},
	{"struct of a nest", "a = struct(x = 'x')\nfor i in range(40):\n    a = struct(x = a, y = a)\nstr(a)"},
	{"error of a nest", "a = ['x']\nfor i in range(40):\n    a = [a, a]\nlog.info(a)"},
	{"list of a range", "x = list(range(1 << 40))"},
	{"sorted range", "x = sorted(range(1 << 40))"},
	{"set of a range", "x = set(range(1 << 40))"},
	{"tuple of a range", "x = tuple(range(1 << 40))"},
	{"enumerate a range", "x = enumerate(range(1 << 40))"},
	{"zip ranges", "x = zip(range(1 << 40), range(1 << 40))"},
	{"reverse a range", "x = reversed(range(1 << 40))"},
	{"list of more than memory", "x = list(range(1 << 62))"},
	{"comprehension", "x = [0 for i in range(1 << 40)]"},
	{"dict comprehension", "x = {i: i for i in range(1 << 40)}"},
	{"append", "x = []\nfor i in range(1 << 40):\n    x.append(i)"},
	{"spread", "def f(*a):\n    return len(a)\nf(*range(1 << 40))"},
	{"join", "s = 'x' * 1000000\nx = s.join(['' for i in range(100000)])"},
	{"join the same", "s = 'x' * 1000000\nx = ''.join([s] * 100000)"},
	{"replace", "s = 'x' * 1000000\nx = s.replace('x', s)"},
	{"replace nothing", "s = 'x' * 1000000\nx = s.replace('', s)"},
	{"format the same", "s = 'x' * 1000000\nx = ('{0}' * 10000).format(s)"},
	{"percent the same", "s = 'x' * 1000000\nx = ('%(s)s' * 10000) % {'s': s}"},
	{"fmt the same", "s = 'x' * 1000000\nx = fmt('{0}' * 10000, s)"},
	{"split", "s = 'x,' * 10000000\nx = [s.split(',') for i in range(10)]"},
	{"list of characters", "s = 'x' * 100000000\nx = list(s.elems())"},
	{"list of code points", "s = 'x' * 100000000\nx = list(s.codepoints())"},
	{"re.findall", "s = 'x' * 100000000\nx = re.findall('', s)"},
	{"re.sub", "s = 'x' * 1000000\nx = re.sub('x', s, s)"},
	{"re.split", "s = 'x' * 100000000\nx = re.split('', s)"},
	{"csv.parse", "x = csv.parse(',' * 100000000, header = False)"},
	{"csv.format", "s = 'x' * 1000000\nx = csv.format([[s] * 1000] * 10)"},
	{"base64", "s = 'x' * 100000000\nx = base64.encode(s)\ny = base64.encode(x)"},
	{"json.encode", "s = 'x' * 1000000\nx = json.encode([s] * 1000)"},
	{"json.decode", "s = '[' + '0,' * 20000000 + '0]'\nx = json.decode(s)"},
	{"copies of a slice", "x = [0] * 10000000\ny = []\nfor i in range(1000):\n    y.append(x[1:])"},
	{"copies of an upper case", "x = 'x' * 60000000\ny = []\nfor i in range(1000):\n    y.append(x.upper())"},
	{"copies of a sum", "x = 'x' * 10000000\ny = []\nfor i in range(1000):\n    y.append(x + 'y')"},
	{"copies of a set", "x = set(range(1000000))\ny = []\nfor i in range(1000):\n    y.append(x | x)"},
	{"copies of items", "x = {i: i for i in range(500000)}\ny = []\nfor i in range(1000):\n    y.append(x.items())"},
	{"large int", "x = 3\nfor i in range(100):\n    x = x * x"},
	{"parallel", "def f(x):\n    a = []\n    for i in range(1 << 40):\n        a.append('x%d' % i)\nparallel.map(f, range(8))"},
	{"caught", "def f():\n    return [0] * (1 << 29)\nfor i in range(1 << 40):\n    catch(f)"},
	{"collected", "def f(x):\n    return [0] * (1 << 29)\nparallel.map(f, range(8), on_error = 'collect')\nfail('went on')"},
	{"deep list", "x = []\nfor i in range(20000000):\n    x = [x]"},
	{"text of a deep list", "x = []\nfor i in range(200000):\n    x = [x]\ns = str(x)"},
	{"json of a deep list", "x = []\nfor i in range(200000):\n    x = [x]\ncatch(json.encode, x)\ns = str(x)"},
	{"freeze of a deep list", "x = []\nfor i in range(200000):\n    x = [x]\nparallel.map(len, [x])"},
}

func TestAttacks(t *testing.T) {
	const budget = 32 << 20
	if raceEnabled {
		t.Skip("the race detector multiplies memory and time")
	}
	worst, worstName := 0.0, ""
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			p, err := Parse("attack.star", []byte(a.src))
			if err != nil {
				t.Fatal(err)
			}
			runtime.GC()
			peak, stop := watchHeap()
			start := time.Now()
			err = p.Run(t.Context(), RunOptions{Host: &fakeHost{}, Limits: Limits{Memory: budget, Timeout: time.Second}})
			took := time.Since(start)
			stop()
			if !fault.Is(err, fault.Limit) {
				t.Errorf("got %v, want the code limit", err)
			}
			var e *ScriptError
			if errors.As(err, &e) && len(e.Frames) == 0 {
				t.Errorf("%v names no place", err)
			}
			ratio := float64(peak.Load()) / budget
			if ratio > worst {
				worst, worstName = ratio, a.name
			}
			t.Logf("%s: %.2f of the budget, %v: %v", a.name, ratio, took.Round(time.Millisecond), err)
			if ratio > 3 {
				t.Errorf("the heap grew to %.1f times the budget", ratio)
			}
			if took > 8*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
	t.Logf("%d attacks; the heap grew at most to %.2f times the budget (%s)", len(attacks), worst, worstName)
}

// watchHeap follows the growth of the heap until stop.
func watchHeap() (peak *atomic.Int64, stop func()) {
	peak = new(atomic.Int64)
	base := heapBytes()
	done := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			peak.Store(max(peak.Load(), heapBytes()-base))
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	return peak, func() { close(done); <-stopped }
}

func TestStepLimit(t *testing.T) {
	_, err := script(t, "def f():\n    for i in range(1 << 40):\n        pass\nf()", RunOptions{Limits: Limits{Steps: 1000}})
	if !fault.Is(err, fault.Limit) || !strings.Contains(err.Error(), "1000 steps") {
		t.Errorf("got %v", err)
	}
	if _, err := script(t, "x = 1 + 1", RunOptions{Limits: Limits{Steps: 1000}}); err != nil {
		t.Error(err)
	}
	// All threads of a run share the limit.
	_, err = script(t, "def f(x):\n    for i in range(20000):\n        pass\nparallel.map(f, range(50))", RunOptions{Limits: Limits{Steps: 200_000}})
	if !fault.Is(err, fault.Limit) {
		t.Errorf("got %v", err)
	}
}

func TestTimeLimit(t *testing.T) {
	start := time.Now()
	_, err := script(t, "def f():\n    for i in range(1 << 40):\n        pass\n\ncatch(f)\nfail('went on')", RunOptions{Limits: Limits{Timeout: 100 * time.Millisecond}})
	if !fault.Is(err, fault.Limit) || !strings.Contains(err.Error(), "time limit of 100ms") {
		t.Errorf("got %v", err)
	}
	if time.Since(start) > 2*time.Second {
		t.Errorf("took %v", time.Since(start))
	}
	_, err = script(t, "time.sleep('1h')", RunOptions{Limits: Limits{Timeout: 50 * time.Millisecond}})
	if !fault.Is(err, fault.Limit) {
		t.Errorf("got %v", err)
	}
}

func TestOrdinaryWorkFitsTheLimits(t *testing.T) {
	// Much garbage, little kept: no limit may strike.
	src := `
def work(n):
    kept = {}
    for i in range(n):
        s = ("row %d," % i) * 20
        kept[i % 100] = s.split(",")
        x = [j for j in range(50)] + kept[i % 100]
        y = json.decode(json.encode(x))
    return len(kept)

work(20000)
big = [0] * 1000000
small = big[:10] + big[-10:]
parts = [big[i:i + 1000] for i in range(0, 1000000, 1000)]
`
	for range 2 {
		if _, err := script(t, src, RunOptions{Limits: Limits{Memory: 64 << 20}}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDeepSources(t *testing.T) {
	const n = 100_000
	line := func(s string) string { return "x = " + s + "\n" }
	deepIf := func() string {
		var b strings.Builder
		for i := range 3000 {
			b.WriteString(strings.Repeat(" ", i) + "if x:\n")
		}
		return b.String() + strings.Repeat(" ", 3000) + "pass\n"
	}
	for name, src := range map[string]string{
		"brackets":      line(strings.Repeat("(", n) + strings.Repeat(")", n)),
		"lists":         line(strings.Repeat("[", n) + strings.Repeat("]", n)),
		"open brackets": line(strings.Repeat("[", n)),
		"dicts":         line(strings.Repeat("{1:", n) + "1" + strings.Repeat("}", n)),
		"not":           line(strings.Repeat("not ", n) + "1"),
		"minus":         line(strings.Repeat("-", n) + "1"),
		"tilde":         line(strings.Repeat("~", n) + "1"),
		"sum":           line("1" + strings.Repeat("-1", n)),
		"million sums":  line("1" + strings.Repeat("-1", 3*n)),
		"texts":         line("'a'" + strings.Repeat("+'a'", n)),
		"power of dots": line("x" + strings.Repeat(".a", n)),
		"calls":         line("x" + strings.Repeat("()", n)),
		"indexes":       line("x" + strings.Repeat("[0]", n)),
		"and":           line("1" + strings.Repeat(" and 1", n)),
		"conditions":    line(strings.Repeat("1 if 1 else ", n) + "1"),
		"lambdas":       line(strings.Repeat("lambda: ", n) + "1"),
		"elif":          "if 1:\n    pass\n" + strings.Repeat("elif 1:\n    pass\n", n),
		"ifs":           strings.Repeat("if 1:pass\n", 21*n/10),
		"ifs in a def":  "def f(a):\n" + strings.Repeat(" if a:pass\n", 21*n/10),
		"nested if":     deepIf(),
		"comprehension": line("[1" + strings.Repeat(" for x in y", n) + "]"),
		"tuples":        line(strings.Repeat("(", n) + "1" + strings.Repeat(",)", n)),
		"NUL":           "x = 1\x00\n",
		"not UTF-8":     "x = '\xff\xfe' + \xff\n",
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := Parse("deep.star", []byte(src))
			var e *ScriptError
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want a script error", err)
			}
			t.Logf("%v: %s", time.Since(start).Round(time.Millisecond), bound(e.Message, 80))
		})
	}
	if _, err := Parse("big.star", []byte("x = 1\n"+strings.Repeat("#", maxSource))); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("got %v", err)
	}
	// What people write, and generate, is below the bounds.
	if _, err := Parse("long.star", []byte(line("'a'"+strings.Repeat("+\\\n'a'", 5000)))); err != nil {
		t.Errorf("5000 texts added: %v", err)
	}
}

// What is just below the bounds is compiled, in seconds.
func TestSourcesJustBelowTheBounds(t *testing.T) {
	for name, src := range map[string]string{
		"ifs":     "def f(a):\n" + strings.Repeat(" if a:pass\n", 19900),
		"fors":    "def f(a):\n" + strings.Repeat(" for x in a:pass\n", 19900),
		"elif":    "def f(a):\n if a:\n  pass\n" + strings.Repeat(" elif a:\n  pass\n", 9900),
		"ands":    "x = 1" + strings.Repeat(" and 1", 9900) + "\n",
		"minus":   "x = 1" + strings.Repeat(" - 1", 9900) + "\n",
		"dots":    "y = 1\nx = y" + strings.Repeat(".a", 9900) + "\n",
		"clauses": "y=[]\nx = [1" + strings.Repeat(" for x in y", 19900) + "]\n",
		"conds":   "y=[]\nx = [1 for x in y" + strings.Repeat(" if x", 19900) + "]\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse("x.star", []byte(src)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// The thread-locals of a thread are set before it executes anything, and by NewThread alone.
func TestLocalsAreSetOnce(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(src), ".SetLocal("); n > 0 && f != "run.go" && !strings.HasSuffix(f, "_test.go") || f == "run.go" && n != 1 {
			t.Errorf("%s calls SetLocal %d times", f, n)
		}
	}
}

func TestCancel(t *testing.T) {
	for name, src := range map[string]string{
		"loop":     "def f():\n    for i in range(1 << 40):\n        pass\nf()",
		"catch":    "def f():\n    for i in range(1 << 40):\n        pass\nfor i in range(1 << 40):\n    catch(f)",
		"sleep":    "time.sleep('1h')",
		"parallel": "def f(x):\n    for i in range(1 << 40):\n        pass\nparallel.map(f, range(100), on_error = 'collect')",
		"waiting":  "parallel.map(time.sleep, ['1h'] * 100)",
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Parse("cancel.star", []byte(src))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(20*time.Millisecond, cancel)
			start := time.Now()
			err = p.Run(ctx, RunOptions{Host: &fakeHost{}})
			if !fault.Is(err, fault.Cancelled) || !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}
