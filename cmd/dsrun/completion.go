package main

import (
	"context"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/store"
)

const (
	// shellTime is how long a shell's Tab waits for the paths of a datastore.
	shellTime = 1500 * time.Millisecond
	// shellPaths is how many paths are offered.
	shellPaths = 200
)

func (a *app) completionCmd() *cobra.Command {
	return &cobra.Command{
		Use: "completion bash|zsh|fish", Short: "Print a script that completes command lines",
		Long: `Print a script for a shell. It completes commands, flags and their values, the names of datastores and topics that the
configuration declares, and the paths in datastores, as far as they answer within 1.5 seconds.

  bash  source <(dsrun completion bash)           in ~/.bashrc
  zsh   source <(dsrun completion zsh)            in ~/.zshrc, after compinit
  fish  dsrun completion fish | source            in ~/.config/fish/config.fish
`,
		Example:   "  source <(dsrun completion bash)",
		Args:      exactly("SHELL"),
		ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				_, err := io.WriteString(a.w.Stdout, bashCompletion)
				return err
			case "zsh":
				return cmd.Root().GenZshCompletion(a.w.Stdout)
			case "fish":
				return cmd.Root().GenFishCompletion(a.w.Stdout, true)
			}
			return usagef(cmd, "there is no completion for %q; there is one for bash, zsh and fish", args[0])
		},
	}
}

// completer answers what may stand for the last word of a command line.
type completeFunc = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective)

// addCompletions says what the arguments and flags of the commands are.
func (a *app) addCompletions(root *cobra.Command) {
	place := a.completePlace
	first := func(f completeFunc) completeFunc {
		return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return f(cmd, args, word)
		}
	}
	two := func(f completeFunc) completeFunc {
		return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 1 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return f(cmd, args, word)
		}
	}
	files := func(suffixes ...string) completeFunc {
		return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return suffixes, cobra.ShellCompDirectiveFilterFileExt
		}
	}
	none := func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	args := map[string]completeFunc{
		"dsrun ls": first(place), "dsrun cat": place, "dsrun stat": place, "dsrun rm": place,
		"dsrun cp": two(place), "dsrun sync": two(place), "dsrun mv": two(place),
		"dsrun uploads ls": first(place), "dsrun uploads abort": first(place),
		"dsrun publish": first(a.completeNames(provider.KindTopic)), "dsrun events ls": first(a.completeNames(provider.KindTopic)),
		"dsrun events flush": first(a.completeNames(provider.KindTopic)), "dsrun events replay": first(a.completeNames(provider.KindTopic)),
		"dsrun run": a.completeRun, "dsrun validate": files("star"), "dsrun fmt": files("hcl", "star"), "dsrun test": files("star"),
		"dsrun docs": a.completeDocs, "dsrun schema": a.completeSchema, "dsrun repl": none, "dsrun version": none,
	}
	flags := map[string]completeFunc{
		"config": files("hcl", "json"), "var-file": files("hcl"), "env": a.completeEnv, "var": a.completeVar,
		"log-level": words("debug", "info", "warn", "error"), "overwrite": words("never", "if_changed", "always"),
	}
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if f := args[c.CommandPath()]; f != nil {
			c.ValidArgsFunction = f
		}
		for name, f := range flags {
			if c.LocalFlags().Lookup(name) != nil {
				_ = c.RegisterFlagCompletionFunc(name, f)
			}
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(root)
}

func words(list ...string) completeFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}

// quietly loads the configuration without a word about what is wrong with it.
func (a *app) quietly() (*places, bool) {
	src, err := a.source("")
	if err != nil {
		return nil, false
	}
	project, diags := a.engine().Load(src)
	if diags.HasErrors() {
		return nil, false
	}
	a.closers = append(a.closers, project.Close)
	return &places{a: a, project: project}, true
}

// completePlace offers names of datastores, then one level of paths at a time.
func (a *app) completePlace(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	if isLocal(word) {
		return nil, cobra.ShellCompDirectiveDefault
	}
	a.dryRun = true                                                                   // a look makes nothing
	const open = cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp // it goes on
	ps, ok := a.quietly()
	if !ok {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	name, path, colon := strings.Cut(word, ":")
	if !colon {
		var out []string
		for _, n := range ps.project.Config().Names(provider.KindStore) {
			if strings.HasPrefix(n, word) {
				out = append(out, n+":")
			}
		}
		return out, open
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), shellTime)
	defer cancel()
	type answer struct{ keys []string }
	done := make(chan answer, 1)
	go func() { done <- answer{levelOf(ctx, ps, name, path)} }()
	select {
	case got := <-done:
		var out []string
		directive := cobra.ShellCompDirectiveNoFileComp
		for _, k := range got.keys {
			out = append(out, name+":"+k)
			if strings.HasSuffix(k, "/") {
				directive = open
			}
		}
		return out, directive
	case <-ctx.Done(): // something does not listen: the shell gets nothing, and the process ends
		return nil, open
	}
}

// levelOf lists what begins with path, up to the next slash. Names that a command line cannot hold are left out.
func levelOf(ctx context.Context, ps *places, name, path string) []string {
	s, err := ps.project.Store(ctx, name)
	if err != nil {
		return nil
	}
	var out []string
	_ = eachEntry(ctx, s, store.ListOptions{Prefix: path, OneLevel: true}, func(e store.Entry) error {
		if fault.Printable(e.Key) == e.Key && strings.HasPrefix(e.Key, path) {
			out = append(out, e.Key)
		}
		if len(out) >= shellPaths {
			return context.Canceled // enough
		}
		return nil
	})
	return out
}

