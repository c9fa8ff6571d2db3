package awsauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
)

// identity asks a service who we are, through everything that a driver uses.
func identity(t testing.TB, e *testEnv, endpoint string, src credential.Source) (*sts.GetCallerIdentityOutput, error) {
	t.Helper()
	e.Credential = src
	c := Config(e.Env, "us-east-1")
	c.BaseEndpoint = &endpoint
	return sts.NewFromConfig(c).GetCallerIdentity(t.Context(), nil)
}

func TestClassifyReplies(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		header map[string]string
		body   string
		want   fault.Class
	}{
		"retry after": {503, map[string]string{"Retry-After": "7"}, "", fault.Class{Code: fault.Unavailable, RetryAfter: 7 * time.Second, MaybeApplied: true}},
		"a date":      {429, map[string]string{"Retry-After": "Sat, 21 Nov 2026 08:00:09 GMT", "Date": "Sat, 21 Nov 2026 08:00:00 GMT"}, "", fault.Class{Code: fault.ResourceExhausted, RetryAfter: 9 * time.Second}},
		"past":        {429, map[string]string{"Retry-After": "Sat, 21 Nov 2020 08:00:09 GMT"}, "", fault.Class{Code: fault.ResourceExhausted}},
		"nonsense":    {429, map[string]string{"Retry-After": "-5"}, "", fault.Class{Code: fault.ResourceExhausted}},
		"millis":      {429, map[string]string{"x-amz-retry-after": "1500"}, "", fault.Class{Code: fault.ResourceExhausted, RetryAfter: 1500 * time.Millisecond}},
		"html":        {403, nil, "<html>Portal</html>", fault.Class{Code: fault.PermissionDenied}},
		"not found":   {404, nil, "nothing", fault.Class{Code: fault.NotFound}},
		"gateway":     {502, nil, "", fault.Class{Code: fault.Unavailable, MaybeApplied: true}},
		"teapot":      {418, nil, "", fault.Class{Code: fault.InvalidArgument}},
		"code first":  {400, nil, `<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>`, fault.Class{Code: fault.ResourceExhausted}},
		"quota":       {400, nil, `<ErrorResponse><Error><Code>LimitExceededException</Code></Error></ErrorResponse>`, fault.Class{Code: fault.ResourceExhausted, NoRetry: true}},
		"new code":    {400, nil, `<ErrorResponse><Error><Code>SomethingNew</Code></Error></ErrorResponse>`, fault.Class{Code: fault.InvalidArgument}},
	} {
		f := newFake(t, func(_ int, _ call, w http.ResponseWriter) {
			for k, v := range c.header {
				w.Header().Set(k, v)
			}
			w.WriteHeader(c.status)
			io.WriteString(w, c.body)
		})
		e := newEnv(t, nil)
		_, err := identity(t, e, f.URL, e.static(t, "AKIAONE", "one-secret"))
		got := Classify(err)
		got.Hint, got.RequestID = "", ""
		if got != c.want {
			t.Errorf("%s: %+v, want %+v: %v", name, got, c.want, err)
		}
		if len(f.seen()) != 1 {
			t.Errorf("%s: %d requests", name, len(f.seen()))
		}
	}
}

func TestClassifyTransport(t *testing.T) {
	e := newEnv(t, nil)
	src := e.static(t, "AKIAONE", "one-secret")
	if _, err := identity(t, e, "http://127.0.0.1:1", src); Classify(err).Code != fault.Unavailable {
		t.Errorf("nobody listens: %v", err)
	}
	cut := newFake(t, func(_ int, _ call, w http.ResponseWriter) {
		c, _, _ := w.(http.Hijacker).Hijack()
		c.Close()
	})
	_, err := identity(t, e, cut.URL, src)
	if c := Classify(err); c.Code != fault.Unavailable || !c.MaybeApplied {
		t.Errorf("a cut connection: %+v %v", c, err)
	}
	if text := Trim(err).Error(); strings.Contains(text, "exceeded maximum number") || !strings.Contains(text, "EOF") {
		t.Errorf("trimmed to %q", text)
	}
	for err, want := range map[error]fault.Code{
		context.Canceled: fault.Cancelled, context.DeadlineExceeded: fault.DeadlineExceeded, io.ErrUnexpectedEOF: fault.Unavailable, syscall.ECONNRESET: fault.Unavailable,
		&net.DNSError{IsNotFound: true}: fault.Unavailable, errors.New("x"): fault.Internal, fault.New(fault.Limit, "y"): fault.Limit,
		&smithy.GenericAPIError{Code: "AccessDeniedException"}: fault.PermissionDenied, &smithy.GenericAPIError{Code: "ExpiredToken"}: fault.Unauthenticated,
	} {
		if got := Classify(fmt.Errorf("operation: %w", err)); got.Code != want {
			t.Errorf("%v: %s", err, got.Code)
		}
	}
	if Classify(nil) != (fault.Class{}) {
		t.Error("no error has a class")
	}
}

// TestClock: the SDK learns from a refusal by how much the machine's clock is off; the second try succeeds.
func TestClock(t *testing.T) {
	ahead := 40 * time.Minute
	var dates []string
	f := newFake(t, func(n int, c call, w http.ResponseWriter) {
		dates = append(dates, c.header.Get("X-Amz-Date"))
		w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
		if n == 0 {
			stsError(w, 403, "SignatureDoesNotMatch", "Signature expired: 20261121T080000Z is now earlier than 20261121T082500Z")
			return
		}
		io.WriteString(w, `<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>me</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>`)
	})
	e := newEnv(t, nil)
	e.Credential = e.static(t, "AKIAONE", "one-secret")
	cfg := Config(e.Env, "us-east-1")
	cfg.BaseEndpoint = &f.URL
	client := sts.NewFromConfig(cfg)
	tries := 0
	err := Credentials(e.Credential).Do(t.Context(), func(ctx context.Context) error {
		tries++
		_, err := client.GetCallerIdentity(ctx, nil)
		if tries == 1 && (!Skewed(err) || !strings.Contains(Classify(err).Hint, "clock")) {
			t.Errorf("%v: %+v", err, Classify(err))
		}
		return err
	})
	if err != nil || tries != 2 {
		t.Fatalf("%v after %d tries", err, tries)
	}
	first, _ := time.Parse("20060102T150405Z", dates[0])
	second, _ := time.Parse("20060102T150405Z", dates[1])
	if d := second.Sub(first); d < ahead-time.Minute || d > ahead+time.Minute {
		t.Errorf("the second try is dated %v after the first", d)
	}
}
