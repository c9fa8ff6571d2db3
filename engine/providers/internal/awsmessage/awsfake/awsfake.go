// Package awsfake is the sending side of SQS and SNS in process, for tests of what moto cannot show or takes minutes for: it
// checks each signature with the SDK's signer, holds the limits, drops what a FIFO queue would drop, and misbehaves as told.
// The suites over moto hold the same drivers against servers that somebody else wrote.
package awsfake

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/dsrun/dsrun/engine/event"
)

// What requests must be signed with, and for which region.
const (
	ID, Secret, Token, Region = "AKIAFAKE", "fake-secret-1234", "fake-token-5678", "eu-west-1"
)

// Entry is a message of a request.
type Entry struct {
	ID, Body, Group, Dedup string
	Attributes             map[string]string
}

// Answer is what the fake says to a request instead of taking it.
type Answer struct {
	Status        int            // of a refusal of the whole request; 0 means that it was looked at
	Code, Message string         // of such a refusal
	Header        http.Header    // of any answer
	Fail          map[int]string // codes of entries that are refused; one that begins with ! is the sender's fault
	Silent        map[int]bool   // entries that are taken and not spoken of
	Altered       bool           // the bodies that were taken are others (SQS tells)
	Cut           bool           // all is taken, and the connection ends without an answer
	Raw           string         // the whole body of the answer
}

// Fake is a queue or topic.
type Fake struct {
	*httptest.Server
	t    testing.TB
	name string // "sqs" or "sns"
	fifo bool
	// On says what happens to request n (from 0) of sending; nil means that it is taken.
	On func(n int, list []Entry) *Answer
	// OnCheck is the same for the question whether the queue or topic exists.
	OnCheck func() *Answer
	// Most is what the queue or topic says that it takes of a message; 0 means that it does not say.
	Most    int
	Missing bool
	Skew    time.Duration // how far the fake's clock is ahead

	mu    sync.Mutex
	sends int
	got   []Entry
	seen  map[string]bool
	tried [][]Entry
}

