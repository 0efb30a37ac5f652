package litefss3

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/litefs-s3/litefs-s3/hydrate"
	"github.com/litefs-s3/litefs-s3/internal/nearest"
	"github.com/litefs-s3/litefs-s3/objstore/s3store"
	"github.com/litefs-s3/litefs-s3/writer"
)

// setting is one name that users type.
type setting struct {
	name string // URI parameter
	env  string // environment variable; empty if there is none
	set  func(c *Config, value string) error
}

var settings = []setting{
	{"replica_url", "LITESTREAM_REPLICA_URL", func(c *Config, v string) error {
		c.ReplicaURL = v
		return nil
	}},
	{"poll_interval", "LITESTREAM_POLL_INTERVAL", func(c *Config, v string) error {
		return parseDuration(v, &c.PollInterval)
	}},
	{"cache_size", "LITESTREAM_CACHE_SIZE", func(c *Config, v string) error {
		return parseBytes(v, &c.CacheSize)
	}},
	{"max_prefetch_pages", "", func(c *Config, v string) error {
		n, err := parseCount(v)
		c.MaxPrefetchPages = int(n)
		if err == nil && n == 0 {
			c.MaxPrefetchPages = -1 // 0 is a wish here, and not the zero value
		}
		return err
	}},
	{"read_ahead_limit", "", func(c *Config, v string) error {
		err := parseBytes(v, &c.ReadAheadLimit)
		if err == nil && c.ReadAheadLimit == 0 {
			c.ReadAheadLimit = -1 // 0 is a wish here, and not the zero value
		}
		return err
	}},
	{"max_reqs_per_query", "", func(c *Config, v string) (err error) {
		c.MaxReqsPerQuery, err = parseCount(v)
		return err
	}},
	{"stale_after", "", func(c *Config, v string) error {
		return parseDuration(v, &c.StaleAfter)
	}},
	{"hydration_path", "LITESTREAM_HYDRATION_PATH", func(c *Config, v string) error {
		c.Hydration.Path = v
		return nil
	}},
	{"hydration_enabled", "LITESTREAM_HYDRATION_ENABLED", func(c *Config, v string) error {
		return parseToggle(v, &c.hydrate)
	}},
	{"hydration_mode", "", func(c *Config, v string) error {
		return parseMode(v, &c.Hydration.Mode)
	}},
	{"hydration_max_size", "", func(c *Config, v string) error {
		return parseBytes(v, &c.Hydration.MaxBytes)
	}},
	{"hydration_bandwidth", "", func(c *Config, v string) error {
		return parseBytes(v, &c.Hydration.Bandwidth)
	}},
	{"hydration_concurrency", "", func(c *Config, v string) error {
		n, err := parseCount(v)
		c.Hydration.Concurrency = int(n)
		return err
	}},
	{"sidecar", "", func(c *Config, v string) error {
		return parseSidecar(v, &c.Sidecar)
	}},
	{"write_enabled", "LITESTREAM_WRITE_ENABLED", func(c *Config, v string) error {
		return parseToggle(v, &c.write)
	}},
	{"durability", "LITESTREAM_DURABILITY", func(c *Config, v string) error {
		return parseDurability(v, &c.Durability)
	}},
	{"sync_interval", "LITESTREAM_SYNC_INTERVAL", func(c *Config, v string) error {
		return parseDuration(v, &c.SyncInterval)
	}},
	{"buffer_path", "LITESTREAM_BUFFER_PATH", func(c *Config, v string) error {
		c.BufferPath = v
		return nil
	}},
	{"buffer_max_size", "", func(c *Config, v string) error {
		return parseBytes(v, &c.MaxPending)
	}},
	{"lease", "", func(c *Config, v string) error {
		return parseLease(v, &c.Lease)
	}},
	{"lease_ttl", "", func(c *Config, v string) error {
		return parseDuration(v, &c.LeaseTTL)
	}},
	{"compaction", "", func(c *Config, v string) error {
		return parseCompaction(v, &c.Compaction)
	}},
	{"lease_owner", "", func(c *Config, v string) error {
		c.Owner = v
		return nil
	}},
	{"close_timeout", "", func(c *Config, v string) error {
		return parseDuration(v, &c.CloseTimeout)
	}},
	{"unfenced", "", func(c *Config, v string) error {
		var t toggle
		err := parseToggle(v, &t)
		c.Unfenced = t == on
		return err
	}},
	{"log_level", "LITESTREAM_LOG_LEVEL", func(c *Config, v string) error {
		c.logLevel = v
		return new(slog.Level).UnmarshalText([]byte(v))
	}},
	{"log_file", "LITESTREAM_LOG_FILE", func(c *Config, v string) error {
		c.logFile = v
		return nil
	}},
}

