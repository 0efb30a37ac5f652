package s3store

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/litefs-s3/litefs-s3/internal/nearest"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// ParseURL reads a replica URL: "s3://bucket/prefix", with parameters in its query. The prefix comes clean, without
// slashes at its ends, and is never empty: Litestream's replicas at the root of a bucket have broken keys. Nothing but
// the URL is looked at, so a Config from here may still be completed. Errors hold no secrets.
func ParseURL(replicaURL string) (cfg Config, prefix string, err error) {
	cfg, prefix, err = parseURL(replicaURL)
	if err != nil {
		return Config{}, "", fmt.Errorf("s3 replica URL: %w", err)
	}
	return cfg, prefix, nil
}

func parseURL(replicaURL string) (cfg Config, prefix string, err error) {
	if arn, ok := cutPrefixFold(replicaURL, "s3://arn:"); ok {
		return parseARN(arn)
	}
	u, err := url.Parse(replicaURL)
	switch {
	case err != nil: // whose text may hold anything
		return cfg, "", errors.New("it is not a URL such as s3://bucket/path; write odd characters as %XX")
	case u.Scheme != "s3":
		return cfg, "", fmt.Errorf("its scheme is %.20q, not s3", u.Scheme)
	case u.User != nil:
		return cfg, "", errors.New("it holds a user name; credentials go into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	case u.Fragment != "":
		return cfg, "", errors.New("it holds a #; write it as %23")
	}
	if neonHost.MatchString(u.Host) && u.Query().Has("endpoint") {
		cfg.Bucket = u.Host // as Litestream has it: a bucket may well have such a name elsewhere
	} else {
		cfg.parseHost(u.Host)
	}
	return finish(cfg, u.Path, u.RawQuery)
}

// parseARN reads "<rest of the ARN of an access point>/prefix?query", which is not a URL.
func parseARN(rest string) (cfg Config, prefix string, err error) {
	rest, query, _ := strings.Cut(rest, "?")
	const marker = ":accesspoint/"
	i := 0 // found in rest itself: of odd bytes lower case has another length
	for i+len(marker) <= len(rest) && !strings.EqualFold(rest[i:i+len(marker)], marker) {
		i++
	}
	if i+len(marker) > len(rest) {
		return cfg, "", errors.New("its ARN is not that of an access point: s3://arn:aws:s3:region:account:accesspoint/name/path")
	}
	name, key, _ := strings.Cut(rest[i+len(marker):], "/")
	cfg.Bucket = "arn:" + rest[:i+len(marker)] + name
	if parts := strings.SplitN(cfg.Bucket, ":", 6); len(parts) >= 4 {
		cfg.Region = parts[3]
	}
	return finish(cfg, "/"+key, query)
}

func finish(cfg Config, keyPath, query string) (Config, string, error) {
	prefix := strings.TrimPrefix(path.Clean("/"+keyPath), "/")
	if prefix == "" {
		return Config{}, "", errors.New("a path is required after the bucket, such as s3://bucket/app:" +
			" keys at the root of a bucket are broken in Litestream")
	}
	if err := objstore.ValidateKey(prefix); err != nil {
		return Config{}, "", fmt.Errorf("path: %w", err)
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return Config{}, "", errors.New("its query is malformed; write odd characters as %XX")
	}
	if err := cfg.setAll(values); err != nil {
		return Config{}, "", err
	}
	if err := cfg.validate(); err != nil {
		return Config{}, "", err
	}
	return cfg, prefix, nil
}

// setAll applies the parameters of a query in the order of their names.
func (c *Config) setAll(values url.Values) error {
	seen := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		canonical, _ := parameter(name)
		if other, ok := seen[canonical]; ok && canonical != "" {
			return fmt.Errorf("parameters %q and %q are the same; give one", other, name)
		}
		if len(values[name]) > 1 {
			return fmt.Errorf("parameter %q is given %d times", name, len(values[name]))
		}
		seen[canonical] = name
		if err := c.Set(name, values.Get(name)); err != nil {
			return err
		}
	}
	return nil
}

