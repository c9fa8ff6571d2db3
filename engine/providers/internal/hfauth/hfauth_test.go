package hfauth

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/provider/providertest"
	"github.com/dsrun/dsrun/engine/secret"
)

func TestProvider(t *testing.T) {
	t.Parallel()
	providertest.Check(t, Provider())
	providertest.Canary(t, Provider(), provider.Env{}, nil, func(ctx context.Context, opened any) error {
		_, err := opened.(credential.Source).Resolve(ctx, credential.Want{})
		return err
	})
}

func tokenOf(t *testing.T, o Options, vars map[string]string) (string, error) {
	t.Helper()
	r := secret.NewRedactor()
	src, err := open(t.Context(), provider.Env{Name: "x", Redactor: r, Getenv: func(n string) string { return vars[n] }}, &o)
	if err != nil {
		t.Fatal(err)
	}
	token, err := Token(t.Context(), src, false)
	if token != "" && r.Redact(token) == token {
		t.Errorf("the redactor does not know the token %q", token)
	}
	return token, err
}

// The places of the default chain, in the order of the hub's own client.
func TestDefault(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	write := func(path, text string) string {
		t.Helper()
		path = filepath.Join(home, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write(".cache/huggingface/token", "hf_of_home\n")
	write("xdg/huggingface/token", "hf_of_xdg")
	write("hub/token", " hf_of_hf_home \n")
	named := write("named", "hf_named")
	for _, x := range []struct {
		vars map[string]string
		want string
	}{
		{map[string]string{"HOME": home}, "hf_of_home"},
		{map[string]string{"HOME": home, "XDG_CACHE_HOME": filepath.Join(home, "xdg")}, "hf_of_xdg"},
		{map[string]string{"HOME": home, "XDG_CACHE_HOME": filepath.Join(home, "xdg"), "HF_HOME": "~/hub"}, "hf_of_hf_home"},
		{map[string]string{"HOME": home, "HF_HOME": "~/hub", "HF_TOKEN_PATH": named}, "hf_named"},
		{map[string]string{"HOME": home, "HUGGING_FACE_HUB_TOKEN": "hf_legacy"}, "hf_legacy"},
		{map[string]string{"HOME": home, "HUGGING_FACE_HUB_TOKEN": "hf_legacy", "HF_TOKEN": "hf_env"}, "hf_env"},
		{map[string]string{"HOME": filepath.Join(home, "nobody")}, ""},
		{map[string]string{}, ""},
	} {
		if got, err := tokenOf(t, Options{Method: methodDefault}, x.vars); err != nil || got != x.want {
			t.Errorf("%v: %q, %v, want %q", x.vars, got, err, x.want)
		}
	}
	vars := map[string]string{"HOME": home, "HF_TOKEN": "hf_env"}
	if got, err := tokenOf(t, Options{Method: methodToken, Token: secret.New("hf_declared")}, vars); err != nil || got != "hf_declared" {
		t.Errorf("declared: %q, %v", got, err)
	}
	if got, err := tokenOf(t, Options{Method: methodAnonymous}, vars); err != nil || got != "" {
		t.Errorf("anonymous: %q, %v", got, err)
	}
	if _, err := tokenOf(t, Options{Method: methodToken, Token: secret.New("hf_x\r\nHost: y")}, vars); err == nil {
		t.Error("a token with a line break is sent")
	}
	if os.Getuid() != 0 {
		if err := os.Chmod(named, 0); err != nil {
			t.Fatal(err)
		}
		if got, err := tokenOf(t, Options{Method: methodDefault}, map[string]string{"HF_TOKEN_PATH": named}); err == nil || !strings.Contains(err.Error(), named) {
			t.Errorf("an unreadable file: %q, %v", got, err)
		}
	}
	if _, err := tokenOf(t, Options{Method: methodDefault}, map[string]string{"HF_TOKEN_PATH": home}); err == nil {
		t.Error("a folder in place of the file is taken for no token")
	}
}

// Only the default chain takes the hub's address from the environment, and explains where it looked.
func TestAmbient(t *testing.T) {
	t.Parallel()
	env := provider.Env{Name: "x", Redactor: secret.NewRedactor(), Getenv: func(n string) string {
		return map[string]string{"HF_ENDPOINT": "https://hub.example.com/", "HF_TOKEN": "hf_secret"}[n]
	}}
	for method, want := range map[string]string{methodDefault: "https://hub.example.com", methodToken: "", methodAnonymous: ""} {
		src, err := open(t.Context(), env, &Options{Method: method})
		if err != nil || Endpoint(src) != want {
			t.Errorf("%s: %q, %v, want %q", method, Endpoint(src), err, want)
		}
	}
	src, _ := open(t.Context(), env, &Options{Method: methodDefault})
	var used []string
	for _, s := range src.Explain(t.Context()) {
		if s.Used {
			used = append(used, s.Source)
		}
	}
	if len(used) != 1 || used[0] != "environment HF_TOKEN" {
		t.Errorf("used: %q", used)
	}
}

// A file whose token was replaced is read anew when the old one is refused, and not before.
func TestRefresh(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("hf_old")
	src, err := open(t.Context(), provider.Env{Name: "x", Redactor: secret.NewRedactor(), Getenv: func(n string) string { return map[string]string{"HF_TOKEN_PATH": path}[n] }}, &Options{Method: methodDefault})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"hf_old", "hf_old", "hf_new"} {
		got, err := Token(t.Context(), src, i == 2)
		if err != nil || got != want {
			t.Errorf("call %d: %q, %v, want %q", i+1, got, err, want)
		}
		write("hf_new")
	}
}
