package rows

import (
	"math"
	"math/big"
)

// Sum adds numbers. Integers are exact, as *big.Int when int64 does not hold them; floats are summed with a running
// compensation (A. Neumaier 1974), so that the error does not grow with their number. The zero value is the sum of
// nothing, 0.
type Sum struct {
	n      int64
	ints   int64
	big    *big.Int // what ints could not hold
	f      float64
	lost   float64 // what rounding took from f
	floats bool
}

// AddInt adds v.
func (s *Sum) AddInt(v int64) {
	s.n++
	t := s.ints + v
	if (s.ints^t)&(v^t) < 0 { // overflow: both have the sign that t has not
		s.spill(big.NewInt(s.ints))
		t = v
	}
	s.ints = t
}

func (s *Sum) spill(v *big.Int) {
	if s.big == nil {
		s.big = new(big.Int)
	}
	s.big.Add(s.big, v)
}

// AddFloat adds v.
func (s *Sum) AddFloat(v float64) {
	s.n++
	s.floats = true
	t := s.f + v
	if math.Abs(s.f) >= math.Abs(v) {
		s.lost += (s.f - t) + v
	} else {
		s.lost += (v - t) + s.f
	}
	s.f = t
}

// Add adds a number; it reports false for any other value.
func (s *Sum) Add(v any) bool {
	switch v := v.(type) {
	case int64:
		s.AddInt(v)
	case float64:
		s.AddFloat(v)
	case *big.Int:
		s.n++
		s.spill(v)
	default:
		return false
	}
	return true
}

// Count is how many numbers were added.
func (s *Sum) Count() int64 { return s.n }

// whole returns the sum of the integers.
func (s *Sum) whole() *big.Int {
	w := big.NewInt(s.ints)
	if s.big != nil {
		w.Add(w, s.big)
	}
	return w
}

// Value is the sum: float64 when a float was added, else int64 or *big.Int.
func (s *Sum) Value() any {
	w := s.whole()
	if s.floats {
		return s.total(w)
	}
	if w.IsInt64() {
		return w.Int64()
	}
	return w
}

func (s *Sum) total(w *big.Int) float64 {
	c := *s
	f, _ := new(big.Float).SetInt(w).Float64()
	c.AddFloat(f)
	if math.IsNaN(c.lost) || math.IsInf(c.lost, 0) { // an infinity or NaN was added: nothing is left to compensate
		return c.f
	}
	return c.f + c.lost
}

// Mean is the sum over the count; false without numbers. The mean of integers is the float nearest to the exact one.
func (s *Sum) Mean() (float64, bool) {
	if s.n == 0 {
		return 0, false
	}
	w := s.whole()
	if s.floats {
		return s.total(w) / float64(s.n), true
	}
	f, _ := new(big.Rat).SetFrac(w, big.NewInt(s.n)).Float64()
	return f, true
}
