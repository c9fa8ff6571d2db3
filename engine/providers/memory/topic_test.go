package memory

import (
	"testing"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/event/eventtest"
)

func TestTopic(t *testing.T) {
	for name, limits := range map[string]event.Limits{
		"no limits": {},
		"ten small": {Batch: 10, BatchBytes: 256 << 10, MessageBytes: 128 << 10},
		"own sizes": {Batch: 3, BatchBytes: 1 << 20, Size: func(m event.Message) int64 { return 100 + int64(len(m.Data)) }},
		"single":    {Batch: 1, MessageBytes: 64 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			eventtest.Run(t, eventtest.Harness{
				Open:         func(testing.TB) event.Driver { return NewTopic(limits) },
				Received:     func(_ testing.TB, d event.Driver) []event.Message { return d.(*Topic).Events() },
				WhyNoMissing: "a memory topic always exists",
			})
		})
	}
}
