package rows

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestConvert(t *testing.T) {
	big70 := new(big.Int).Lsh(big.NewInt(1), 70)
	for _, tt := range []struct {
		v    any
		t    Type
		want any
	}{
		{"12", Int, int64(12)}, {"", Int, nil}, {"", String, ""}, {2.0, Int, int64(2)}, {2.5, Int, nil}, {int64(1) << 53, Float, float64(1 << 53)},
		{big70, Float, math.Ldexp(1, 70)}, {big70, String, "1180591620717411303424"}, {2.0, String, "2.0"}, {true, String, "true"}, {"1e2", Float, 100.0},
		{time.Unix(0, 0).UTC(), String, "1970-01-01T00:00:00Z"}, {[]byte("x"), String, "x"}, {"x", Bytes, []byte("x")}, {nil, Int, nil}, {[]any{}, Any, []any{}},
	} {
		got, err := Convert(tt.v, tt.t)
		if !reflect.DeepEqual(got, tt.want) || err != nil && tt.want != nil {
			t.Errorf("%v to %v: got %v, %v, want %v", tt.v, tt.t, got, err, tt.want)
		}
	}
	for _, tt := range []struct {
		v any
		t Type
	}{{"x", Int}, {int64(1)<<53 + 1, Float}, {[]any{}, String}, {int64(1), Time}, {math.NaN(), Int}, {big70, Int}, {int64(math.MaxInt64), Float}} {
		if got, err := Convert(tt.v, tt.t); err == nil {
			t.Errorf("%v to %v: got %v", tt.v, tt.t, got)
		}
	}
}

// Times are read as the standard library reads them, whichever way they take.
func TestParseTime(t *testing.T) {
	rng := rand.New(rand.NewPCG(17, 18))
	read := 0
	for range 50000 {
		s := fmt.Sprintf("%04d-%02d-%02d", rng.IntN(10000), rng.IntN(14), rng.IntN(33))
		switch rng.IntN(3) {
		case 0:
			s += fmt.Sprintf("T%02d:%02d:%02dZ", rng.IntN(25), rng.IntN(62), rng.IntN(62))
		case 1:
			s += fmt.Sprintf(" %02d:%02d:%02d", rng.IntN(25), rng.IntN(62), rng.IntN(62))
		}
		if rng.IntN(4) == 0 {
			i := rng.IntN(len(s))
			s = s[:i] + string("x:-/ 9"[rng.IntN(6)]) + s[i+1:]
		}
		var want time.Time
		wantErr := errors.New("no layout")
		for _, l := range []string{time.DateOnly, time.RFC3339, time.DateTime, "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05"} {
			if t, err := time.Parse(l, strings.Trim(s, " ")); err == nil {
				want, wantErr = t, nil
			}
		}
		got, err := ParseTime([]byte(s))
		if (err == nil) != (wantErr == nil) || !got.Equal(want) {
			t.Fatalf("%q: got %v, %v, want %v, %v", s, got, err, want, wantErr)
		}
		if err == nil {
			read++
		}
	}
	if read < 10000 {
		t.Errorf("only %d of the times are times", read)
	}
}

// Floats are read to the nearest, whichever way they take.
func TestParseFloat(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	for range 20000 {
		f := math.Float64frombits(rng.Uint64())
		if rng.IntN(2) == 0 {
			f = math.Round(rng.NormFloat64()*1e6) / math.Pow(10, float64(rng.IntN(8)))
		}
		text := fmt.Sprint(f)
		if rng.IntN(2) == 0 && math.Abs(f) < 1e10 {
			text = fmt.Sprintf("%.*f", rng.IntN(12), f)
		}
		var want float64
		if _, err := fmt.Sscan(text, &want); err != nil {
			continue
		}
		if got, err := ParseFloat([]byte(text)); err != nil || got != want && !math.IsNaN(want) {
			t.Fatalf("%s: got %v, %v, want %v", text, got, err, want)
		}
	}
}
