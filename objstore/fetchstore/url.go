package fetchstore

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/litefs-s3/litefs-s3/internal/nearest"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// ParseURL returns the Place of the replica at s3://bucket/path, https://host/path or http://host/path. ask may be nil, for
// what is public; with it the URL must be of S3. Of the parameters that an s3 URL takes elsewhere, a browser has use for
// endpoint, region and force-path-style. Errors hold no secrets.
func ParseURL(replicaURL string, ask Provider) (Place, error) {
	u, err := url.Parse(replicaURL)
	switch {
	case err != nil: // whose text may hold anything
		return nil, errURL
	case u.User != nil:
		return nil, errors.New("the URL holds a user name; credentials are a setting of their own")
	case u.Fragment != "":
		return nil, errors.New("the URL holds a #; write it as %23")
	case u.Scheme == "s3":
		return parseS3(u, ask)
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return nil, errURL
	case ask != nil:
		return nil, errors.New("credentials need an s3:// URL: s3://bucket/path?endpoint=https://host&region=name")
	case u.RawQuery != "":
		return nil, fmt.Errorf("a web URL takes no parameters, and this one on %s has some; what is not public is an s3:// URL with credentials,"+
			" or read by urlFor", u.Host)
	}
	return &Web{base: url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimRight(u.Path, "/")}}, nil
}

var errURL = errors.New("it is no URL such as s3://bucket/path or https://host/path")

func parseS3(u *url.URL, ask Provider) (*Bucket, error) {
	root := strings.TrimPrefix(path.Clean("/"+u.Path), "/")
	if u.Host == "" || root == "" {
		return nil, errors.New("an s3 URL names a bucket and a path in it: s3://bucket/path")
	}
	if err := objstore.ValidateKey(root); err != nil {
		return nil, fmt.Errorf("path: %w", err)
	}
	s, err := parseSettings(u.RawQuery)
	if err != nil {
		return nil, err
	}
	base, err := s.bucketURL(u.Host)
	if err != nil {
		return nil, err
	}
	return &Bucket{base: base, root: root + "/", region: s.region, ask: ask, asking: make(chan struct{}, 1)}, nil
}

// settings are the parameters of an s3 URL.
type settings struct {
	endpoint  string
	region    string
	pathStyle bool
}

var parameters = []string{"endpoint", "region", "force-path-style"}

func parseSettings(rawQuery string) (settings, error) {
	s := settings{region: "us-east-1"}
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return s, errors.New("the URL's query is malformed; write odd characters as %XX")
	}
	s.pathStyle = query.Has("endpoint") // as everywhere else: what is not AWS rarely has a host for each bucket
	for name, values := range query {
		canonical := strings.ReplaceAll(strings.ToLower(name), "_", "-")
		value := values[0]
		switch canonical {
		case "endpoint":
			s.endpoint = value
		case "region":
			s.region = value
		case "force-path-style", "forcepathstyle":
			if s.pathStyle, err = strconv.ParseBool(value); err != nil {
				return s, fmt.Errorf("parameter %q: %.40q is neither true nor false", name, value)
			}
		default:
			return s, fmt.Errorf("parameter %.60q means nothing in a browser%s", name, nearest.Hint(canonical, parameters))
		}
	}
	return s, nil
}

// bucketURL is where a bucket is: a host of its own, or a folder of the endpoint.
func (s settings) bucketURL(bucket string) (url.URL, error) {
	endpoint := s.endpoint
	switch {
	case endpoint == "":
		endpoint = "https://s3." + s.region + ".amazonaws.com"
	case !strings.Contains(endpoint, "://"):
		endpoint = "https://" + endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return url.URL{}, errors.New("the endpoint is no URL such as https://host:port")
	}
	base := url.URL{Scheme: u.Scheme, Host: u.Host}
	_, notIP := netip.ParseAddr(u.Hostname())
	if s.pathStyle || strings.Contains(bucket, ".") || notIP == nil {
		base.Path = "/" + bucket // a certificate for *.host does not hold for a name with dots
	} else {
		base.Host = bucket + "." + u.Host
	}
	return base, nil
}
