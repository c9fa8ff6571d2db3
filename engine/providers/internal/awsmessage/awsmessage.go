// Package awsmessage is what the topics "sns" and "sqs" share: requests that are signed, events as messages with
// attributes, batches of ten whose entries fail one by one, and FIFO topics and queues.
//
// A message's body is the event as structured CloudEvents JSON. Beside it stand the attributes Content-Type, ce-id, ce-type,
// ce-source and ce-subject, for filter policies.
package awsmessage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/aws/smithy-go"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/awsauth"
)

const (
	// MaxBatch is how many messages a request holds.
	MaxBatch = 10
	// MaxBytes bounds the messages of a request together, and so each of them: body and attributes ("Amazon SQS message
	// quotas"; "Publishing large messages with Amazon SNS", where 262,144 is the default of a topic).
	MaxBytes = 1 << 20
)

// Entry is a message of a request.
type Entry struct {
	Body       string
	Attributes [][2]string // names and texts, in a fixed order
	Group      string      // MessageGroupId, of FIFO only
	Dedup      string      // MessageDeduplicationId, of FIFO only
}

// Shape says how events become messages.
type Shape struct {
	FIFO  bool
	Group string // template of event.KeyOf; "" puts all into one group
}

// Entry is an event as a message.
func (s Shape) Entry(m event.Message) (Entry, error) {
	text, err := event.Encode(m)
	if err != nil {
		return Entry{}, fault.New(fault.InvalidArgument, "%w", err)
	}
	e := Entry{Body: noncharacters.Replace(string(text))}
	for _, a := range [][2]string{{"Content-Type", "application/cloudevents+json; charset=UTF-8"}, {"ce-id", m.ID}, {"ce-type", m.Type}, {"ce-source", m.Source}, {"ce-subject", m.Subject}} {
		if a[1] != "" { // the services refuse empty ones
			e.Attributes = append(e.Attributes, a)
		}
	}
	if s.FIFO {
		e.Group, e.Dedup = identifier(event.KeyOf(s.Group, m)), identifier(m.ID)
		if e.Group == "" {
			e.Group = "-"
		}
	}
	return e, nil
}

// noncharacters escapes what the services refuse in a body; JSON allows it inside of strings only.
var noncharacters = strings.NewReplacer("\ufffe", `\ufffe`, "\uffff", `\uffff`)

