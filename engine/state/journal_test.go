package state

import (
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
)

func TestJournal(t *testing.T) {
	s, _ := open(t)
	sub := s.Sub("transfers")
	j, err := sub.OpenJournal(t.Context(), "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := j.Get("x"); b != nil || err != nil {
		t.Errorf("an absent record: %q, %v", b, err)
	}
	for _, n := range []string{"x", "y"} {
		if err := j.Put(n, []byte(n+" record")); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Delete("y"); err != nil {
		t.Fatal(err)
	}
	if err := j.Delete("y"); err != nil {
		t.Errorf("deleted again: %v", err)
	}
	if _, err := sub.OpenJournal(t.Context(), "a", "b"); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("the journal is open twice: %v", err)
	}
	other, err := sub.OpenJournal(t.Context(), "ab", "")
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := other.Names(); len(n) != 0 {
		t.Errorf("another job has the records %v", n)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, err = sub.OpenJournal(t.Context(), "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if n, _ := j.Names(); len(n) != 1 || n[0] != "x" {
		t.Errorf("records %v after another opening", n)
	}
	if b, err := j.Get("x"); string(b) != "x record" || err != nil {
		t.Errorf("got %q, %v", b, err)
	}
}
