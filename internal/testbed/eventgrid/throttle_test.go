package eventgrid_test

import (
	"net/http"

	"github.com/dsrun/dsrun/internal/testbed/eventgrid"
)

// throttleOnce refuses the first request with the event n4.
func throttleOnce(count *int) func(http.ResponseWriter, int, []eventgrid.Event, func()) bool {
	return func(w http.ResponseWriter, _ int, events []eventgrid.Event, _ func()) bool {
		if *count > 0 || events[0].Text("id") != "n4" {
			return false
		}
		*count++
		eventgrid.Throttle(w, "1")
		return true
	}
}
