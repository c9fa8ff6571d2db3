package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) validateCmd() *cobra.Command {
	return &cobra.Command{
		Use: "validate [SCRIPT...]", Short: "Check configuration and scripts without opening anything",
		Long:    "Check the configuration, and that the scripts parse and use only names that exist. Nothing is opened, and no secret and no environment is read.",
		Example: "  dsrun validate\n  dsrun validate -c prod.hcl examples/*.star",
		RunE: func(cmd *cobra.Command, args []string) error {
			first := ""
			if len(args) > 0 {
				first = args[0]
			}
			_, project, err := a.load(first)
			if err != nil {
				return err
			}
			for _, script := range args {
				src, shown, err := a.readScript(script)
				if err != nil {
					return err
				}
				if _, err := parseScript(shown, src); err != nil {
					return err
				}
			}
			cfg := project.Config()
			names := func(kind string) int { return len(cfg.Names(kind)) }
			if a.g.json {
				return a.printJSON(map[string]any{"valid": true, "datastores": names("datastore"), "topics": names("topic"),
					"credentials": names("credential"), "scripts": len(args)})
			}
			parts := []string{count(names("datastore"), "datastore"), count(names("topic"), "topic"), count(names("credential"), "credential")}
			if len(args) > 0 {
				parts = append(parts, count(len(args), "script"))
			}
			_, err = fmt.Fprintf(a.w.Stdout, "valid: %s\n", strings.Join(parts, ", "))
			return err
		},
	}
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
