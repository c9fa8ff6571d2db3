package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/internal/spell"
)

// usageError is a wrong command line: exit code 2, with where to read on.
type usageError struct {
	cmd  string
	text string
	hint string
}

func (e *usageError) Error() string { return e.text }

func usage(cmd *cobra.Command, err error) error {
	return &usageError{cmd: cmd.CommandPath(), text: err.Error()}
}

func usagef(cmd *cobra.Command, format string, args ...any) error {
	return usage(cmd, fmt.Errorf(format, args...))
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef(cmd, "%s takes no arguments, got %q", cmd.Name(), args[0])
	}
	return nil
}

// exactly returns a check for the number of arguments that names the ones missing.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usagef(cmd, "%s is missing", names[len(args)])
		}
		if len(args) > len(names) {
			return usagef(cmd, "%q is one argument too many", args[len(names)])
		}
		return nil
	}
}

func atLeast(n int, name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < n {
			return usagef(cmd, "%s is missing", name)
		}
		return nil
	}
}

func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return usagef(cmd, "%q is one argument too many", args[n])
		}
		return nil
	}
}

// checkRunID refuses ids that could not stand in a log line.
func checkRunID(cmd *cobra.Command, id string) error {
	if len(id) > 200 || fault.Printable(id) != id {
		return usagef(cmd, "--run-id takes at most 200 printable characters")
	}
	return nil
}

func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	e := &usageError{cmd: cmd.CommandPath(), text: fmt.Sprintf("there is no command %q", args[0])}
	if s := spell.Nearest(args[0], names); s != "" {
		e.hint = fmt.Sprintf("Did you mean %q?", s)
	} else if strings.HasSuffix(args[0], ".star") {
		e.hint = "To run a script: dsrun run " + args[0]
	}
	return e
}

// unknownFlag names the script's flags when one is misspelt.
func (a *app) unknownFlag(cmd *cobra.Command, f *pflag.FlagSet, err error) error {
	e := &usageError{cmd: cmd.CommandPath(), text: err.Error()}
	if _, name, ok := strings.Cut(err.Error(), "unknown flag: --"); ok {
		var names []string
		f.VisitAll(func(x *pflag.Flag) { names = append(names, x.Name) })
		if s := spell.Nearest(name, names); s != "" {
			e.hint = fmt.Sprintf("Did you mean --%s?", s)
		}
	}
	return e
}

// exitCode follows the table of the README.
func exitCode(err error) int {
	switch fault.CodeOf(err) {
	case "":
		return 0
	case fault.Limit, fault.DeadlineExceeded:
		return 3
	case fault.PermissionDenied, fault.Unauthenticated:
		return 4
	}
	return 1
}
