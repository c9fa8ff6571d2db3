package eventbridge

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/smithy-go"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
)

// entry is a message as the service takes it.
func (t *Topic) entry(m event.Message) (types.PutEventsRequestEntry, error) {
	detail, err := t.detail(m)
	e := types.PutEventsRequestEntry{EventBusName: &t.bus, Source: &m.Source, DetailType: &m.Type, Detail: aws.String(string(detail)), Resources: t.resources(m)}
	if !m.Time.IsZero() {
		e.Time = &m.Time
	}
	return e, err
}

func (t *Topic) detail(m event.Message) ([]byte, error) {
	if t.native {
		return m.Data, nil
	}
	return event.Encode(m)
}

func (t *Topic) resources(m event.Message) []string {
	if t.native && m.Subject != "" {
		return []string{m.Subject}
	}
	return nil
}

// size is what the service counts for an entry: 14 bytes for the time and the UTF-8 bytes of source, detail-type, detail
// and resources (EventBridge User Guide, "Calculating PutEvents event entry size").
func (t *Topic) size(m event.Message) int64 {
	detail, err := t.detail(m)
	if err != nil {
		return -1
	}
	n := len(m.Source) + len(m.Type) + len(detail)
	for _, r := range t.resources(m) {
		n += len(r)
	}
	if !m.Time.IsZero() {
		n += 14
	}
	return int64(n)
}

// maxDepth is how deep the JSON of a detail may nest.
const maxDepth = 1000

// valid refuses what the service would refuse. The lengths are those of the API's reference for PutEventsRequestEntry.
func (t *Topic) valid(m event.Message) error {
	switch data := bytes.TrimLeft(m.Data, " \t\r\n"); {
	case utf8.RuneCountInString(m.Type) > 128:
		return fmt.Errorf("the type has %d characters and EventBridge takes at most 128", utf8.RuneCountInString(m.Type))
	case utf8.RuneCountInString(m.Source) > 256:
		return fmt.Errorf("the source has %d characters and EventBridge takes at most 256", utf8.RuneCountInString(m.Source))
	case strings.HasPrefix(m.Source, "aws."):
		return fault.Hinted(fault.InvalidArgument, "Set another source in the topic.", "sources that begin with %q are those of AWS itself", "aws.")
	case t.native && !bytes.HasPrefix(data, []byte("{")):
		return fault.Hinted(fault.InvalidArgument, "Give the data as a dict.", "in the native form the data must be an object")
	case t.native && len(m.Attributes) > 0:
		return fault.Hinted(fault.InvalidArgument, `Put them into the data, or use format = "cloudevents".`, "the native form has no place for attributes")
	case t.native && utf8.RuneCountInString(m.Subject) > 2048:
		return fmt.Errorf("the subject has %d characters and EventBridge takes at most 2048 for a resource", utf8.RuneCountInString(m.Subject))
	}
	most := maxDepth
	if !t.native {
		most-- // the data lies in the CloudEvent
	}
	if d := depth(m.Data); d > most {
		return fmt.Errorf("the data nests %d levels deep and EventBridge takes at most %d", d, most)
	}
	return nil
}

// depth is how deep valid JSON nests.
func depth(b []byte) (most int) {
	level, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			level++
			most = max(most, level)
		case c == '}' || c == ']':
			level--
		}
	}
	return most
}

// outcome reads the service's account of n entries. An entry without an error counts as taken only when the service gave
// it an id.
func outcome(n int, out *eventbridge.PutEventsOutput) error {
	id, _ := middleware.GetRequestIDMetadata(out.ResultMetadata)
	if len(out.Entries) != n {
		return &fault.Error{Class: fault.Class{Code: fault.Internal, MaybeApplied: true, RequestID: id},
			Err: fmt.Errorf("PutEvents: the reply speaks of %d events, of %d that were sent", len(out.Entries), n)}
	}
	failed := &event.BatchError{}
	for i, r := range out.Entries {
		switch {
		case aws.ToString(r.ErrorCode) != "":
			failed.Failed = append(failed.Failed, event.Failure{Index: i, Err: &entryError{*r.ErrorCode, aws.ToString(r.ErrorMessage), id}})
		case aws.ToString(r.EventId) == "":
			failed.Failed = append(failed.Failed, event.Failure{Index: i, Err: fault.New(fault.Internal, "PutEvents: the reply has neither an id nor an error for the event")})
		}
	}
	if int(out.FailedEntryCount) > len(failed.Failed) {
		return &fault.Error{Class: fault.Class{Code: fault.Internal, MaybeApplied: true, RequestID: id},
			Err: fmt.Errorf("PutEvents: the reply counts %d failed events and names %d", out.FailedEntryCount, len(failed.Failed))}
	}
	if len(failed.Failed) == 0 {
		return nil
	}
	return failed
}

// entryError is the service's refusal of one entry of a request that it took.
type entryError struct{ code, message, requestID string }

var _ smithy.APIError = (*entryError)(nil)

func (e *entryError) Error() string {
	if e.message == "" {
		return "PutEvents: " + e.code
	}
	return "PutEvents: " + e.code + ": " + e.message
}
func (e *entryError) ErrorCode() string             { return e.code }
func (e *entryError) ErrorMessage() string          { return e.message }
func (e *entryError) ErrorFault() smithy.ErrorFault { return smithy.FaultUnknown }

func failedEntry(err error) *entryError {
	var e *entryError
	if errors.As(err, &e) {
		return e
	}
	return nil
}
