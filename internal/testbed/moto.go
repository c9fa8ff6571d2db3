package testbed

import (
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// Moto starts a server that stands for STS, IAM, EventBridge, SQS, SNS and S3, and checks no signatures: any key serves.
// It takes a second to start and 130 MB, so one serves a whole test function.
func Moto(t testing.TB) *AWS { t.Helper(); return moto(t, -1) }

// MotoAuth is Moto that checks signatures and permissions after the first n actions, which set up users and policies
// through its IAM.
func MotoAuth(t testing.TB, n int) *AWS { t.Helper(); return moto(t, n) }

func moto(t testing.TB, free int) *AWS {
	t.Helper()
	s := Server{
		Name:     "moto",
		Program:  "moto_server",
		Args:     func(i *Instance) []string { return []string{"-H", "127.0.0.1", "-p", strconv.Itoa(i.Port)} },
		Ready:    Answers("/moto-api/data.json"),
		Patience: 2 * time.Minute, // a busy machine takes long to read so much Python
		Env: func(*Instance) []string {
			if free < 0 {
				return nil
			}
			return []string{"INITIAL_NO_AUTH_ACTION_COUNT=" + strconv.Itoa(free)}
		},
	}
	s.Name += motoVersion(Program(t, s.Program))
	a := &AWS{Instance: s.Start(t), Region: "us-east-1", AccessKeyID: "AKIATESTBED0MOTO0000", SecretAccessKey: "testbed-moto-secret/+="}
	a.Endpoint = a.URL
	return a
}

// motoVersion reads the version from where pip installed the program, because the program itself cannot tell it.
func motoVersion(program string) string {
	if real, err := filepath.EvalSymlinks(program); err == nil {
		program = real
	}
	found, _ := filepath.Glob(filepath.Join(filepath.Dir(program), "..", "lib", "python*", "site-packages", "moto-*.dist-info"))
	if len(found) != 1 {
		return ""
	}
	name := filepath.Base(found[0])
	return " " + name[len("moto-"):len(name)-len(".dist-info")]
}
