package starlib

import "github.com/dsrun/dsrun/engine/fault"

func notYet(op string) error { return stepError(op, fault.Unimplemented, "", "not built yet") }

func distinctRows(x *exec, s *Step, src cursor) (cursor, error) { return nil, notYet("distinct") }
func sortRows(x *exec, s *Step, src cursor) (cursor, error)     { return nil, notYet("sort") }
func stepJoin(x *exec, s *Step, src cursor, lazy bool) (cursor, error) {
	return nil, notYet("join")
}
func stepGroup(x *exec, s *Step, src cursor, lazy bool) (cursor, error) {
	return nil, notYet("group")
}
func stepStats(x *exec, s *Step, src cursor, lazy bool) (cursor, error) {
	return nil, notYet("stats")
}
