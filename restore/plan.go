package restore

import (
	"time"

	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/index"
)

// Plan is what a restore of a View will take.
type Plan struct {
	TXID     index.TXID `json:"txid"`
	Time     time.Time  `json:"time"`
	PageSize uint32     `json:"page_size"`
	Pages    uint32     `json:"pages"`
	Bytes    int64      `json:"bytes"`    // of the database
	Fetch    int64      `json:"fetch"`    // bytes
	Requests int64      `json:"requests"` // GETs of pages
	Files    []PlanFile `json:"files"`    // in the order in which they are read
}

// PlanFile is what one file contributes.
type PlanFile struct {
	Key      string     `json:"key"`
	Level    int        `json:"level"`
	Min      index.TXID `json:"min_txid"`
	Max      index.TXID `json:"max_txid"`
	Size     int64      `json:"size"`  // bytes
	Pages    int64      `json:"pages"` // whose newest version lies in it
	Fetch    int64      `json:"fetch"` // bytes
	Requests int64      `json:"requests"`
}

// NewPlan tells what restoring v will take. It asks nobody. When a page is in no file the error is index.ErrCorrupt.
func NewPlan(v *index.View) (Plan, error) {
	p := Plan{
		TXID: v.TXID, Time: v.Time, PageSize: v.PageSize, Pages: v.Commit,
		Bytes: sizeOf(v), Files: []PlanFile{},
	}
	shares, err := bulk.Shares(v, bulk.All(v))
	if err != nil {
		return p, err
	}
	for _, s := range shares {
		p.Fetch += s.Fetch
		p.Requests += s.Requests
		p.Files = append(p.Files, PlanFile{
			Key: s.File.Key(), Level: s.File.Level, Min: s.File.Min, Max: s.File.Max, Size: s.File.Size,
			Pages: s.Pages, Fetch: s.Fetch, Requests: s.Requests,
		})
	}
	return p, nil
}
