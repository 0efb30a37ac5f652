package diagnose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/inspect"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/render"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/s3store"
)

// credentials opens the store, which asks for them, and says where they came from; never what they are.
func (d *Doctor) credentials(ctx context.Context) (string, error) {
	var err error
	if d.store, err = d.Open(ctx); err != nil {
		return "", advise(err, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or the LITESTREAM_ pair), or ?profile=NAME, or ?anonymous=true for a public bucket")
	}
	if d.s3 == nil {
		return "", notChecked("none are needed here")
	}
	return d.credentialSource(), nil
}

// credentialSource names the first source that there is, in the order in which they are tried.
func (d *Doctor) credentialSource() string {
	set := func(names ...string) bool {
		return !slices.ContainsFunc(names, func(name string) bool { return d.Getenv(name) == "" })
	}
	either := func(suffix string) bool { return set("AWS_"+suffix) || set("LITESTREAM_"+suffix) }
	switch {
	case d.s3.Anonymous:
		return "none, as anonymous=true says"
	case d.s3.Profile != "":
		return fmt.Sprintf("profile %q of the shared AWS files", d.s3.Profile)
	case set("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
		return "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN in the environment"
	case set("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
		return "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment"
	case either("ACCESS_KEY_ID") && either("SECRET_ACCESS_KEY"):
		return "LITESTREAM_ACCESS_KEY_ID and LITESTREAM_SECRET_ACCESS_KEY in the environment"
	case set("AWS_WEB_IDENTITY_TOKEN_FILE"):
		return "web identity (AWS_WEB_IDENTITY_TOKEN_FILE)"
	case set("AWS_PROFILE"):
		return fmt.Sprintf("profile %q of the shared AWS files (AWS_PROFILE)", d.Getenv("AWS_PROFILE"))
	case set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), set("AWS_CONTAINER_CREDENTIALS_FULL_URI"):
		return "the shared AWS files, or the role of this container"
	}
	return "the shared AWS files, or the role of this machine"
}

// endpointURL is where requests go, or nothing for a replica that is not on the network.
func (d *Doctor) endpointURL() string {
	if d.s3 == nil {
		if strings.HasPrefix(d.Replica, "http") {
			return d.Replica
		}
		return ""
	}
	endpoint := cmp.Or(d.s3.Endpoint, d.Getenv("LITESTREAM_S3_ENDPOINT"), d.Getenv("AWS_ENDPOINT_URL_S3"), d.Getenv("AWS_ENDPOINT_URL"))
	if endpoint == "" {
		region := cmp.Or(d.s3.Region, d.Getenv("AWS_REGION"), d.Getenv("AWS_DEFAULT_REGION"), "us-east-1")
		return "https://s3." + region + ".amazonaws.com"
	}
	if !strings.Contains(endpoint, "://") {
		var conf s3store.Config
		if conf.Set("endpoint", endpoint) == nil { // completes it as opening does
			endpoint = conf.Endpoint
		}
	}
	return endpoint
}

// endpoint asks the server anything, without credentials: whatever it answers, it is there.
func (d *Doctor) endpoint(ctx context.Context) (string, error) {
	target := d.endpointURL()
	if target == "" || d.HTTP == nil {
		return "", notChecked("the replica is not on the network")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, target, nil)
	if err != nil {
		return "", errors.New("the endpoint is no URL")
	}
	start := time.Now()
	before := d.Now()
	resp, err := d.HTTP.Do(req)
	if err != nil {
		return "", advise(fmt.Errorf("%s: %s: %w", req.URL.Host, reason(err), objstore.ErrTemporary), "check the endpoint in the URL (?endpoint=…) or LITESTREAM_S3_ENDPOINT, and the network")
	}
	resp.Body.Close()
	took := time.Since(start)
	d.asked = before.Add(took / 2)
	d.date, _ = http.ParseTime(resp.Header.Get("Date"))
	return fmt.Sprintf("%s://%s answers after %s", req.URL.Scheme, req.URL.Host, render.Duration(took)), nil
}

// reason is an error of net/http without the URL, which may hold what is nobody's business.
func reason(err error) string {
	if errors.Is(err, http.ErrSchemeMismatch) {
		return "the server speaks plain http; write http:// if that is meant"
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}

// Clocks may differ by so much: signatures are refused beyond refused, and times are taken for the wrong ones before.
const (
	noticeable = 30 * time.Second
	refused    = 15 * time.Minute
)

func (d *Doctor) clock(context.Context) (string, error) {
	if d.date.IsZero() {
		return "", notChecked("the store does not tell its time")
	}
	skew := d.asked.Sub(d.date)
	text := "ahead of"
	if skew < 0 {
		skew, text = -skew, "behind"
	}
	switch {
	case skew < 2*time.Second: // the store tells whole seconds
		return "agrees with the store's", nil
	case skew > refused:
		return "", advise(fmt.Errorf("this machine is %s %s the store, and S3 refuses more than %s", skew.Round(time.Second), text, refused),
			"set the clock of this machine")
	case skew > noticeable:
		return "", &warning{fmt.Sprintf("this machine is %s %s the store", skew.Round(time.Second), text),
			"set the clock of this machine: phrases like \"5 minutes ago\" go by it"}
	}
	return fmt.Sprintf("%s %s the store's", skew.Round(time.Second), text), nil
}

// list tells whether the bucket is there and may be listed.
func (d *Doctor) list(ctx context.Context) (string, error) {
	page, err := d.store.List(ctx, "", "")
	switch {
	case errors.Is(err, objstore.ErrNoBucket):
		return "", advise(err, "correct the name of the bucket, or make it")
	case errors.Is(err, objstore.ErrAccess):
		return "", advise(err, "check the credentials, and that they may do s3:ListBucket on the bucket")
	case errors.Is(err, objstore.ErrUnsupported):
		return "", advise(err, "a replica needs listings: over https it must be a public bucket, elsewhere use s3://")
	case err != nil:
		return "", err
	}
	more := ""
	if page.More {
		more = " and more"
	}
	return render.Count(len(page.Objects), "object") + more + " under the path", nil
}

// replica tells whether what lies there is a replica.
func (d *Doctor) replica(ctx context.Context) (string, error) {
	var err error
	if d.files, err = inspect.List(ctx, d.store); err != nil {
		return "", advise(err, "check the path in the URL; a new replica appears when Litestream v0.5 has replicated for a second")
	}
	total := inspect.Sum(d.files)
	detail := fmt.Sprintf("Litestream v0.5: %s, %s, up to txid %s", render.Count(total.Files, "file"), render.Bytes(total.Bytes), total.Max)
	legacy, err := d.store.List(ctx, "generations/", "")
	if err == nil && len(legacy.Objects) > 0 {
		return "", &warning{detail + "; beside it lies a replica of v0.3 (generations/), which is not read",
			"remove generations/ when it is no longer needed"}
	}
	return detail, nil
}

// get reads the head of the newest file a few times: what a small request takes.
func (d *Doctor) get(ctx context.Context) (string, error) {
	newest := d.files[0]
	for _, f := range d.files {
		if f.Max > newest.Max {
			newest = f
		}
	}
	const times = 5
	var took []time.Duration
	for range times {
		start := time.Now()
		if _, err := d.store.ReadPrefix(ctx, newest.Ref(), 100); err != nil {
			return "", advise(err, "check that the credentials may do s3:GetObject on the objects")
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return fmt.Sprintf("a small read takes %s", render.Duration(took[times/2])), nil
}
