package alipan

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/alipanauth"
)

// operation is a call of the service, by its paths in the two APIs.
type operation struct {
	web, open string
	signed    bool // the web API wants the signature of the device
}

var (
	opUser      = operation{"/v2/user/get", "/adrive/v1.0/user/getDriveInfo", false}
	opGet       = operation{"/v2/file/get", "/adrive/v1.0/openFile/get", true}
	opGetByPath = operation{"/v2/file/get_by_path", "/adrive/v1.0/openFile/get_by_path", true}
	opList      = operation{"/adrive/v3/file/list", "/adrive/v1.0/openFile/list", true}
	opURL       = operation{"/v2/file/get_download_url", "/adrive/v1.0/openFile/getDownloadUrl", true}
	opCreate    = operation{"/adrive/v2/file/createWithFolders", "/adrive/v1.0/openFile/create", false}
	opPartURL   = operation{"/v2/file/get_upload_url", "/adrive/v1.0/openFile/getUploadUrl", false}
	opParts     = operation{"/v2/file/list_uploaded_parts", "/adrive/v1.0/openFile/listUploadedParts", false}
	opComplete  = operation{"/v2/file/complete", "/adrive/v1.0/openFile/complete", false}
	opTrash     = operation{"/v2/recyclebin/trash", "/adrive/v1.0/openFile/recyclebin/trash", false}
	opDelete    = operation{"/v3/file/delete", "/adrive/v1.0/openFile/delete", false}
	opUpdate    = operation{"/v3/file/update", "/adrive/v1.0/openFile/update", false}
	opCopy      = operation{"/file/copy", "/adrive/v1.0/openFile/copy", false} // in a batch
	opMove      = operation{"/file/move", "/adrive/v1.0/openFile/move", false} // in a batch
	opBatch     = operation{"/v3/batch", "", false}
)

// fields are the parameters of a call.
type fields map[string]any

// call asks the service and decodes its reply into out; nil wants none. A token or a session that has ended is renewed
// once.
func (d *Driver) call(ctx context.Context, op operation, in fields, out any) error {
	if err := d.usable(ctx); err != nil {
		return err
	}
	if op != opUser && op != opBatch {
		id, err := d.drive(ctx)
		if err != nil {
			return err
		}
		in["drive_id"] = id
	}
	if d.cred.API() == alipanauth.Web && (op == opCopy || op == opMove) {
		return d.batch(ctx, op.web, in, out)
	}
	path := op.web
	if d.cred.API() == alipanauth.Open {
		path = op.open
	}
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	for renewed := map[string]bool{}; ; {
		err := d.ask(ctx, path, op.signed, body, out)
		what, lost := renewal(err)
		if !lost || renewed[what] {
			return err
		}
		renewed[what] = true
		if _, err := d.cred.Resolve(ctx, credential.Want{Audience: what, Refresh: true}); err != nil {
			return err
		}
	}
}

// renewal says what an error wants to have renewed, by its audience.
func renewal(err error) (audience string, lost bool) {
	var e *ReplyError
	if !errors.As(err, &e) {
		return "", false
	}
	switch e.Code {
	case "AccessTokenInvalid", "AccessTokenExpired":
		return "", true
	case "DeviceSessionSignatureInvalid", "UserDeviceOffline":
		return alipanauth.AudienceDevice, true
	}
	return "", false
}

