// Package fault is the one vocabulary of failure: every error that leaves the engine says what was done, to what,
// where, with which code, and what the person who must act can do about it.
package fault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"
)

// Code is a class of failure. The same words stand in script errors, in JSON output and in exit codes.
type Code string

// The codes, all of them. Their meanings follow the canonical status codes of gRPC; DataLoss, BadRow, Limit and Fail
// are dsrun's own reading.
const (
	NotFound           Code = "not_found"
	AlreadyExists      Code = "already_exists"
	InvalidArgument    Code = "invalid_argument"
	PermissionDenied   Code = "permission_denied"
	Unauthenticated    Code = "unauthenticated"
	FailedPrecondition Code = "failed_precondition" // a condition or a pinned version no longer holds
	DataLoss           Code = "data_loss"           // bytes short, altered or unverifiable
	ResourceExhausted  Code = "resource_exhausted"  // throttled, or a quota or a disk is full
	Unavailable        Code = "unavailable"
	DeadlineExceeded   Code = "deadline_exceeded"
	Cancelled          Code = "cancelled"
	Unimplemented      Code = "unimplemented"
	Internal           Code = "internal"
	BadRow             Code = "bad_row" // a record that its format cannot hold
	Limit              Code = "limit"   // a limit that dsrun sets: memory, steps, time, sizes
	Fail               Code = "fail"    // a script called fail()
)

// Codes lists every code in the order of the reference pages.
func Codes() []Code {
	return []Code{NotFound, AlreadyExists, InvalidArgument, PermissionDenied, Unauthenticated, FailedPrecondition, DataLoss,
		ResourceExhausted, Unavailable, DeadlineExceeded, Cancelled, Unimplemented, Internal, BadRow, Limit, Fail}
}

// Class is what a driver knows of an error: its code and what follows from it.
type Class struct {
	Code         Code
	RetryAfter   time.Duration // how long the service asked to wait; 0 means it did not say
	MaybeApplied bool          // the request may have taken effect although it failed
	NoRetry      bool          // another try of the same request cannot succeed (a full disk, a used-up quota)
	Hint         string        // what the person can do, one sentence
	RequestID    string        // the service's own id of the request, for its support
}

// Retryable reports whether another try of the same request can succeed.
func (c Class) Retryable() bool {
	if c.NoRetry {
		return false
	}
	return c.Code == Unavailable || c.Code == ResourceExhausted || c.Code == DeadlineExceeded
}

// Error is a classified failure. It is wrapped once, by the portable type that ran the operation.
type Error struct {
	Op       string // "get", "list", "publish", ...
	Resource string // the name of the datastore, topic or other thing as declared
	Key      string // the object, when there is one
	Class    Class
	Err      error
}

// Error prints `op resource key: code: cause` on one line; the hint is not part of it (see Class.Hint).
func (e *Error) Error() string {
	var b strings.Builder
	for _, s := range []string{e.Op, e.Resource, Printable(e.Key)} {
		if s == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(s)
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	b.WriteString(string(e.Class.Code))
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(Printable(e.Err.Error())) // it may quote what a service or a file name says
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Wrap returns the error of an operation: err with the class that its driver gave it and the name of what was done, to
// what, where. An error that names its operation already is returned as it is, so that wrapping happens once; of one that
// only has a class (New), the cause is taken. A nil err gives nil.
func Wrap(op, resource, key string, class Class, err error) error {
	if err == nil {
		return nil
	}
	var named *Error
	if errors.As(err, &named) && named.Op != "" {
		return err
	}
	if e, ok := err.(*Error); ok {
		if class.Hint == "" && class.Code == e.Class.Code {
			class.Hint = e.Class.Hint
		}
		err = e.Err
	}
	return &Error{Op: op, Resource: resource, Key: key, Class: class, Err: err}
}

// New returns an error of a class with a formatted cause; %w keeps the cause's identity.
func New(code Code, format string, args ...any) *Error {
	return &Error{Class: Class{Code: code}, Err: fmt.Errorf(format, args...)}
}

// Hinted returns an error like New's that carries a hint.
func Hinted(code Code, hint, format string, args ...any) *Error {
	e := New(code, format, args...)
	e.Class.Hint = hint
	return e
}

// CodeOf returns the code of err, or "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	return ClassOf(err).Code
}

// Is reports whether err is of the given code.
func Is(err error, code Code) bool { return err != nil && CodeOf(err) == code }

// ClassOf returns the class of err: that of the outermost *Error in its chain, else what the context, file system and
// network errors of the standard library mean, else Internal.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return Plain(err)
}

// Plain classifies the errors of the standard library; drivers fall back to it.
func Plain(err error) Class {
	var timeout interface{ Timeout() bool }
	switch {
	case err == nil:
		return Class{}
	case errors.Is(err, context.Canceled):
		return Class{Code: Cancelled}
	case errors.Is(err, context.DeadlineExceeded):
		return Class{Code: DeadlineExceeded, NoRetry: true}
	case errors.Is(err, fs.ErrNotExist):
		return Class{Code: NotFound}
	case errors.Is(err, fs.ErrExist):
		return Class{Code: AlreadyExists}
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return Class{Code: PermissionDenied}
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return Class{Code: ResourceExhausted, NoRetry: true, Hint: "The disk is full or a quota or file-size limit is reached: free some space and run again."}
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return Class{Code: ResourceExhausted, Hint: "Too many files are open: lower max_concurrency or raise the limit with ulimit -n."}
	case errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.EINVAL):
		return Class{Code: InvalidArgument}
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return Class{Code: Unavailable}
	case errors.As(err, &timeout) && timeout.Timeout():
		return Class{Code: DeadlineExceeded}
	}
	return Class{Code: Internal}
}

// Printable returns s with every control, format (bidirectional) and invalid character escaped, so that a name chosen
// by a stranger cannot drive a terminal or break a line. Doing it twice changes nothing more.
func Printable(s string) string {
	dirty := -1
	for i, r := range s {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			dirty = i
			break
		}
	}
	if dirty < 0 {
		return s
	}
	var b strings.Builder
	b.WriteString(s[:dirty])
	for s = s[dirty:]; s != ""; {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r > 0xFFFF:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		s = s[n:]
	}
	return b.String()
}
