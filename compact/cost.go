package compact

import "github.com/litefs-s3/litefs-s3/index"

// Cost is what something takes of a bucket. Plans estimate it, reports count it.
type Cost struct {
	Gets         int64   `json:"gets"`
	Puts         int64   `json:"puts"`
	Lists        int64   `json:"lists"`
	Deletes      int64   `json:"deletes"`
	BytesRead    int64   `json:"bytes_read"`
	BytesWritten int64   `json:"bytes_written"`
	USD          float64 `json:"usd"` // for requests, at the prices of S3 Standard in us-east-1; transfer not included
}

// Prices of S3 Standard in us-east-1, in dollars for one request. Deleting is free.
const (
	putPrice = 0.005 / 1000 // and LIST
	getPrice = 0.0004 / 1000
)

func (c Cost) priced() Cost {
	c.USD = float64(c.Puts+c.Lists)*putPrice + float64(c.Gets)*getPrice
	return c
}

func (c Cost) plus(d Cost) Cost {
	return Cost{
		Gets: c.Gets + d.Gets, Puts: c.Puts + d.Puts, Lists: c.Lists + d.Lists, Deletes: c.Deletes + d.Deletes,
		BytesRead: c.BytesRead + d.BytesRead, BytesWritten: c.BytesWritten + d.BytesWritten,
	}.priced()
}

const (
	rangeSize = 4 << 20  // about what one request of a large file fetches
	partSize  = 16 << 20 // about what one request of a large upload stores
	deletable = 1000     // keys in one request
)

// cost estimates a step: its inputs are read once, the new file is stored and read back.
func (s *Step) cost() Cost {
	c := Cost{Puts: 1 + s.Bytes/partSize, BytesWritten: s.Bytes, BytesRead: 2 * s.Bytes, Gets: 4 + s.Bytes/rangeSize}
	for i := range s.Inputs {
		c.Gets += 1 + s.Inputs[i].Bytes/rangeSize
	}
	return c.priced()
}

// deletionCost estimates what it takes to look at the replica again before and after deleting.
func deletionCost(p *Plan) Cost {
	if len(p.Delete) == 0 {
		return Cost{}
	}
	pages := 1 + int64(p.Files)/1000
	return Cost{Lists: 2 * pages, Deletes: 1 + int64(len(p.Delete))/deletable}.priced()
}

// freed is what deletions give back, in bytes.
func freed(deletions []Deletion) (n int64) {
	for i := range deletions {
		n += deletions[i].Bytes
	}
	return n
}

func (d *Deletion) name() string {
	f := index.File{Level: d.Level, Min: d.Min, Max: d.Max}
	return f.String()
}
