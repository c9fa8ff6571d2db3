// Command events is what the part "events" of the measurements compares dsrun with: the plain loop that somebody would
// write with the service's own kit. It reads one JSON object a line and sends each as a CloudEvent, in batches of the
// given number, one request after another.
//
//	events -kind eventbridge|eventgrid|pubsub|webhook|file -url URL -batch 10 events.jsonl
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	pubsub "cloud.google.com/go/pubsub/v2/apiv1"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/messaging"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/eventgrid/azeventgrid"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// cloudEvent is an event as a program with encoding/json writes it.
type cloudEvent struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Time            time.Time       `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	Data            json.RawMessage `json:"data"`
}

func encode(n int, line []byte) []byte {
	b, err := json.Marshal(cloudEvent{"1.0", fmt.Sprintf("00000000-0000-8000-8000-%012d", n), "dsrun/events", "row.read", time.Now().UTC(), "application/json", line})
	check(err)
	return b
}

func main() {
	kind := flag.String("kind", "", "the bus")
	url := flag.String("url", "", "its address, or the file")
	key := flag.String("key", "", "access key")
	size := flag.Int("batch", 10, "events a request")
	flag.Parse()
	var send func(first int, batch [][]byte)
	end := func() {}
	switch *kind {
	case "eventbridge":
		send = toEventBridge(*url)
	case "eventgrid":
		send = toEventGrid(*url, *key)
	case "pubsub":
		send = toPubSub(*url)
	case "webhook":
		send = toWebhook(*url)
	case "file":
		f, err := os.Create(*url)
		check(err)
		w := bufio.NewWriter(f)
		send = func(first int, batch [][]byte) {
			for i, line := range batch {
				_, err := w.Write(append(encode(first+i, line), '\n'))
				check(err)
			}
		}
		end = func() { check(w.Flush()); check(f.Sync()); check(f.Close()) }
	default:
		check(fmt.Errorf("there is no bus %q", *kind))
	}
	in, err := os.Open(flag.Arg(0))
	check(err)
	s := bufio.NewScanner(in)
	var batch [][]byte
	n := 0
	flush := func() {
		if len(batch) > 0 {
			send(n, batch)
			n += len(batch)
			batch = batch[:0]
		}
	}
	for s.Scan() {
		if batch = append(batch, bytes.Clone(s.Bytes())); len(batch) == *size {
			flush()
		}
	}
	check(s.Err())
	flush()
	end()
}

func toEventBridge(url string) func(int, [][]byte) {
	client := eventbridge.NewFromConfig(aws.Config{Region: "us-east-1", BaseEndpoint: &url,
		Credentials: credentials.NewStaticCredentialsProvider(os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), "")})
	return func(first int, batch [][]byte) {
		in := &eventbridge.PutEventsInput{}
		for i, line := range batch {
			in.Entries = append(in.Entries, types.PutEventsRequestEntry{EventBusName: aws.String("default"), Source: aws.String("dsrun/events"), DetailType: aws.String("row.read"),
				Time: aws.Time(time.Now()), Detail: aws.String(string(encode(first+i, line)))})
		}
		out, err := client.PutEvents(context.Background(), in)
		check(err)
		if out.FailedEntryCount > 0 {
			check(fmt.Errorf("%d entries failed", out.FailedEntryCount))
		}
	}
}

func toEventGrid(url, key string) func(int, [][]byte) {
	client, err := azeventgrid.NewClientWithSharedKeyCredential(strings.Replace(url, "http:", "https:", 1), azcore.NewKeyCredential(key),
		&azeventgrid.ClientOptions{ClientOptions: policy.ClientOptions{Transport: plainHTTP{}}})
	check(err)
	return func(_ int, batch [][]byte) {
		events := make([]messaging.CloudEvent, len(batch))
		for i, line := range batch {
			events[i], err = messaging.NewCloudEvent("dsrun/events", "row.read", json.RawMessage(line), &messaging.CloudEventOptions{Time: to.Ptr(time.Now()), DataContentType: to.Ptr("application/json")})
			check(err)
		}
		_, err := client.PublishCloudEvents(context.Background(), events, nil)
		check(err)
	}
}

func toPubSub(url string) func(int, [][]byte) {
	client, err := pubsub.NewTopicAdminClient(context.Background(), option.WithEndpoint(strings.TrimPrefix(url, "http://")), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	check(err)
	return func(first int, batch [][]byte) {
		in := &pubsubpb.PublishRequest{Topic: "projects/example/topics/events"}
		for i, line := range batch {
			in.Messages = append(in.Messages, &pubsubpb.PubsubMessage{Data: encode(first+i, line), Attributes: map[string]string{"content-type": "application/cloudevents+json"}})
		}
		out, err := client.Publish(context.Background(), in)
		check(err)
		if len(out.MessageIds) != len(batch) {
			check(fmt.Errorf("%d messages are accepted, of %d", len(out.MessageIds), len(batch)))
		}
	}
}

// plainHTTP sends without TLS what the kit sends over https only.
type plainHTTP struct{}

// Do implements policy.Transporter.
func (plainHTTP) Do(req *http.Request) (*http.Response, error) {
	req.URL.Scheme = "http"
	return http.DefaultClient.Do(req)
}

func toWebhook(url string) func(int, [][]byte) {
	return func(first int, batch [][]byte) {
		for i, line := range batch {
			resp, err := http.Post(url, "application/cloudevents+json", bytes.NewReader(encode(first+i, line)))
			check(err)
			_, err = io.Copy(io.Discard, resp.Body)
			check(err)
			check(resp.Body.Close())
			if resp.StatusCode/100 != 2 {
				check(fmt.Errorf("the receiver answers %s", resp.Status))
			}
		}
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
