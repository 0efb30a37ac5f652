package litefss3

import (
	"fmt"
	"slices"

	"github.com/litefs-s3/litefs-s3/hydrate"
	"github.com/litefs-s3/litefs-s3/writer"
)

// check refuses values that mean nothing, which a URI and the environment cannot hold: rather now than at the first open, or never.
func (c *Config) check() error {
	for _, field := range []struct {
		name  string
		value int64
	}{
		{"CacheSize", c.CacheSize}, {"MaxReqsPerQuery", c.MaxReqsPerQuery}, {"StaleAfter", int64(c.StaleAfter)},
		{"MaxPending", c.MaxPending}, {"LeaseTTL", int64(c.LeaseTTL)}, {"CloseTimeout", int64(c.CloseTimeout)},
		{"OpenTimeout", int64(c.OpenTimeout)},
	} {
		if field.value < 0 {
			return fmt.Errorf("config: %s is negative; zero is its default", field.name)
		}
	}
	for _, field := range []struct {
		name  string
		known bool
	}{
		{"Durability", slices.Contains(durabilities, c.Durability)}, {"Lease", slices.Contains(leaseModes, c.Lease)},
		{"Compaction", slices.Contains(compactionModes, c.Compaction)}, {"Sidecar", slices.Contains(sidecarModes, c.Sidecar)},
		{"Hydration.Mode", slices.Contains(hydrationModes, c.Hydration.Mode)},
	} {
		if !field.known {
			return fmt.Errorf("config: %s is none of its constants", field.name)
		}
	}
	return nil
}

var (
	durabilities    = []writer.Durability{writer.Local, writer.Remote, writer.Memory}
	leaseModes      = []LeaseMode{AutomaticLease, ManualLease}
	compactionModes = []CompactionMode{AutomaticCompaction, CompactionOn, CompactionOff}
	hydrationModes  = []hydrate.Mode{hydrate.Full, hydrate.Lazy}
)