// identifier is a text as the services take one for a group or for dropping repeats: 1 to 128 printable characters of
// ASCII other than the space. Another text is stood for by its SHA-256, so that equal ones stay equal.
func identifier(s string) string {
	ok := len(s) <= 128
	for _, c := range []byte(s) {
		ok = ok && c > 0x20 && c < 0x7f
	}
	if ok {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + hex.EncodeToString(sum[:])
}

// Size is what the services count for a message: its body and, of each attribute, name, type and text.
func (s Shape) Size(m event.Message) int64 {
	e, err := s.Entry(m)
	if err != nil {
		return -1
	}
	n := len(e.Body)
	for _, a := range e.Attributes {
		n += len(a[0]) + len("String") + len(a[1])
	}
	return int64(n)
}

// Send sends one request and returns the error of each entry, nil for those that were taken, or one error for all.
type Send func(ctx context.Context, list []Entry) ([]error, error)

// Publish implements event.Driver's Publish with requests.
//
// Of a FIFO queue or topic a request holds one message of a group only, and the next is sent when the service has taken
// it: within a request the service may refuse an entry and take a later one, which would then be before it for good.
func (s Shape) Publish(ctx context.Context, batch []event.Message, send Send) error {
	if len(batch) == 0 {
		return ctx.Err()
	}
	list := make([]Entry, len(batch))
	for i, m := range batch {
		var err error
		if list[i], err = s.Entry(m); err != nil {
			return err
		}
	}
	if !s.FIFO {
		errs, err := send(ctx, list)
		if err != nil {
			return err
		}
		return result(errs)
	}
	errs := make([]error, len(list))
	stopped := map[string]error{} // by group
	for sent := make([]bool, len(list)); ; {
		var at []int
		var round []Entry
		busy := map[string]bool{}
		for i, e := range list {
			switch {
			case sent[i] || busy[e.Group]:
			case stopped[e.Group] != nil:
				sent[i], errs[i] = true, stopped[e.Group]
			default:
				busy[e.Group], sent[i] = true, true
				at, round = append(at, i), append(round, e)
			}
		}
		if len(round) == 0 {
			return result(errs)
		}
		answers := each(ctx, round, send)
		for n, i := range at {
			errs[i] = answers[n]
			if c := Classify(answers[n]); answers[n] != nil && c.Retryable() {
				stopped[list[i].Group] = &fault.Error{Class: fault.Class{Code: c.Code, RetryAfter: c.RetryAfter},
					Err: fmt.Errorf("not sent, because one before it in its group failed: %w", answers[n])}
			}
		}
	}
}

// each sends a request, and its entries one by one where one of them may have spoiled it for the others.
func each(ctx context.Context, list []Entry, send Send) []error {
	errs, err := send(ctx, list)
	if err == nil {
		return errs
	}
	errs = make([]error, len(list))
	one := Classify(err).Code == fault.InvalidArgument && len(list) > 1
	for i := range list {
		if errs[i] = err; one {
			errs[i] = each(ctx, list[i:i+1], send)[0]
		}
	}
	return errs
}

func result(errs []error) error {
	failed := &event.BatchError{}
	for i, err := range errs {
		if err != nil {
			failed.Failed = append(failed.Failed, event.Failure{Index: i, Err: err})
		}
	}
	if len(failed.Failed) == 0 {
		return nil
	}
	return failed
}

// EntryError is the service's refusal of one entry of a request that it took.
type EntryError struct {
	Op, Code, Message string
	Sender            bool // the fault is the entry's
}

var _ smithy.APIError = (*EntryError)(nil)

func (e *EntryError) Error() string {
	if e.Message == "" {
		return e.Op + ": " + e.Code
	}
	return e.Op + ": " + e.Code + ": " + e.Message
}

// ErrorCode implements smithy.APIError.
func (e *EntryError) ErrorCode() string { return e.Code }

// ErrorMessage implements smithy.APIError.
func (e *EntryError) ErrorMessage() string { return e.Message }

// ErrorFault implements smithy.APIError.
func (e *EntryError) ErrorFault() smithy.ErrorFault {
	if e.Sender {
		return smithy.FaultClient
	}
	return smithy.FaultServer
}

// Unanswered is the error of an entry of which the reply says nothing.
func Unanswered(op string) error {
	return &fault.Error{Class: fault.Class{Code: fault.Internal, MaybeApplied: true}, Err: fmt.Errorf("%s: the reply says nothing of the message", op)}
}

// refusals are the codes of the services that others do not have.
var refusals = sync.OnceValue(func() map[string]fault.Code {
	out := map[string]fault.Code{}
	for code, names := range map[fault.Code][]string{
		fault.NotFound:          {"QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "NotFound", "NotFoundException"},
		fault.ResourceExhausted: {"OverLimit", "KmsThrottled", "KMSThrottling", "KMSThrottlingException", "Throttled", "ThrottledException"},
		fault.PermissionDenied:  {"KmsAccessDenied", "KMSAccessDenied", "KMSAccessDeniedException", "KmsOptInRequired", "KMSOptInRequired"},
		fault.FailedPrecondition: {"KmsDisabled", "KMSDisabled", "KmsInvalidState", "KMSInvalidState", "KmsNotFound", "KMSNotFound", "KmsInvalidKeyUsage", "EndpointDisabled",
			"PlatformApplicationDisabled", "QueueDeletedRecently"},
		fault.InvalidArgument: {"InvalidMessageContents", "InvalidParameter", "InvalidParameterValue", "BatchRequestTooLong", "BatchEntryIdsNotDistinct", "TooManyEntriesInBatchRequest",
			"EmptyBatchRequest", "InvalidBatchEntryId", "InvalidAttributeName", "InvalidAttributeValue", "InvalidAddress", "AWS.SimpleQueueService.BatchRequestTooLong"},
	} {
		for _, n := range names {
			out[n] = code
		}
	}
	return out
})

// Classify tells what an error of a call means.
func Classify(err error) fault.Class {
	c := awsauth.Classify(err)
	code := awsauth.Code(err)
	if known := refusals()[code]; known != "" {
		c.Code, c.MaybeApplied = known, false
	}
	if e := entryError(err); e != nil {
		c.MaybeApplied = false // the reply says that it was not taken
		if c.Code == fault.Internal {
			if c.Code = fault.Unavailable; e.Sender {
				c.Code = fault.InvalidArgument
			}
		}
	}
	return c
}

func entryError(err error) *EntryError {
	var e *EntryError
	if errors.As(err, &e) {
		return e
	}
	return nil
}
