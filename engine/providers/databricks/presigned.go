package databricks

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/azurerest"
)

// urlLife is how long the URLs are asked to work.
const urlLife = time.Hour

// presigned is a URL of storage that the workspace signed, and the headers that go with it.
type presigned struct {
	URL     string `json:"url"`
	Headers []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"headers"`
}

// presign asks the workspace for a URL of one of the kinds of a reply.
func (d *Driver) presign(ctx context.Context, what string, body map[string]any) (presigned, error) {
	body["expire_time"] = d.clock.Now().Add(urlLife).UTC().Format(time.RFC3339)
	var x struct {
		Parts []struct {
			presigned
			Number int `json:"part_number"`
		} `json:"upload_part_urls"`
		Resumable *presigned `json:"resumable_upload_url"`
		Abort     *presigned `json:"abort_upload_url"`
	}
	if what == "create-resumable-upload-url" { // it lives as long as the upload
		delete(body, "expire_time")
	}
	resp, err := d.decode(ctx, &request{method: "POST", path: "/api/2.0/fs/" + what, json: body}, &x)
	if err != nil {
		return presigned{}, err
	}
	var p presigned
	switch {
	case x.Resumable != nil:
		p = *x.Resumable
	case x.Abort != nil:
		p = *x.Abort
	case len(x.Parts) == 1 && x.Parts[0].Number == body["start_part_number"]:
		p = x.Parts[0].presigned
	}
	u, err := url.Parse(p.URL)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return p, notDatabricks(resp, "it holds no URL of storage")
	}
	if d.base.Scheme == "https" && u.Scheme != "https" {
		return p, fault.New(fault.Unimplemented, "the URL of storage would leave TLS")
	}
	return p, nil
}

// sendTo sends a request to storage, without the workspace's token, and returns its reply, whatever its status.
func (d *Driver) sendTo(ctx context.Context, method string, p presigned, contentRange string, body *stream) (*http.Response, error) {
	if err := d.usable(ctx); err != nil {
		return nil, err
	}
	req, err := http.NewRequest(method, p.URL, nil)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "the URL of storage cannot be used")
	}
	req.Header["User-Agent"], req.Header["Accept-Encoding"] = []string{"dsrun"}, []string{"identity"}
	for _, h := range p.Headers {
		if name := http.CanonicalHeaderKey(h.Name); name != "Host" && name != "Content-Length" && name != "Authorization" {
			req.Header[name] = []string{h.Value}
		}
	}
	if contentRange != "" {
		req.Header["Content-Range"] = []string{contentRange}
	}
	return d.exchange(ctx, req, body)
}

// noParts is what is known of the way to storage.
type noParts struct{ blocked, reached bool }

func (d *Driver) way() noParts { d.mu.Lock(); defer d.mu.Unlock(); return d.noParts }

func (d *Driver) learn(f func(*noParts)) { d.mu.Lock(); defer d.mu.Unlock(); f(&d.noParts) }

// onePut is the error of Begin where a file cannot go up in parts: it then goes in one request through the workspace.
func onePut(err error) error {
	return fault.New(fault.Unimplemented, "files cannot go up in parts here: %w", err)
}

// disabled reports whether an error says that there are no URLs of storage in this workspace or for this network.
func disabled(err error) bool {
	var e *ReplyError
	return errors.As(err, &e) && e.Status == http.StatusForbidden && (e.Reason == "FILES_API_API_IS_NOT_ENABLED" || e.Reason == "FILES_API_REQUESTER_NETWORK_ZONE_UNKNOWN") ||
		fault.Is(err, fault.Unimplemented)
}

// probe makes sure, once, that storage takes requests from here. Its firewall can be told only by asking: the answer to
// an empty part 1, which the real one replaces, or to a question for the state of an upload.
func (d *Driver) probe(ctx context.Context, p presigned, contentRange string) error {
	if d.way().reached {
		return nil
	}
	resp, err := d.sendTo(ctx, "PUT", p, contentRange, newStream(held(nil)))
	if err != nil {
		var network *NetError
		if errors.As(err, &network) {
			return onePut(err)
		}
		return err
	}
	if resp.StatusCode == http.StatusForbidden {
		reply := d.refusal(resp)
		if reply.Expired {
			return reply
		}
		d.learn(func(w *noParts) { w.blocked = true })
		return onePut(reply)
	}
	azurerest.Drain(resp)
	d.learn(func(w *noParts) { w.reached = true })
	return nil
}
