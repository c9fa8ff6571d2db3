package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

const loopScript = `
def step(a, b):
    return {"k": a, "v": b.upper()}

def main():
    n = 0
    for i in range(%d):
        r = step(i, "abc")
        if r["k"] %% 3 == 0:
            n = n + len(r["v"]) * 2
    print(n)
`

// loop compares one script under dsrun's limits with the same under the plain interpreter.
func (b *bench) loop() error {
	const n = 2_000_000
	script := filepath.Join(b.tmp, "loop.star")
	if err := os.WriteFile(script, fmt.Appendf(nil, loopScript, n), 0o600); err != nil {
		return err
	}
	ours, err := measure(3, b.dsrun, "run", script)
	if err != nil {
		return err
	}
	row("dsrun", ours, b.per(ours, n, "an iteration"))
	floor, err := measure(3, b.plain, script)
	if err != nil {
		return err
	}
	row("plain interpreter", floor, times(ours, floor))
	return nil
}

// project makes a folder with a datastore "a", which is the folder itself, and a csv file of b.rows rows.
func (b *bench) project() (dir string, err error) {
	dir = filepath.Join(b.tmp, "project")
	if err = os.Mkdir(dir, 0o700); os.IsExist(err) {
		return dir, nil
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "dsrun.hcl"), fmt.Appendf(nil, "datastore \"local\" \"a\" {\n  path = %q\n}\n", dir), 0o600)
	}
	if err == nil {
		err = makeData("csv", filepath.Join(dir, "rows.csv"), b.rows)
	}
	return dir, err
}

// runScript measures main() with one statement.
func (b *bench) runScript(dir, statement string) (figure, error) {
	path := filepath.Join(dir, "part.star")
	if err := os.WriteFile(path, []byte("def main():\n    "+statement+"\n"), 0o600); err != nil {
		return figure{}, err
	}
	return measure(3, b.dsrun, "run", "-c", filepath.Join(dir, "dsrun.hcl"), path)
}

const (
	typed  = `ds.a.read("rows.csv", types = {"qty": "int"})`
	inLoop = "n = 0\n    for r in " + typed + ":\n        n += r.qty\n    print(n)"
)

// scriptRows is what a row of a file costs in a script's loop, and in steps that run in Go.
func (b *bench) scriptRows() error {
	dir, err := b.project()
	if err != nil {
		return err
	}
	for _, s := range []struct{ name, statement, python string }{
		{"count", `print(ds.a.read("rows.csv").count())`, "print(sum(1 for r in csv.reader(f)))"},
		{"loop over rows", inLoop, "n = 0\nfor r in csv.DictReader(f): n += int(r['qty'])\nprint(n)"},
		{"filter and map", "print(" + typed + `.filter(lambda r: r.qty > 6).map(lambda r: {"id": r.id}).count())`,
			"print(sum(1 for r in ({'id': r['id']} for r in csv.DictReader(f) if int(r['qty']) > 6)))"},
		{"group", "print(" + typed + `.group("name", n = agg.sum("qty")).count())`,
			"d = {}\nfor r in csv.DictReader(f): d[r['name']] = d.get(r['name'], 0) + int(r['qty'])\nprint(len(d))"},
	} {
		f, err := b.runScript(dir, s.statement)
		if err != nil {
			return err
		}
		row(fmt.Sprintf("%d csv rows: %s", b.rows, s.name), f, b.per(f, b.rows, "a row")+", "+b.over(f))
		if err := b.python(f, "  python3 csv", "import csv\nf = open('"+filepath.Join(dir, "rows.csv")+"', newline='')\n"+s.python); err != nil {
			return err
		}
	}
	return nil
}

// python measures a program in Python where it is installed.
func (b *bench) python(ours figure, name, program string) error {
	python, err := exec.LookPath("python3")
	if err != nil {
		missing(name)
		return nil
	}
	f, err := measure(1, python, "-c", program)
	if err == nil {
		row(name, f, times(ours, f))
	}
	return err
}

// convert turns csv into compressed JSON lines, as it is and through a function of the script.
func (b *bench) convert() error {
	dir, err := b.project()
	if err != nil {
		return err
	}
	const types = `types = {"price": "float", "qty": "int"}`
	const head = `import csv, gzip, json
src = open("rows.csv", newline="", encoding="utf-8")
out = gzip.open("py.jsonl.gz", "wt", compresslevel=6, encoding="utf-8")
for r in csv.DictReader(src):
`
	const tail = `    out.write(json.dumps(r, separators=(",", ":")) + "\n")
out.close()`
	for _, s := range []struct{ name, statement, python string }{
		{"as it is", `ds.a.write("out.jsonl.gz", ds.a.read("rows.csv", ` + types + `), overwrite = True)`,
			`    r["price"] = float(r["price"]); r["qty"] = int(r["qty"])` + "\n"},
		{"with map", `ds.a.write("out.jsonl.gz", ds.a.read("rows.csv", ` + types + `).map(lambda r: {"id": r.id, "total": r.price * r.qty}), overwrite = True)`,
			`    r = {"id": r["id"], "total": float(r["price"]) * int(r["qty"])}` + "\n"},
	} {
		f, err := b.runScript(dir, s.statement)
		if err != nil {
			return err
		}
		row(fmt.Sprintf("%d rows, csv to jsonl.gz, %s", b.rows, s.name), f, b.per(f, b.rows, "a row")+", "+b.over(f))
		enter := fmt.Sprintf("import os\nos.chdir(%q)\n", dir)
		if err := b.python(f, "  python3 csv, json, gzip -6", enter+head+s.python+tail); err != nil {
			return err
		}
		if err := sameLines(filepath.Join(dir, "out.jsonl.gz"), filepath.Join(dir, "py.jsonl.gz")); err != nil {
			return err
		}
		if err := b.pandas(f, enter, s.name == "with map"); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) pandas(ours figure, enter string, mapped bool) error {
	if exec.Command("python3", "-c", "import pandas").Run() != nil {
		missing("  pandas")
		return nil
	}
	program := enter + "import pandas\nd = pandas.read_csv('rows.csv')\n"
	if mapped {
		program += "d = pandas.DataFrame({'id': d.id, 'total': d.price * d.qty})\n"
	}
	return b.python(ours, "  pandas", program+"d.to_json('pd.jsonl.gz', orient='records', lines=True)")
}

// formatsOnly prints its own table.
func (b *bench) formatsOnly() error {
	cmd := exec.Command(b.formats)
	var words lastWords
	cmd.Stdout, cmd.Stderr = os.Stdout, &words
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, words.String())
	}
	return nil
}
