// Command pubsub-server is Google's own Pub/Sub server for tests (cloud.google.com/go/pubsub/v2/pstest) as a program of
// its own, so that its modules stay out of the product's. It adds what pstest lets pass and the service does not: limits
// of requests and messages, one ordering key in a request, and tokens, where some are wanted.
//
// A second port shows what was published: GET /messages?topic=NAME answers JSON, in the order of acceptance, and
// POST /topics?name=NAME makes a topic. Its address is written to the file admin.addr in the working folder.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"strings"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8085", "address to serve at")
	token := flag.String("token", "", "what publishers must log in with; empty: nothing is asked for")
	flag.Parse()
	if err := run(*listen, *token); err != nil {
		log.Fatal(err)
	}
}

func run(listen, token string) error {
	ps := pstest.NewServer()
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := os.WriteFile("admin.tmp", []byte(admin.Addr().String()), 0o600); err != nil {
		return err
	}
	if err := os.Rename("admin.tmp", "admin.addr"); err != nil {
		return err
	}
	l, err := net.Listen("tcp", listen) // last: who can connect finds the rest
	if err != nil {
		return err
	}
	http.HandleFunc("GET /messages", func(w http.ResponseWriter, r *http.Request) {
		type message struct {
			Topic, OrderingKey string
			Data               []byte
			Attributes         map[string]string
		}
		out := []message{}
		for _, m := range ps.Messages() {
			if want := r.FormValue("topic"); want == "" || want == m.Topic {
				out = append(out, message{m.Topic, m.OrderingKey, m.Data, m.Attributes})
			}
		}
		_ = json.NewEncoder(w).Encode(out) // the reader sees a short text
	})
	http.HandleFunc("POST /topics", func(w http.ResponseWriter, r *http.Request) {
		if _, err := ps.GServer.CreateTopic(r.Context(), &pb.Topic{Name: r.FormValue("name")}); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
		}
	})
	go func() { log.Fatal(http.Serve(admin, nil)) }()

	s := grpc.NewServer(grpc.MaxRecvMsgSize(64<<20), grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
		switch r := req.(type) {
		case *pb.GetTopicRequest:
			if err := check(ctx, token, "topic="+r.Topic); err != nil {
				return nil, err
			}
		case *pb.PublishRequest:
			if err := cmp.Or(check(ctx, token, "topic="+r.Topic), limits(r)); err != nil {
				return nil, err
			}
		}
		return h(ctx, req)
	}))
	pb.RegisterPublisherServer(s, &ps.GServer)
	pb.RegisterSubscriberServer(s, &ps.GServer)
	return s.Serve(l)
}

// check asks for the token and, as the service's front does, for the header that routes.
func check(ctx context.Context, token, route string) error {
	md, _ := metadata.FromIncomingContext(ctx)
	if token != "" && strings.Join(md.Get("authorization"), ",") != "Bearer "+token {
		return status.Error(codes.Unauthenticated, "Request had invalid authentication credentials.")
	}
	got := strings.NewReplacer("%2F", "/", "%2f", "/").Replace(strings.Join(md.Get("x-goog-request-params"), ","))
	if got != route {
		return status.Errorf(codes.InvalidArgument, "x-goog-request-params is %q", got)
	}
	return nil
}

// limits are those of "Pub/Sub quotas and limits", section "Resource limits".
func limits(r *pb.PublishRequest) error {
	bad := func(format string, args ...any) error { return status.Errorf(codes.InvalidArgument, format, args...) }
	if n := len(r.Messages); n == 0 || n > 1000 {
		return bad("The value for message_count is %d: it must be between 1 and 1000.", n)
	}
	if proto.Size(r) > 10<<20 {
		return bad("Request payload size exceeds the limit: 10485760 bytes.")
	}
	for _, m := range r.Messages {
		switch {
		case m.OrderingKey != r.Messages[0].OrderingKey:
			return bad("In a single publish request, all messages must have no ordering key or they must all have the same ordering key.")
		case len(m.OrderingKey) > 1024:
			return bad("The ordering key is too large.")
		case len(m.Data) == 0 && len(m.Attributes) == 0:
			return bad("One or more messages in the publish request is empty.")
		case len(m.Attributes) > 100:
			return bad("The request contains more than 100 attributes.")
		}
		for k, v := range m.Attributes {
			if k == "" || len(k) > 256 || len(v) > 1024 || strings.HasPrefix(strings.ToLower(k), "goog") {
				return bad("The attribute %.40q is not allowed.", k)
			}
		}
	}
	return nil
}
