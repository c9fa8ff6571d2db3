package eventgrid

import (
	"net/http"
	"testing"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/event/eventtest"
	"github.com/dsrun/dsrun/internal/testbed/eventgrid"
)

// TestStorm: the service throttles, fails and breaks connections on the wire, and nothing is lost.
func TestStorm(t *testing.T) {
	s, srv := newServer(t, &eventgrid.Server{Schema: eventgrid.CloudEvents})
	storm := eventtest.NewStorm(11)
	s.On = func(w http.ResponseWriter, _ int, events []eventgrid.Event, keep func()) bool {
		var ids []string
		for _, e := range events {
			ids = append(ids, e.Text("id"))
		}
		switch kind, _ := storm.Next(ids); kind {
		case eventtest.Slowed:
			eventgrid.Throttle(w, "2")
		case eventtest.Failed:
			eventgrid.Refuse(w, 503, "ServiceUnavailable", "Try again.", "")
		case eventtest.Lost:
			keep()
			panic(http.ErrAbortHandler)
		default:
			return false
		}
		return true
	}
	tp, _ := topicOver(t, over(t, srv.URL, ""))
	storm.Pass(t, tp, 200, 10, func() []event.Message { return received(t, s) })
}
