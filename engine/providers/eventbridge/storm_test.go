package eventbridge

import (
	"net/http"
	"testing"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/event/eventtest"
)

// TestStorm: the service throttles, fails, takes parts of requests and breaks connections on the wire, and nothing is lost.
func TestStorm(t *testing.T) {
	f := newFake(t)
	storm := eventtest.NewStorm(11)
	storm.Parts = true
	f.on = func(action string, _ int, list []entry, w http.ResponseWriter) bool {
		if action != "PutEvents" {
			return false
		}
		var ids []string
		for _, e := range list {
			m, err := event.Decode([]byte(e.Detail))
			if err != nil {
				t.Error(err)
			}
			ids = append(ids, m.ID)
		}
		fail := map[int]string{}
		kind, refused := storm.Next(ids)
		switch kind {
		case eventtest.Slowed:
			w.Header().Set("Retry-After", "2")
			refuse(w, 400, "ThrottlingException", "Rate exceeded")
			return true
		case eventtest.Failed:
			refuse(w, 500, "InternalException", "")
			return true
		case eventtest.Lost:
			f.accept(list)
			panic(http.ErrAbortHandler)
		case eventtest.Partly:
			for n, i := range refused {
				fail[i] = []string{"ThrottlingException", "InternalFailure"}[n%2]
			}
		}
		for i, e := range list {
			if fail[i] == "" {
				f.accept([]entry{e})
			}
		}
		answer(w, list, fail)
		return true
	}
	d, _ := over(t, f, "")
	tp, _ := topicOver(t, d)
	storm.Pass(t, tp, 200, 10, func() []event.Message { return f.events(t) })
}
