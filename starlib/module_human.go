package starlib

import (
	"math"
	"strconv"
	"strings"
	"time"

	"go.starlark.net/starlark"
)

var humanModule = NewModule("human", "Sizes, counts and durations as people read and write them.", nil,
	Declare(Func{Name: "human.bytes", Doc: "A number of bytes in units of 1024.", Returns: "string", Example: `
human.bytes(1536)  # -> "1.5 KiB"
human.bytes(512)  # -> "512 B"
`}, func(p *Params) Impl {
		n := p.Int("n", "The number of bytes.")
		return func(c *Call) (starlark.Value, error) { return starlark.String(formatBytes(n.Get(c))), nil }
	}),
	Declare(Func{Name: "human.count", Doc: "A whole number with commas between groups of three digits.", Returns: "string", Example: `human.count(1234567)  # -> "1,234,567"`}, func(p *Params) Impl {
		n := p.Int("n", "The number.")
		return func(c *Call) (starlark.Value, error) {
			s := strconv.FormatInt(n.Get(c), 10)
			digits := strings.TrimPrefix(s, "-")
			return starlark.String(s[:len(s)-len(digits)] + group(digits, ',')), nil
		}
	}),
	Declare(Func{Name: "human.duration", Doc: "A length of time, given in seconds or as a duration, in its two or three largest units.", Returns: "string", Example: `
human.duration(3725)  # -> "1h 2m 5s"
human.duration(0.25)  # -> "250ms"
`}, func(p *Params) Impl {
		d := p.Value("d", "The length of time.", "float", "int", "time.duration", "string")
		return func(c *Call) (starlark.Value, error) {
			v := d.Get(c)
			if s, ok := starlark.AsFloat(v); ok {
				if math.IsNaN(s) || math.Abs(s) > 1e9 {
					return nil, c.Errorf("for parameter d: want at most 1e9 seconds")
				}
				return starlark.String(humanDuration(time.Duration(s * 1e9))), nil
			}
			x, err := asDuration(v)
			if err == errType {
				return nil, c.Bad("d", v, "float, int, duration or string")
			} else if err != nil {
				return nil, c.Errorf("%w", err)
			}
			return starlark.String(humanDuration(x)), nil
		}
	}),
	Declare(Func{Name: "human.parse_bytes", Doc: "The number of bytes that a size means: units with an i are powers of 1024, others of 1000.", Returns: "int", Example: `
human.parse_bytes("1.5 MiB")  # -> 1572864
human.parse_bytes("2kB")  # -> 2000
`}, func(p *Params) Impl {
		s := p.String("size", "The size.")
		return func(c *Call) (starlark.Value, error) {
			n, err := parseBytes(s.Get(c))
			if err != nil {
				return nil, c.Errorf("%w", err)
			}
			return starlark.MakeInt64(n), nil
		}
	}),
)

// group puts sep between groups of three digits.
func group(digits string, sep byte) string {
	if len(digits) <= 3 {
		return digits
	}
	b := make([]byte, 0, len(digits)+len(digits)/3)
	for i := range len(digits) {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b = append(b, sep)
		}
		b = append(b, digits[i])
	}
	return string(b)
}

func humanDuration(d time.Duration) string {
	if d < 0 {
		return "-" + humanDuration(-d)
	}
	if d < time.Second {
		return d.Round(time.Microsecond).String()
	}
	if d < time.Minute {
		return strconv.FormatFloat(math.Round(d.Seconds()*10)/10, 'f', -1, 64) + "s"
	}
	d = d.Round(time.Second)
	var parts []string
	for _, u := range []struct {
		d    time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if n := d / u.d; n > 0 && len(parts) < 3 {
			parts = append(parts, strconv.FormatInt(int64(n), 10)+u.name)
			d -= n * u.d
		}
	}
	return strings.Join(parts, " ")
}
