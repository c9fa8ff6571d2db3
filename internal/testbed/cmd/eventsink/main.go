// Command eventsink runs a receiver of events for measurements until it is ended. It keeps nothing.
//
//	eventsink -kind webhook|eventbridge|eventgrid|null-eventgrid
//
// The stand-in of Event Grid verifies all that it is sent; the others read, and answer as the service does to what it
// accepts.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/dsrun/dsrun/internal/testbed/eventgrid"
)

func main() {
	kind := flag.String("kind", "webhook", "what to be")
	key := flag.String("key", "", "access key of the Event Grid topic, base64")
	flag.Parse()
	var h http.Handler
	switch *kind {
	case "webhook":
		h = read(func(w http.ResponseWriter, _ *http.Request, _ []byte) { w.WriteHeader(http.StatusAccepted) })
	case "eventbridge":
		h = read(eventBridge)
	case "eventgrid":
		h = &eventgrid.Server{Schema: eventgrid.CloudEvents, Keys: []string{*key}, Forget: true}
	case "null-eventgrid":
		h = read(func(w http.ResponseWriter, _ *http.Request, _ []byte) { w.Header().Set("x-ms-request-id", "1") })
	default:
		log.Fatalf("there is no kind %q", *kind)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("listening on %s", l.Addr())
	log.Fatal(http.Serve(l, h))
}

func read(answer func(http.ResponseWriter, *http.Request, []byte)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			answer(w, r, body)
		}
	})
}

var ids atomic.Int64

// eventBridge answers PutEvents with an id for each entry, and every other action with the name of the default bus.
func eventBridge(w http.ResponseWriter, r *http.Request, body []byte) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("x-amzn-RequestId", fmt.Sprint("req-", ids.Add(1)))
	if r.Header.Get("X-Amz-Target") != "AWSEvents.PutEvents" {
		io.WriteString(w, `{"Name":"default"}`)
		return
	}
	var b bytes.Buffer
	for i := range bytes.Count(body, []byte(`"DetailType":`)) {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"EventId":"11710aed-b79e-4468-a20b-%012d"}`, ids.Add(1))
	}
	fmt.Fprintf(w, `{"FailedEntryCount":0,"Entries":[%s]}`, &b)
}
