package engine

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"syscall"

	"github.com/dsrun/dsrun/config"
	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/state"
	"github.com/dsrun/dsrun/engine/store"
)

// openStore evaluates the declaration with its secrets and opens the driver. Only this block and its credential are
// evaluated, so that a secret that another store needs may be missing here.
func (p *Project) openStore(ctx context.Context, d *config.Decl) (store.Driver, schema.Common, error) {
	pr, options, common, env, err := p.prepare(ctx, d)
	if err != nil {
		return nil, common, err
	}
	driver, err := pr.OpenStore(ctx, env, options)
	return driver, common, p.opened(d, err)
}

func (p *Project) openTopic(ctx context.Context, d *config.Decl) (event.Driver, schema.Common, error) {
	pr, options, common, env, err := p.prepare(ctx, d)
	if err != nil {
		return nil, common, err
	}
	driver, err := pr.OpenTopic(ctx, env, options)
	return driver, common, p.opened(d, err)
}

// credential opens a declared credential, once.
func (p *Project) credential(ctx context.Context, d *config.Decl) (credential.Source, error) {
	return p.credentials.get(ctx, d.Type+"."+d.Name, func(ctx context.Context) (credential.Source, error) {
		pr, options, _, env, err := p.prepare(ctx, d)
		if err != nil {
			return nil, err
		}
		src, err := pr.OpenCredential(ctx, env, options)
		return src, p.opened(d, err)
	})
}

// opened wraps an error of opening, once, without secrets.
func (p *Project) opened(d *config.Decl, err error) error {
	class := fault.ClassOf(err)
	return p.e.o.Redactor.Error(fault.Wrap("open", d.Name, "", class, err))
}

func (p *Project) prepare(ctx context.Context, d *config.Decl) (provider.Provider, schema.Fielder, schema.Common, provider.Env, error) {
	var none provider.Env
	pr, ok := p.e.o.Providers.Get(d.Kind, d.Type)
	if !ok {
		return pr, nil, schema.Common{}, none, fault.New(fault.Unimplemented, "%s %q is not a kind this build knows", d.Kind, d.Type)
	}
	options, common, diags := p.cfg.Resolve(ctx, d, secrets{p.e})
	if diags.HasErrors() {
		return pr, nil, common, none, &fault.Error{Op: "open", Resource: d.Name,
			Class: fault.Class{Code: fault.InvalidArgument}, Err: &DiagnosticsError{Diags: p.cfg.Diags(diags)}}
	}
	client, err := p.httpClient(d, common)
	if err != nil {
		return pr, nil, common, none, p.opened(d, err)
	}
	env := provider.Env{
		Name: d.Name, DryRun: p.src.DryRun, Format: common.Format, HTTP: client, Clock: p.e.o.Clock, Budget: p.budget, Log: p.e.o.Log, Redactor: p.e.o.Redactor,
		CredentialOf: func(ref schema.Ref) (credential.Source, error) { return p.resolveRef(ctx, ref) },
		State: func() (*state.State, error) {
			s, err := p.State()
			if err != nil {
				return nil, err
			}
			return s.Sub(d.Kind + "." + d.Name), nil
		},
		Getenv: func(name string) string { v, _ := p.e.o.LookupEnv(name); return v },
	}
	if len(pr.Body.Families) > 0 {
		if env.Credential, err = p.credentialFor(ctx, d, common, pr.Body.Families); err != nil {
			return pr, nil, common, none, err
		}
	}
	return pr, options, common, env, nil
}

// credentialFor picks a block's credential: the one it names, else its families' default block, else the first family's
// own default chain. A block that names one never falls back to another.
func (p *Project) credentialFor(ctx context.Context, d *config.Decl, common schema.Common, families []string) (credential.Source, error) {
	if c, ok := p.cfg.CredentialFor(d, common); ok {
		return p.credential(ctx, c)
	}
	pr, ok := p.e.o.Providers.Get(provider.KindCredential, families[0])
	if !ok {
		return nil, fault.New(fault.Unimplemented, "credential family %q is not known to this build", families[0])
	}
	return p.credentials.get(ctx, families[0]+".", func(ctx context.Context) (credential.Source, error) {
		client, err := httpclient.New(httpclient.Options{Name: families[0], Log: p.e.o.Log})
		if err != nil {
			return nil, err
		}
		options, _ := pr.Body.Declare()
		return pr.OpenCredential(ctx, provider.Env{
			Name: "(default)", HTTP: client, Clock: p.e.o.Clock, Log: p.e.o.Log,
			Redactor: p.e.o.Redactor, State: p.State,
			Getenv: func(name string) string { v, _ := p.e.o.LookupEnv(name); return v },
		}, options)
	})
}

func (p *Project) httpClient(d *config.Decl, common schema.Common) (*http.Client, error) {
	o := httpclient.Options{Insecure: common.Insecure, Name: d.Name, Log: p.e.o.Log}
	if common.CAFile != "" {
		pem, err := p.e.readAbsolute(common.CAFile, maxFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		o.CA = pem
	}
	return httpclient.New(o)
}

// newStore puts the portable layers around a driver.
func (p *Project) newStore(d *config.Decl, driver store.Driver, c schema.Common) *store.Store {
	o := store.Options{
		Prefix: c.Prefix, Mode: storeMode(c.Mode), Description: c.Description, Labels: c.Labels,
		Retry: p.e.o.Retry, Timeout: c.Timeout, Concurrency: int(c.MaxConcurrency), Clock: p.e.o.Clock,
		Redactor: p.e.o.Redactor, Budget: p.budget, Stats: p.stats, Spill: p.spill,
	}
	if c.MaxAttempts > 0 {
		o.Retry.MaxAttempts = int(c.MaxAttempts)
	}
	if n := p.cfg.Settings.MaxConcurrency; n > 0 && o.Concurrency == 0 {
		o.Concurrency = int(n)
	}
	return store.New(d.Name, d.Type, driver, o)
}

func storeMode(mode string) store.Mode {
	switch mode {
	case schema.ModeRead:
		return store.ModeRead
	case schema.ModeAppend:
		return store.ModeAppend
	}
	return store.ModeWrite
}

// readBounded reads a file below a root; a larger one is a limit error.
func readBounded(root *os.Root, name string, max int64) ([]byte, error) {
	// O_NONBLOCK: opening a named pipe must not wait for a writer.
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil {
		return nil, err
	} else if !st.Mode().IsRegular() {
		return nil, fault.New(fault.InvalidArgument, "%s is not a file", name)
	}
	b, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > max {
		return nil, fault.New(fault.Limit, "%s is larger than %d bytes", name, max)
	}
	return b, nil
}