// completeNames offers the names of a kind of block.
func (a *app) completeNames(kind string) completeFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		ps, ok := a.quietly()
		if !ok {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return ps.project.Config().Names(kind), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeRun offers scripts, then the flags that the script's main() has.
func (a *app) completeRun(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	script := ""
	for _, arg := range args {
		if strings.HasSuffix(arg, ".star") {
			script = arg
			break
		}
	}
	var out []string
	add := func(name, about string) {
		if flag := "--" + name; strings.HasPrefix(flag, word) && !slices.Contains(args, flag) {
			out = append(out, flag+"\t"+about)
		}
	}
	switch {
	case script == "" && len(args) > 0 && (args[len(args)-1] == "-c" || args[len(args)-1] == "--config"):
		return []string{"hcl", "json"}, cobra.ShellCompDirectiveFilterFileExt
	case script == "": // cobra itself adds the flags of dsrun
		return []string{"star"}, cobra.ShellCompDirectiveFilterFileExt
	case strings.HasPrefix(word, "-"):
		if src, shown, err := a.readScript(script); err == nil {
			if p, err := parseScript(shown, src); err == nil {
				for _, x := range p.Params() {
					about := x.Type
					if x.Default != "" {
						about += ", default " + x.Default
					}
					add(strings.ReplaceAll(x.Name, "_", "-"), about)
				}
			}
		}
	default:
		return nil, cobra.ShellCompDirectiveDefault
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) completeDocs(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	var out []string
	before := strings.Join(append(slices.Clone(args), ""), " ")
	for _, g := range docGroups {
		if before == "" {
			out = append(out, g.word+"\t"+g.title)
		}
	}
	for _, t := range topics(referenceOf(cmd.Root(), a.w.Providers())) {
		for _, name := range append([]string{t.Name}, t.aliases...) {
			if rest, ok := strings.CutPrefix(name, before); ok && rest != "" && !strings.Contains(rest, " ") {
				out = append(out, rest+"\t"+t.Summary)
			}
		}
	}
	out = slices.DeleteFunc(out, func(s string) bool { return !strings.HasPrefix(s, word) })
	slices.Sort(out)
	return slices.CompactFunc(out, func(x, y string) bool {
		x, _, _ = strings.Cut(x, "\t")
		y, _, _ = strings.Cut(y, "\t")
		return x == y
	}), cobra.ShellCompDirectiveNoFileComp
}

func (a *app) completeSchema(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var out []string
	for _, b := range allBodies(a.w.Providers()) {
		switch {
		case len(args) == 0:
			out = append(out, b.Block)
		case len(args) == 1 && args[0] == b.Block && b.Label != "":
			out = append(out, b.Label+"\t"+b.Summary)
		}
	}
	return slices.Compact(out), cobra.ShellCompDirectiveNoFileComp
}

// completeEnv offers the files of values in env/ beside the configuration.
func (a *app) completeEnv(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	src, err := a.source("")
	if err != nil || src.Dir == "" {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	root, err := a.w.OpenRoot(filepath.Join(src.Dir, "env"))
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer root.Close()
	var out []string
	entries, _ := fs.ReadDir(root.FS(), ".")
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".dsvars.hcl"); ok {
			out = append(out, name)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completeVar offers the variables that the configuration declares.
func (a *app) completeVar(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	src, err := a.source("")
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	project, _ := a.engine().Load(src)
	a.closers = append(a.closers, project.Close)
	var out []string
	for _, v := range project.Config().Variables {
		out = append(out, v.Name+"=\t"+v.Description)
	}
	return out, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
}

// bashCompletion asks dsrun as cobra's own scripts do, and needs nothing but bash 4: what splits words at colons and what
// puts them together again is written out.
const bashCompletion = `# bash completion for dsrun
_dsrun() {
    local line=$COMP_LINE words=() word i n=-1
    for ((i = 0; i <= COMP_CWORD; i++)); do # bash has split NAME:path at the colon
        word=${COMP_WORDS[i]}
        if ((n < 0)) || [[ $line == [[:space:]]* ]]; then
            line=${line#"${line%%[![:space:]]*}"}
            words[++n]=$word
        else
            words[n]+=$word
        fi
        line=${line#"$word"}
    done
    local cur=${words[n]} quote=
    case $cur in [\"\']*) quote=${cur:0:1} ;; esac
    local args=() directive=0 out value
    for word in "${words[@]:1}"; do
        word=${word#[\"\']}
        word=${word%[\"\']}
        args+=("${word//\\/}")
    done
    out=$("${words[0]}" __complete "${args[@]}" 2>/dev/null) || return
    directive=${out##*:}
    out=${out%:*}
    cur=${args[n - 1]}
    # What stands before the last colon is a word of its own for bash.
    local before=
    [[ $COMP_WORDBREAKS == *:* && -z $quote ]] && before=${cur%"${cur##*:}"}
    COMPREPLY=()
    if ((directive & 8)); then # files with these suffixes
        local suffix
        compopt -o filenames 2>/dev/null
        while IFS= read -r suffix; do
            [[ -n $suffix ]] && while IFS= read -r value; do COMPREPLY+=("$value"); done < <(compgen -f -X "!*.$suffix" -- "$cur")
        done <<<"$out"
        while IFS= read -r value; do COMPREPLY+=("$value"); done < <(compgen -d -- "$cur")
        return
    fi
    while IFS= read -r value; do
        value=${value%%$'\t'*}
        [[ -n $value && $value == "$cur"* ]] || continue
        value=${value#"$before"}
        [[ -n $quote ]] || printf -v value %q "$value"
        COMPREPLY+=("$value")
    done <<<"$out"
    ((directive & 2)) && compopt -o nospace 2>/dev/null
    if ((${#COMPREPLY[@]} == 0 && !(directive & 4))); then
        compopt -o default -o bashdefault 2>/dev/null
    fi
}
complete -F _dsrun dsrun
`