// setters has one entry for each parameter of a replica URL: Litestream's, then ours.
var setters = map[string]func(c *Config, value string) error{
	"endpoint":               (*Config).setEndpoint,
	"region":                 setText(func(c *Config) *string { return &c.Region }),
	"force-path-style":       setToggle(func(c *Config) *Toggle { return &c.ForcePathStyle }),
	"skip-verify":            setBool(func(c *Config) *bool { return &c.SkipVerify }),
	"sign-payload":           setToggle(func(c *Config) *Toggle { return &c.SignPayload }),
	"sign-accept-encoding":   setToggle(func(c *Config) *Toggle { return &c.SignAcceptEncoding }),
	"require-content-md5":    setToggle(func(c *Config) *Toggle { return &c.RequireContentMD5 }),
	"put-object-content-md5": setBool(func(c *Config) *bool { return &c.PutObjectContentMD5 }),
	"concurrency": setInt(func(c *Config, n int64) {
		c.Concurrency = int(min(n, 1<<20))
	}),
	"part-size":              setInt(func(c *Config, n int64) { c.PartSize = n }),
	"storage-class":          setText(func(c *Config) *string { return &c.StorageClass }),
	"sse-customer-algorithm": setText(func(c *Config) *string { return &c.SSECustomerAlgorithm }),
	"sse-customer-key":       setText(func(c *Config) *string { return &c.SSECustomerKey }),
	"sse-customer-key-md5":   setText(func(c *Config) *string { return &c.SSECustomerKeyMD5 }),
	"sse-kms-key-id":         setText(func(c *Config) *string { return &c.SSEKMSKeyID }),

	"anonymous": setBool(func(c *Config) *bool { return &c.Anonymous }),
	"profile":   setText(func(c *Config) *string { return &c.Profile }),
	"ca-file":   setText(func(c *Config) *string { return &c.CAFile }),
}

// Parameters returns the names that Set and the query of a replica URL know, in order.
func Parameters() []string {
	return slices.Sorted(maps.Keys(setters))
}

// Set applies one parameter as the query of a replica URL does. Its name may be written with dashes, with underscores
// or in camel case. An unknown name is an error with the nearest known one in it.
func (c *Config) Set(name, value string) error {
	canonical, ok := parameter(name)
	if !ok {
		return fmt.Errorf("unknown parameter %.60q%s", name, nearest.Hint(name, Parameters()))
	}
	if value == "" {
		return fmt.Errorf("parameter %q has no value", name)
	}
	if err := setters[canonical](c, value); err != nil {
		return fmt.Errorf("parameter %q: %w", name, err)
	}
	return nil
}

// parameter returns the canonical form of a name that is known.
func parameter(name string) (string, bool) {
	squeeze := func(s string) string { return strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(s)) }
	for known := range setters {
		if squeeze(known) == squeeze(name) {
			return known, true
		}
	}
	return "", false
}

func (c *Config) setEndpoint(value string) error {
	if err := (Config{Endpoint: value}).validateEndpoint(); err != nil {
		return err
	}
	c.Endpoint = withScheme(value)
	return nil
}

func setText(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, value string) error {
		*field(c) = value
		return nil
	}
}

func setBool(field func(*Config) *bool) func(*Config, string) error {
	return func(c *Config, value string) (err error) {
		*field(c), err = parseBool(value)
		return err
	}
}

func setToggle(field func(*Config) *Toggle) func(*Config, string) error {
	return func(c *Config, value string) error {
		on, err := parseBool(value)
		*field(c) = toggle(on)
		return err
	}
}

func setInt(set func(*Config, int64)) func(*Config, string) error {
	return func(c *Config, value string) error {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n <= 0 {
			return fmt.Errorf("%.40q is not a positive whole number", value)
		}
		set(c, n)
		return nil
	}
}

// parseBool takes Litestream's words and no others.
func parseBool(value string) (bool, error) {
	switch strings.ToLower(value) {
	case "true", "t", "yes", "1":
		return true, nil
	case "false", "f", "no", "0":
		return false, nil
	}
	return false, fmt.Errorf("%.40q is neither true nor false", value)
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", false
	}
	return s[len(prefix):], true
}