// New starts a fake of a service, "sqs" or "sns".
func New(t testing.TB, name string, fifo bool) *Fake {
	f := &Fake{t: t, name: name, fifo: fifo, seen: map[string]bool{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

// Place is the queue's URL or the topic's ARN.
func (f *Fake) Place() string {
	end := ""
	if f.fifo {
		end = ".fifo"
	}
	if f.name == "sqs" {
		return f.URL + "/111122223333/training" + end
	}
	return "arn:aws:sns:" + Region + ":111122223333:training" + end
}

// Sends is how many requests of sending there were, and Tried what each held.
func (f *Fake) Sends() int { f.mu.Lock(); defer f.mu.Unlock(); return f.sends }

// Tried returns the entries of each request, in order.
func (f *Fake) Tried() [][]Entry { f.mu.Lock(); defer f.mu.Unlock(); return f.tried }

// Got returns the entries that were taken, in order.
func (f *Fake) Got() []Entry { f.mu.Lock(); defer f.mu.Unlock(); return append([]Entry(nil), f.got...) }

// Events are the CloudEvents that were taken, in order, after a look at the attributes beside them.
func (f *Fake) Events(t testing.TB) []event.Message {
	out := []event.Message{}
	for _, e := range f.Got() {
		m, err := event.Decode([]byte(e.Body))
		if err != nil {
			t.Errorf("a body is no CloudEvent: %v", err)
		}
		for name, want := range map[string]string{"ce-id": m.ID, "ce-type": m.Type, "ce-source": m.Source, "ce-subject": m.Subject, "Content-Type": "application/cloudevents+json; charset=UTF-8"} {
			if e.Attributes[name] != want {
				t.Errorf("attribute %s is %q beside %q", name, e.Attributes[name], want)
			}
		}
		out = append(out, m)
	}
	return out
}

// ServeHTTP implements http.Handler.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	now := time.Now().Add(f.Skew)
	w.Header().Set("X-Amzn-Requestid", "req-1")
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	if code, message := f.signed(r, body, now); code != "" {
		f.refuse(w, 403, code, message)
		return
	}
	action, place, list := f.parse(r, body)
	if f.Missing || place != f.Place() {
		f.refuse(w, 400, map[string]string{"sqs": "QueueDoesNotExist", "sns": "NotFound"}[f.name], "It does not exist.")
		return
	}
	var a *Answer
	switch action {
	case "GetQueueAttributes", "GetTopicAttributes":
		if f.OnCheck != nil {
			a = f.OnCheck()
		}
		if a == nil {
			f.describe(w)
			return
		}
	case "SendMessageBatch", "PublishBatch":
		f.mu.Lock()
		n := f.sends
		f.sends++
		f.tried = append(f.tried, list)
		f.mu.Unlock()
		if f.On != nil {
			a = f.On(n, list)
		}
	default:
		f.t.Errorf("unknown action %q", action)
	}
	if a == nil {
		a = &Answer{}
	}
	for name, v := range a.Header {
		w.Header()[name] = v
	}
	switch {
	case a.Raw != "":
		io.WriteString(w, a.Raw)
		return
	case a.Status != 0:
		f.refuse(w, a.Status, a.Code, a.Message)
		return
	}
	if code := f.limits(list); code != "" {
		f.refuse(w, 400, code, "against the limits")
		return
	}
	f.take(list, a)
	if a.Cut {
		panic(http.ErrAbortHandler)
	}
	f.answer(w, list, a)
}

// signed checks a signature as the services do, with the SDK's signer.
func (f *Fake) signed(r *http.Request, body []byte, now time.Time) (code, message string) {
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || r.Header.Get("Authorization") == "" {
		return "MissingAuthenticationToken", "Missing Authentication Token"
	}
	if at.Sub(now).Abs() > 5*time.Minute {
		return map[string]string{"sqs": "InvalidSignatureException", "sns": "SignatureDoesNotMatch"}[f.name], "Signature expired: it is of another time"
	}
	again, err := http.NewRequest(r.Method, "http://"+r.Host+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		f.t.Error(err)
	}
	for _, name := range []string{"Content-Type", "X-Amz-Target"} {
		if v := r.Header.Get(name); v != "" {
			again.Header.Set(name, v)
		}
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(r.Context(), aws.Credentials{AccessKeyID: ID, SecretAccessKey: Secret, SessionToken: Token}, again, hex.EncodeToString(sum[:]), f.name, Region, at); err != nil {
		f.t.Error(err)
	}
	if again.Header.Get("Authorization") != r.Header.Get("Authorization") || r.Header.Get("X-Amz-Security-Token") != Token {
		return "SignatureDoesNotMatch", "The request signature we calculated does not match: you sent " + r.Header.Get("Authorization") + " " + r.Header.Get("X-Amz-Security-Token")
	}
	return "", ""
}

func (f *Fake) parse(r *http.Request, body []byte) (action, place string, list []Entry) {
	if f.name == "sqs" {
		var in struct {
			QueueUrl string
			Entries  []struct {
				Id, MessageBody, MessageGroupId, MessageDeduplicationId string
				MessageAttributes                                       map[string]struct{ DataType, StringValue string }
			}
		}
		if err := json.Unmarshal(body, &in); err != nil || r.Header.Get("Content-Type") != "application/x-amz-json-1.0" {
			f.t.Errorf("%s: %v", r.Header.Get("Content-Type"), err)
		}
		for _, e := range in.Entries {
			out := Entry{e.Id, e.MessageBody, e.MessageGroupId, e.MessageDeduplicationId, map[string]string{}}
			for name, v := range e.MessageAttributes {
				out.Attributes[name] = v.StringValue
			}
			list = append(list, out)
		}
		return strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS."), in.QueueUrl, list
	}
	in, err := url.ParseQuery(string(body))
	if err != nil || in.Get("Version") != "2010-03-31" {
		f.t.Errorf("version %q, %v", in.Get("Version"), err)
	}
	for i := 1; ; i++ {
		m := "PublishBatchRequestEntries.member." + strconv.Itoa(i) + "."
		if !in.Has(m + "Id") {
			return in.Get("Action"), in.Get("TopicArn"), list
		}
		e := Entry{in.Get(m + "Id"), in.Get(m + "Message"), in.Get(m + "MessageGroupId"), in.Get(m + "MessageDeduplicationId"), map[string]string{}}
		for n := 1; in.Has(m + "MessageAttributes.entry." + strconv.Itoa(n) + ".Name"); n++ {
			a := m + "MessageAttributes.entry." + strconv.Itoa(n) + "."
			e.Attributes[in.Get(a+"Name")] = in.Get(a + "Value.StringValue")
		}
		list = append(list, e)
	}
}

// limits are those of SendMessageBatch and PublishBatch.
func (f *Fake) limits(list []Entry) string {
	most := f.Most
	if most == 0 {
		most = map[string]int{"sqs": 1 << 20, "sns": 256 << 10}[f.name]
	}
	if len(list) == 0 || len(list) > 10 {
		return "TooManyEntriesInBatchRequest"
	}
	total := 0
	ids := map[string]bool{}
	for _, e := range list {
		n := len(e.Body)
		for name, v := range e.Attributes {
			if v == "" || name == "" {
				return "InvalidParameterValue"
			}
			n += len(name) + len("String") + len(v)
		}
		if total += n; n > most {
			return "InvalidParameterValue"
		}
		identifier := func(s string) bool {
			return len(s) <= 128 && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) < 0
		}
		switch {
		case ids[e.ID], len(e.Attributes) > 10, f.fifo != (e.Group != ""), f.fifo != (e.Dedup != ""), !identifier(e.Group), !identifier(e.Dedup):
			return "InvalidParameterValue"
		case strings.ContainsAny(e.Body, "\ufffe\uffff"):
			return "InvalidMessageContents"
		}
		ids[e.ID] = true
	}
	if f.name == "sqs" {
		most = 1 << 20 // the bound of a request is not the queue's
	}
	if total > most {
		return "BatchRequestTooLong"
	}
	return ""
}

func (f *Fake) take(list []Entry, a *Answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, e := range list {
		if a.Fail[i] != "" || f.fifo && f.seen[e.Dedup] {
			continue
		}
		f.seen[e.Dedup] = true
		f.got = append(f.got, e)
	}
}

func (f *Fake) answer(w io.Writer, list []Entry, a *Answer) {
	type done struct{ Id, MessageId, MD5OfMessageBody string }
	type failed struct {
		Id, Code, Message string
		SenderFault       bool
	}
	var out struct {
		XMLName    xml.Name `xml:"PublishBatchResponse" json:"-"`
		Successful []done   `xml:"PublishBatchResult>Successful>member"`
		Failed     []failed `xml:"PublishBatchResult>Failed>member"`
	}
	for i, e := range list {
		sum := md5.Sum([]byte(e.Body))
		if a.Altered {
			sum[0]++
		}
		switch code, sender := strings.CutPrefix(a.Fail[i], "!"); {
		case code != "":
			out.Failed = append(out.Failed, failed{e.ID, code, "no", sender})
		case !a.Silent[i]:
			out.Successful = append(out.Successful, done{e.ID, fmt.Sprintf("m-%d", i), hex.EncodeToString(sum[:])})
		}
	}
	var err error
	if f.name == "sqs" {
		err = json.NewEncoder(w).Encode(out)
	} else {
		err = xml.NewEncoder(w).Encode(out)
	}
	if err != nil {
		f.t.Log(err) // the caller went away
	}
}

func (f *Fake) describe(w io.Writer) {
	most := ""
	if f.Most > 0 {
		most = strconv.Itoa(f.Most)
	}
	switch {
	case f.name == "sqs" && most == "":
		io.WriteString(w, `{"Attributes":{}}`)
	case f.name == "sqs":
		fmt.Fprintf(w, `{"Attributes":{"MaximumMessageSize":%q}}`, most)
	default:
		io.WriteString(w, `<GetTopicAttributesResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><GetTopicAttributesResult><Attributes>`)
		if most != "" {
			fmt.Fprintf(w, `<entry><key>MaximumMessageSize</key><value>%s</value></entry>`, most)
		}
		io.WriteString(w, `<entry><key>Owner</key><value>1</value></entry></Attributes></GetTopicAttributesResult></GetTopicAttributesResponse>`)
	}
}

func (f *Fake) refuse(w http.ResponseWriter, status int, code, message string) {
	w.WriteHeader(status)
	switch {
	case code == "":
		io.WriteString(w, "<html>busy</html>")
	case f.name == "sqs":
		fmt.Fprintf(w, `{"__type":"com.amazonaws.sqs#%s","message":%q}`, code, message)
	default:
		fmt.Fprintf(w, `<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>r</RequestId></ErrorResponse>`, code, message)
	}
}