func (d *Driver) ask(ctx context.Context, path string, signed bool, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, "POST", strings.TrimSuffix(d.cred.Base().String(), "/")+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if err := alipanauth.Login(ctx, d.cred, req.Header, signed); err != nil {
		return err
	}
	req.Header["Accept-Encoding"], req.Header["Content-Type"] = []string{"identity"}, []string{"application/json;charset=UTF-8"}
	resp, err := d.exchange(ctx, req)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return failed(resp)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxReplyText+1))
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return &NetError{err}
	case len(b) > maxReplyText:
		return fault.New(fault.DataLoss, "the reply is longer than %d bytes", maxReplyText)
	case resp.StatusCode == http.StatusNoContent && len(b) == 0 && out == nil:
		return nil
	}
	var head struct{ Code, Message string }
	if err := json.Unmarshal(b, &head); err != nil || bytes.Equal(bytes.TrimSpace(b), []byte("null")) {
		return notAlipan(resp, "its body is not the JSON that was asked for")
	}
	if head.Code != "" {
		return &ReplyError{Status: resp.StatusCode, Code: head.Code, Message: head.Message}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return notAlipan(resp, "its body is not the JSON that was asked for")
	}
	return nil
}

// exchange sends a request. Addresses of storage are secrets for a time, and stand in no error.
func (d *Driver) exchange(ctx context.Context, req *http.Request) (*http.Response, error) {
	resp, err := d.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return nil, &NetError{err}
	}
	return resp, nil
}

// batch does one operation in a batch, which is the only way to it in the web API.
func (d *Driver) batch(ctx context.Context, path string, in fields, out any) error {
	var reply struct {
		Responses []struct {
			ID     string
			Status int
			Body   json.RawMessage
		}
	}
	id, _ := in["file_id"].(string)
	one := fields{"method": "POST", "url": path, "id": id, "headers": fields{"Content-Type": "application/json"}, "body": in}
	if err := d.call(ctx, opBatch, fields{"resource": "file", "requests": []fields{one}}, &reply); err != nil {
		return err
	}
	if len(reply.Responses) != 1 || reply.Responses[0].ID != id {
		return notAlipan(nil, "it does not say what became of the operation")
	}
	r := reply.Responses[0]
	var head struct{ Code, Message string }
	if len(r.Body) > 0 && json.Unmarshal(r.Body, &head) != nil {
		return notAlipan(nil, "it does not say what became of the operation")
	}
	if r.Status >= 300 || r.Status < 200 || head.Code != "" {
		return &ReplyError{Status: r.Status, Code: head.Code, Message: head.Message}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(r.Body, out); err != nil {
		return notAlipan(nil, "it does not say what became of the operation")
	}
	return nil
}

// drive is the id of the drive.
func (d *Driver) drive(ctx context.Context) (string, error) {
	d.mu.Lock()
	id := d.driveID
	d.mu.Unlock()
	if id != "" {
		return id, nil
	}
	if _, err := d.account(ctx); err != nil {
		return "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.driveID, nil
}

// account asks for the user's id and the drives.
func (d *Driver) account(ctx context.Context) (string, error) {
	d.mu.Lock()
	user := d.user
	d.mu.Unlock()
	if user != "" {
		return user, nil
	}
	var x struct {
		User     string `json:"user_id"`
		Default  string `json:"default_drive_id"`
		Backup   string `json:"backup_drive_id"`
		Resource string `json:"resource_drive_id"`
	}
	if err := d.call(ctx, opUser, fields{}, &x); err != nil {
		return "", err
	}
	id := map[string]string{"": x.Default, "default": x.Default, "backup": x.Backup, "resource": x.Resource}[d.o.Drive]
	switch {
	case x.User == "" || x.Default == "":
		return "", notAlipan(nil, "it describes no account")
	case id == "":
		return "", fault.Hinted(fault.InvalidArgument, "Choose another `drive`, or set up this one in the service's own program.", "the account has no %s drive", d.o.Drive)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.user = x.User
	if d.driveID == "" {
		d.driveID = id
	}
	return d.user, nil
}

// trusted refuses addresses of storage that no service would give: the bytes of objects go there.
func (d *Driver) trusted(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || d.cred.Base().Scheme != "http") {
		return nil, fault.New(fault.PermissionDenied, "the service gives an address of its storage that is none, or leaves TLS")
	}
	return u, nil
}

// drain reads the little that is left of a reply, so that its connection can be used again.
func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	_ = resp.Body.Close()
}
