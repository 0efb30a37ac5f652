package litefss3_test

import (
	"strings"
	"testing"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// A Config with a value that means nothing is refused when it is given, and the error names the field.
func TestConfig_Impossible(t *testing.T) {
	t.Parallel()
	for field, set := range map[string]func(*litefss3.Config){
		"CacheSize":       func(c *litefss3.Config) { c.CacheSize = -1 },
		"MaxReqsPerQuery": func(c *litefss3.Config) { c.MaxReqsPerQuery = -1 },
		"StaleAfter":      func(c *litefss3.Config) { c.StaleAfter = -1 },
		"LeaseTTL":        func(c *litefss3.Config) { c.LeaseTTL = -1 },
		"CloseTimeout":    func(c *litefss3.Config) { c.CloseTimeout = -1 },
		"OpenTimeout":     func(c *litefss3.Config) { c.OpenTimeout = -1 },
		"MaxPending":      func(c *litefss3.Config) { c.MaxPending = -1 },
		"Durability":      func(c *litefss3.Config) { c.Durability = 9 },
		"Lease":           func(c *litefss3.Config) { c.Lease = 9 },
		"Compaction":      func(c *litefss3.Config) { c.Compaction = -1 },
		"Sidecar":         func(c *litefss3.Config) { c.Sidecar = 9 },
		"Hydration.Mode":  func(c *litefss3.Config) { c.Hydration.Mode = 9 },
	} {
		c := litefss3.Config{Store: new(memstore.Store)}
		set(&c)
		if err := litefss3.Register("impossible", c); err == nil || !strings.Contains(err.Error(), "config: "+field+" is") {
			t.Errorf("%s: Register says %v", field, err)
		}
		if db, err := litefss3.OpenDB(c); err == nil {
			db.Close()
			t.Errorf("%s: OpenDB takes it", field)
		}
	}
}
