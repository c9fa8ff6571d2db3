package starlib

import (
	"math"
	"strings"
	"time"

	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"

	"github.com/dsrun/dsrun/engine/clock"
)

var timeModule = NewModule("time", "Points in time and lengths of time. A time has .year .month .day .hour .minute .second .nanosecond .unix and .format(), "+
	"a duration .hours .minutes .seconds; they can be compared, added and subtracted.", []Const{
	{"nanosecond", "One nanosecond.", startime.Duration(time.Nanosecond)},
	{"microsecond", "One microsecond.", startime.Duration(time.Microsecond)},
	{"millisecond", "One millisecond.", startime.Duration(time.Millisecond)},
	{"second", "One second.", startime.Duration(time.Second)},
	{"minute", "One minute.", startime.Duration(time.Minute)},
	{"hour", "One hour.", startime.Duration(time.Hour)},
	{"day", "24 hours.", startime.Duration(24 * time.Hour)},
},
	Declare(Func{Name: "time.now", Doc: "The current time, in UTC.", Returns: "time.time", Example: `time.now() > time.parse("2020-01-01")  # -> True`}, func(p *Params) Impl {
		return func(c *Call) (starlark.Value, error) { return startime.Time(c.Run.Clock().Now().UTC()), nil }
	}),
	Declare(Func{Name: "time.parse", Doc: "The time that a text means. Without a format RFC 3339 and ISO 8601 dates are understood.", Returns: "time.time", Example: `
time.parse("2026-11-21T10:00:00Z").hour  # -> 10
time.parse("21.11.2026 07:30", format = "%d.%m.%Y %H:%M").unix  # -> 1795246200
time.parse("2026-11-21", location = "UTC").month  # -> 11
`}, func(p *Params) Impl {
		text := p.String("text", "The text.")
		format := p.String("format", "How it is written, with the directives of strftime (%Y-%m-%d) or as a layout of Go (2006-01-02).").Optional()
		location := p.String("location", "The time zone of texts that name none.").Default("UTC")
		return func(c *Call) (starlark.Value, error) {
			loc, err := zone(c, location.Get(c))
			if err != nil {
				return nil, err
			}
			layouts := isoLayouts
			if format.Set(c) {
				l, err := layout(c, format.Get(c))
				if err != nil {
					return nil, err
				}
				layouts = []string{l}
			}
			for _, l := range layouts {
				if t, err := time.ParseInLocation(l, text.Get(c), loc); err == nil {
					return startime.Time(t), nil
				}
			}
			if format.Set(c) {
				return nil, c.Errorf("%q is not a time of the format %q", bound(text.Get(c), 80), bound(format.Get(c), 80))
			}
			return nil, c.Errorf("%q is not a time such as 2026-11-21T10:00:00Z; give a format", bound(text.Get(c), 80))
		}
	}),
	Declare(Func{Name: "time.format", Doc: "A time as text.", Returns: "string", Example: `
t = time.parse("2026-11-21T10:05:00Z")
time.format(t, "%Y/%m/%d %H:%M")  # -> "2026/11/21 10:05"
time.format(t)  # -> "2026-11-21T10:05:00Z"
`}, func(p *Params) Impl {
		t := p.Value("t", "The time.", "time.time")
		format := p.String("format", "How to write it, with the directives of strftime or as a layout of Go.").Default(time.RFC3339Nano)
		return func(c *Call) (starlark.Value, error) {
			x, ok := t.Get(c).(startime.Time)
			if !ok {
				return nil, c.Bad("t", t.Get(c), "time.time")
			}
			l, err := layout(c, format.Get(c))
			if err != nil {
				return nil, err
			}
			return starlark.String(time.Time(x).Format(l)), nil
		}
	}),
	Declare(Func{Name: "time.from_unix", Doc: "The time a number of seconds after the beginning of 1970, in UTC.", Returns: "time.time", Example: `time.from_unix(1.5).nanosecond  # -> 500000000`}, func(p *Params) Impl {
		sec := p.Value("seconds", "The seconds.", "int", "float")
		return func(c *Call) (starlark.Value, error) {
			switch v := sec.Get(c).(type) {
			case starlark.Int:
				if n, ok := v.Int64(); ok && n > -1<<40 && n < 1<<40 {
					return startime.Time(time.Unix(n, 0).UTC()), nil
				}
			case starlark.Float:
				whole, frac := math.Modf(float64(v))
				if math.Abs(whole) < 1<<40 {
					return startime.Time(time.Unix(int64(whole), int64(math.Round(frac*1e9))).UTC()), nil
				}
			default:
				return nil, c.Bad("seconds", v, "int or float")
			}
			return nil, c.Errorf("for parameter seconds: out of range")
		}
	}),
	Declare(Func{Name: "time.time", Doc: "The time of a date and a time of day.", Returns: "time.time", Example: `time.time(2026, 11, 21, hour = 10).unix  # -> 1795255200`}, func(p *Params) Impl {
		year, month, day := p.Int("year", "The year."), p.Int("month", "The month, from 1.").Default(1), p.Int("day", "The day of the month, from 1.").Default(1)
		hour, minute, second := p.Int("hour", "The hour.").Default(0), p.Int("minute", "The minute.").Default(0), p.Int("second", "The second.").Default(0)
		nano := p.Int("nanosecond", "The nanosecond.").Default(0)
		location := p.String("location", "The time zone.").Default("UTC")
		return func(c *Call) (starlark.Value, error) {
			loc, err := zone(c, location.Get(c))
			if err != nil {
				return nil, err
			}
			in := func(v int64) int { return int(max(-1e6, min(1e6, v))) }
			t := time.Date(in(year.Get(c)), time.Month(in(month.Get(c))), in(day.Get(c)), in(hour.Get(c)), in(minute.Get(c)), in(second.Get(c)), int(nano.Get(c)%1e9), loc)
			return startime.Time(t), nil
		}
	}),
	Declare(Func{Name: "time.duration", Doc: "The length of time that a text means: \"90s\", \"1h30m\", \"7d\".", Returns: "time.duration", Example: `
time.duration("1h30m").minutes  # -> 90.0
time.parse("2026-01-02") - time.parse("2026-01-01") == time.day  # -> True
`}, func(p *Params) Impl {
		d := p.Duration("text", "The text.")
		return func(c *Call) (starlark.Value, error) { return startime.Duration(d.Get(c)), nil }
	}),
	Declare(Func{Name: "time.since", Doc: "The time that has passed since t.", Returns: "time.duration", Example: `time.since(time.now()) < time.minute  # -> True`}, func(p *Params) Impl {
		t := p.Value("t", "The earlier time.", "time.time")
		return func(c *Call) (starlark.Value, error) {
			x, ok := t.Get(c).(startime.Time)
			if !ok {
				return nil, c.Bad("t", t.Get(c), "time.time")
			}
			return startime.Duration(c.Run.Clock().Now().Sub(time.Time(x))), nil
		}
	}),
	Declare(Func{Name: "time.sleep", Doc: "Waits. An interrupt or the time limit of the run ends it early.", Returns: "None", Example: `time.sleep("1ms")`}, func(p *Params) Impl {
		d := p.Duration("d", "How long.")
		return func(c *Call) (starlark.Value, error) { return nil, clock.Sleep(c.Run.Ctx, c.Run.Clock(), d.Get(c)) }
	}),
)

var isoLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999",
	"2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly, "20060102T150405Z0700", "20060102"}

func zone(c *Call, name string) (*time.Location, error) {
	loc, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" { // what Local means depends on the machine
		return nil, c.Errorf("unknown time zone %q, want one such as \"UTC\" or \"Europe/Berlin\"", bound(name, 80))
	}
	return loc, nil
}

// directives maps those of strftime to layouts of Go.
var directives = map[byte]string{
	'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'e': "_2", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM", 'f': "000000",
	'b': "Jan", 'B': "January", 'a': "Mon", 'A': "Monday", 'j': "002", 'z': "-0700", 'Z': "MST", 'F': "2006-01-02", 'T': "15:04:05", '%': "%",
}

// layout returns a Go layout for a format of either kind.
func layout(c *Call, format string) (string, error) {
	if !strings.Contains(format, "%") {
		return format, nil
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		i++
		if i == len(format) || directives[format[i]] == "" {
			return "", c.Errorf("unknown directive in the time format %q", bound(format, 80))
		}
		b.WriteString(directives[format[i]])
	}
	return b.String(), nil
}
