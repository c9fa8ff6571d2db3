package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// files makes the folder of many files.
func (b *bench) files() (string, error) {
	src := filepath.Join(b.tmp, "src")
	if _, err := os.Stat(src); err == nil {
		return src, nil
	}
	return src, makeData("files", src, b.entries)
}

// list lists many small files; the peak memory over that of `dsrun version` must stay flat.
func (b *bench) list() error {
	src, err := b.files()
	if err != nil {
		return err
	}
	f, err := measure(3, b.dsrun, "ls", "-r", src)
	if err != nil {
		return err
	}
	row(fmt.Sprintf("%d files: dsrun ls -r", b.entries), f, b.per(f, b.entries, "a file")+", "+b.over(f))
	find, err := exec.LookPath("find")
	if err != nil {
		missing("  find | sort")
		return nil
	}
	for _, p := range []struct{ name, format string }{{"names alone", `%P\n`}, {"size, time, inode", `%P\t%s\t%T@\t%i\n`}} {
		g, err := measure(3, "sh", "-c", `"$1" "$2" -type f -printf "$3" | LC_ALL=C sort`, "sh", find, src, p.format)
		if err != nil {
			return err
		}
		row("  find -printf | sort: "+p.name, g, times(f, g))
	}
	return nil
}

// copySmall copies the many small files. Each is whole or absent at any time and durable when it is there.
func (b *bench) copySmall() error {
	src, err := b.files()
	if err != nil {
		return err
	}
	dst := filepath.Join(b.tmp, "dst")
	if err := os.Mkdir(dst, 0o700); err != nil {
		return err
	}
	f, err := measure(0, b.dsrun, "cp", "-r", src+"/", dst+"/")
	if err != nil {
		return err
	}
	row(fmt.Sprintf("%d files: dsrun cp -r", b.entries), f, b.per(f, b.entries, "a file")+", "+b.over(f))
	again, err := measure(0, b.dsrun, "cp", "-r", src+"/", dst+"/", "--overwrite", "if_changed")
	if err != nil {
		return err
	}
	row("  again: all are there", again, b.per(again, b.entries, "a file")+", "+b.over(again))
	if err := os.RemoveAll(dst); err != nil {
		return err
	}
	cp, err := exec.LookPath("cp")
	if err != nil {
		missing("  cp -r")
		return nil
	}
	g, err := measure(0, cp, "-r", src, dst)
	if err == nil {
		row("  cp -r, which neither syncs nor renames", g, times(f, g))
		err = os.RemoveAll(dst)
	}
	return err
}

// large makes the large file.
func (b *bench) large() (string, error) {
	path := filepath.Join(b.tmp, "big")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return path, makeData("bytes", path, b.big)
}

func (b *bench) read() error {
	path, err := b.large()
	if err != nil {
		return err
	}
	f, err := measure(3, b.dsrun, "cat", path)
	if err != nil {
		return err
	}
	row(fmt.Sprintf("%d MiB: dsrun cat > /dev/null", b.big), f, b.over(f))
	cat, err := exec.LookPath("cat")
	if err != nil {
		missing("  cat")
		return nil
	}
	g, err := measure(3, cat, path)
	if err == nil {
		row("  cat > /dev/null", g, times(f, g))
	}
	return err
}

// copyBig copies one large file. Its target is removed before each run.
func (b *bench) copyBig() error {
	path, err := b.large()
	if err != nil {
		return err
	}
	out := filepath.Join(b.tmp, "out")
	defer os.Remove(out)
	clear := func() error { return os.RemoveAll(out) }
	f, err := measureIn(clear, 3, b.dsrun, "cp", path, out)
	if err != nil {
		return err
	}
	row(fmt.Sprintf("%d MiB: dsrun cp", b.big), f, b.over(f))
	cp, err := exec.LookPath("cp")
	if err != nil {
		missing("  cp")
		return nil
	}
	g, err := measureIn(clear, 3, cp, path, out)
	if err == nil {
		row("  cp", g, times(f, g))
	}
	return err
}

// copyParallel copies 16 files at once, which together are twice the large one.
func (b *bench) copyParallel() error {
	src, dst := filepath.Join(b.tmp, "parallel"), filepath.Join(b.tmp, "parallel-out")
	defer os.RemoveAll(src)
	defer os.RemoveAll(dst)
	if err := os.Mkdir(src, 0o700); err != nil {
		return err
	}
	for i := range 16 {
		if err := makeData("bytes", filepath.Join(src, fmt.Sprint(i)), b.big/8); err != nil {
			return err
		}
	}
	clear := func() error {
		if err := os.RemoveAll(dst); err != nil {
			return err
		}
		return os.Mkdir(dst, 0o700)
	}
	f, err := measureIn(clear, 1, b.dsrun, "cp", "-r", "--workers", "16", src+"/", dst+"/")
	if err != nil {
		return err
	}
	row(fmt.Sprintf("16 x %d MiB: dsrun cp -r", b.big/8), f, b.over(f))
	cp, err := exec.LookPath("cp")
	if err != nil {
		missing("  cp -r")
		return nil
	}
	g, err := measureIn(func() error { return os.RemoveAll(dst) }, 1, cp, "-r", src, dst)
	if err == nil {
		row("  cp -r, one after another", g, times(f, g))
	}
	return err
}
