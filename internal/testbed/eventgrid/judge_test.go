package eventgrid_test

import (
	"encoding/base64"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/internal/testbed"
	"github.com/dsrun/dsrun/internal/testbed/eventgrid"
)

var key = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("judged-key/+", 3)))

const program = `
import sys, datetime
from azure.core.credentials import AccessToken, AzureKeyCredential, AzureSasCredential
from azure.core.exceptions import *
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridEvent, EventGridPublisherClient, generate_sas
native, cloud, domain, namespace, key, token = sys.argv[1:]
class Token:
    def __init__(self, text): self.text = text
    def get_token(self, *scopes, **kw):
        assert scopes == ("https://eventgrid.azure.net/.default",), scopes
        return AccessToken(self.text, 4102444800)
def client(url, cred=AzureKeyCredential(key), **kw):
    return EventGridPublisherClient(url, cred, retry_total=0, **kw) if kw else EventGridPublisherClient(url, cred)
def refused(kind, status, say, call):
    try:
        call()
    except kind as e:
        if e.status_code is None: e = e.__cause__ # the client words it anew
        assert e.status_code == status and say in str(e), (status, say, e.status_code, str(e))
        return
    raise AssertionError("not refused: " + say)
def ev(i=1, **kw): return EventGridEvent(id="n%d" % i, subject="ml3_platform", event_type="retrain_trigger", data={"model_id": "m1"}, data_version="1.0", **kw)
def ce(i=1, **kw): return CloudEvent(id="c%d" % i, source="/s", type="t", data={"a": "ü"}, **kw)
end = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) + datetime.timedelta(hours=1)
past = end - datetime.timedelta(hours=2)
# the three ways to log in, right and wrong
wrong = "d3Jvbmcta2V5LXdyb25n"
client(native).send(ev(1))
client(native, AzureSasCredential(generate_sas(native, key, end))).send(ev(2))
client(native, Token(token)).send(ev(3))
no = ClientAuthenticationError
refused(no, 401, "key is invalid", lambda: client(native, AzureKeyCredential(wrong)).send(ev()))
refused(no, 401, "signature is invalid", lambda: client(native, AzureSasCredential(generate_sas(native, wrong, end))).send(ev()))
refused(no, 401, "has expired", lambda: client(native, AzureSasCredential(generate_sas(native, key, past))).send(ev()))
refused(no, 401, "another resource", lambda: client(native, AzureSasCredential(generate_sas("https://other.eventgrid.azure.net/api/events", key, end))).send(ev()))
refused(no, 401, "token is invalid", lambda: client(native, Token("wrong")).send(ev()))
# schemas and their fields
client(cloud).send([ce(1, subject="x", extensions={"runid": "r1", "n": 7}), ce(2)])
client(cloud).send(ce(3))
bad = HttpResponseError
refused(bad, 400, "configured for 'EventGridEvent' schema", lambda: client(native).send({"id": "1", "subject": "s", "eventType": "t", "eventTime": "2026-01-01T00:00:00Z", "data": 1, "dataVersion": "1", "source": "x"}))
refused(bad, 415, "configured for 'EventGridEvent' schema", lambda: client(native).send(ce()))
refused(bad, 400, "configured to receive event in 'CloudEventV10' schema", lambda: client(cloud).send(ev()))
refused(bad, 400, "'subject' is missing", lambda: client(native).send({"id": "1", "eventType": "t", "eventTime": "2026-01-01T00:00:00Z", "data": 1, "dataVersion": "1"}))
refused(bad, 400, "'eventTime' is not a time", lambda: client(native).send({"id": "1", "subject": "s", "eventType": "t", "eventTime": "yesterday", "data": 1, "dataVersion": "1"}))
refused(bad, 400, "the topic of a domain", lambda: client(native).send(ev(topic="a")))
refused(bad, 400, "lowercase letters", lambda: client(cloud).send({"id": "1", "source": "s", "type": "t", "specversion": "1.0", "my_name": "x"}))
refused(ResourceNotFoundError, 404, "was not found", lambda: client(native.replace("/api/events", "/api/nothing")).send(ev()))
# limits
refused(bad, 413, "maximum size", lambda: client(cloud).send(CloudEvent(source="/s", type="t", data="x" * (1 << 20))))
refused(bad, 400, "at most 5000", lambda: client(cloud).send([ce(i) for i in range(5001)]))
client(cloud).send([ce(i) for i in range(100, 5100)])
# throttled once: the client waits as long as it is told
client(native).send(ev(4, event_time=datetime.datetime(2026, 11, 29, 6, 0, tzinfo=datetime.timezone.utc)))
# domain
client(domain).send(ev(5, topic="tenant-7"))
refused(bad, 400, "the topic of a domain", lambda: client(domain).send(ev()))
# namespace
client(namespace, namespace_topic="orders").send([ce(1), ce(2)])
client(namespace, Token(token), namespace_topic="orders").send(ce(3))
refused(no, 401, "key is invalid", lambda: client(namespace, AzureKeyCredential(wrong), namespace_topic="orders").send(ce()))
refused(bad, 410, "was not found", lambda: client(namespace, namespace_topic="none").send(ce()))
refused(bad, 400, "at most 1000", lambda: client(namespace, namespace_topic="orders").send([ce(i) for i in range(1001)]))
print("judged")
`

// Microsoft's client takes the stand-in for the service: its requests are understood, its logins hold, and the refusals
// are those that it knows.
func TestJudge(t *testing.T) {
	t.Parallel()
	judge := testbed.Program(t, "judge-azure")
	throttled := 0
	native := &eventgrid.Server{Schema: eventgrid.Native}
	native.On = throttleOnce(&throttled)
	servers := []*eventgrid.Server{native, {Schema: eventgrid.CloudEvents}, {Schema: eventgrid.Native, Domain: true}, {Topics: []string{"orders"}}}
	args := []string{"-c", program}
	var authorities []byte
	for i, s := range servers {
		s.Keys, s.Token = []string{base64.StdEncoding.EncodeToString([]byte("first key, not used")), key}, "judged-token"
		srv := httptest.NewTLSServer(s) // the client gives tokens to https only
		defer srv.Close()
		authorities = append(authorities, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})...)
		url := srv.URL
		if i < 3 {
			url += "/api/events"
		}
		args = append(args, url)
	}
	trust := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(trust, authorities, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), judge, append(args, key, "judged-token")...)
	cmd.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+trust)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "judged") {
		t.Fatalf("%v: %s", err, out)
	}
	ids := func(s *eventgrid.Server) (out []string) {
		for _, e := range s.Events() {
			out = append(out, e.Text("id"))
		}
		return out
	}
	if got := strings.Join(ids(native), " "); got != "n1 n2 n3 n4" || throttled != 1 {
		t.Errorf("the topic holds %s, throttled %d times", got, throttled)
	}
	if got := ids(servers[1]); len(got) != 5003 || got[0] != "c1" || got[3] != "c100" {
		t.Errorf("the topic of CloudEvents holds %d", len(got))
	}
	if got := servers[2].Events(); len(got) != 1 || got[0].Text("topic") != "tenant-7" {
		t.Errorf("the domain holds %v", got)
	}
	if got := servers[3].Events(); len(got) != 3 || got[2].Topic != "orders" {
		t.Errorf("the namespace holds %v", got)
	}
}
