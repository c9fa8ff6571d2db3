package hdfsauth

import (
	"context"
	"errors"
	"testing"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/provider/providertest"
	"github.com/dsrun/dsrun/engine/secret"
)

func TestProvider(t *testing.T) {
	providertest.Check(t, Provider())
	providertest.Canary(t, Provider(), provider.Env{}, nil, func(ctx context.Context, opened any) error {
		_, err := opened.(credential.Source).Resolve(ctx, credential.Want{})
		return err
	})
}

func TestMethods(t *testing.T) {
	env := provider.Env{Name: "x", Redactor: secret.NewRedactor()}
	for field, o := range map[string]Options{FieldUser: {Method: methodSimple, User: "ann"}, FieldToken: {Method: methodToken, DelegationToken: secret.New("ann")}} {
		src, err := open(t.Context(), env, &o)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := src.Resolve(t.Context(), credential.Want{}); err != nil || len(v.Fields) != 1 || v.Fields[field].Reveal() != "ann" {
			t.Errorf("%s: %v, %v", field, v, err)
		}
	}
	src, _ := open(t.Context(), env, &Options{})
	if _, err := src.Resolve(t.Context(), credential.Want{}); !errors.Is(err, credential.ErrAbsent) {
		t.Errorf("nothing declared: %v", err)
	}
}