// fromEnvironment is the Config that the environment gives.
func fromEnvironment() (Config, error) {
	var c Config
	for _, s := range settings {
		value := os.Getenv(s.env)
		if s.env == "" || value == "" {
			continue
		}
		if err := s.set(&c, value); err != nil {
			return c, fmt.Errorf("%s=%q: %w", s.env, value, err)
		}
	}
	return c, nil
}

// apply lays the parameters of a URI over c. Those of S3 go into the replica's URL.
func (c *Config) apply(params url.Values) error {
	s3 := url.Values{}
	for name, values := range params {
		i := slices.IndexFunc(settings, func(s setting) bool { return s.name == name })
		switch {
		case len(values) > 1:
			return fmt.Errorf("parameter %s is given %d times; give it once", name, len(values))
		case i >= 0:
			if err := settings[i].set(c, values[0]); err != nil {
				return fmt.Errorf("parameter %s=%q: %w", name, values[0], err)
			}
		case slices.Contains(s3store.Parameters(), strings.ReplaceAll(name, "_", "-")):
			s3.Set(name, values[0])
		default:
			return fmt.Errorf("unknown parameter %q%s", name, nearest.Hint(name, parameterNames()))
		}
	}
	if len(s3) == 0 {
		return nil
	}
	u, err := url.Parse(c.ReplicaURL)
	if err != nil {
		return fmt.Errorf("replica_url %q is no URL; it looks like s3://bucket/path", redact(c.ReplicaURL))
	}
	q := u.Query()
	for name, values := range s3 {
		q[name] = values
	}
	u.RawQuery = q.Encode()
	c.ReplicaURL = u.String()
	return nil
}

// parameterNames are all names that a URI may hold.
func parameterNames() []string {
	names := slices.Concat([]string{"time", "txid", "vfs", "mode", "immutable", "_pragma", "_txlock", "_timefmt"}, s3store.Parameters())
	for _, s := range settings {
		names = append(names, s.name)
	}
	return names
}

// parseDuration reads Go's syntax or whole seconds.
func parseDuration(text string, to *time.Duration) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		n, nerr := strconv.ParseInt(text, 10, 32)
		if nerr != nil {
			return fmt.Errorf("not a duration; write 500ms, 1s, 5m, or whole seconds")
		}
		d = time.Duration(n) * time.Second
	}
	if d <= 0 {
		return fmt.Errorf("a duration above zero is needed, like 1s")
	}
	*to = d
	return nil
}

// parseBytes reads a size like 64MiB, 10 MB or 1048576.
func parseBytes(text string, to *int64) error {
	n, err := humanize.ParseBytes(text)
	if err != nil || n > 1<<50 {
		return fmt.Errorf("not a size; write 64MiB, 10MB or a number of bytes")
	}
	*to = int64(n)
	return nil
}

// parseToggle reads a yes or no.
func parseToggle(text string, to *toggle) error {
	switch strings.ToLower(text) {
	case "1", "true", "on", "yes":
		*to = on
	case "0", "false", "off", "no":
		*to = off
	default:
		return fmt.Errorf("not a yes or no; write 1 or 0")
	}
	return nil
}

// parseDurability reads when a commit returns.
func parseDurability(text string, to *writer.Durability) error {
	for _, d := range durabilities {
		if text == d.String() {
			*to = d
			return nil
		}
	}
	return errors.New("no such durability; it is local (a commit returns when it is on the local disk), remote (when it is in the bucket) " +
		"or memory (at once)")
}

// parseLease reads how a process becomes the writer.
func parseLease(text string, to *LeaseMode) error {
	for _, m := range leaseModes {
		if text == m.String() {
			*to = m
			return nil
		}
	}
	return errors.New("no such lease mode; it is automatic, or manual (with PRAGMA litestream_acquire_lease)")
}

// parseCompaction reads whether the writer compacts.
func parseCompaction(text string, to *CompactionMode) error {
	for _, m := range compactionModes {
		if text == m.String() {
			*to = m
			return nil
		}
	}
	return errors.New("no such mode; it is on, off, or automatic (when nobody else compacts the replica)")
}

// parseMode reads what fills a local copy.
func parseMode(text string, to *hydrate.Mode) error {
	for _, m := range hydrationModes {
		if text == m.String() {
			*to = m
			return nil
		}
	}
	return errors.New("no such mode; it is full (everything is fetched in the background) or lazy (what queries fetch is kept)")
}

func parseCount(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("not a count; write a whole number, 0 or more")
	}
	return n, nil
}
