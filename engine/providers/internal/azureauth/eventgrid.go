package azureauth

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/secret"
)

// AuthorizeEventGrid makes a request to Event Grid one of the source's, as
// https://learn.microsoft.com/azure/event-grid/authenticate-with-access-keys-shared-access-signatures says: with an access
// key, a shared access signature or a bearer token. namespace says that the request goes to a topic of a namespace, which
// wants them in other headers. refresh says that what the source gave before was refused. renewable reports whether a new
// value can be had after a refusal.
func AuthorizeEventGrid(ctx context.Context, src credential.Source, req *http.Request, namespace, refresh bool) (renewable bool, _ error) {
	v, err := resolve(ctx, src, credential.Want{Audience: CloudOf(src).EventGridAuth, Refresh: refresh})
	if err != nil {
		return false, err
	}
	switch f := v.Fields; {
	case !f[FieldToken].IsZero():
		req.Header["Authorization"] = []string{"Bearer " + f[FieldToken].Reveal()}
		return true, nil
	case !f[FieldAccessKey].IsZero() && namespace:
		req.Header["Authorization"] = []string{"SharedAccessKey " + f[FieldAccessKey].Reveal()}
	case !f[FieldAccessKey].IsZero():
		req.Header["Aeg-Sas-Key"] = []string{f[FieldAccessKey].Reveal()}
	case !f[FieldTopicSAS].IsZero() && namespace:
		req.Header["Authorization"] = []string{"SharedAccessSignature " + f[FieldTopicSAS].Reveal()}
	case !f[FieldTopicSAS].IsZero():
		req.Header["Aeg-Sas-Token"] = []string{f[FieldTopicSAS].Reveal()}
	case len(f) > 0:
		return false, fault.Hinted(fault.InvalidArgument, "Declare a credential with the access_key of the topic, a sas_token made with it, or an identity.",
			"what opens a storage account does not open a topic of Event Grid")
	default:
		return false, fault.Hinted(fault.InvalidArgument, "Declare a credential with the access_key of the topic, a sas_token made with it, or an identity.",
			"Event Grid takes no events without a credential")
	}
	return false, nil
}

// parseTopicSAS returns a shared access signature of Event Grid, "r=RESOURCE&e=EXPIRY&s=SIGNATURE", as it is sent. ok is
// false for any other text.
func parseTopicSAS(s string) (sas string, ok bool) {
	s = strings.TrimSpace(s)
	s = strings.TrimPrefix(s, "SharedAccessSignature ")
	q, err := url.ParseQuery(s)
	return s, err == nil && q.Get("r") != "" && q.Get("e") != "" && q.Get("s") != ""
}

// topicSAS returns a source of a signature of Event Grid, and makes its secret part known.
func topicSAS(name, sas string, r *secret.Redactor) credential.Source {
	for _, pair := range strings.Split(sas, "&") {
		if v, ok := strings.CutPrefix(pair, "s="); ok {
			r.Add(v)
			if d, err := url.QueryUnescape(v); err == nil {
				r.Add(d)
			}
		}
	}
	return credential.Static(name, map[string]secret.String{FieldTopicSAS: secret.New(sas)}, r)
}
