package verify

import (
	"math/rand/v2"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// Store is what is asked of the store.
type Store interface {
	objstore.RangeReader
	objstore.Lister
}

// Options of a Run. The zero value checks everything.
type Options struct {
	// Budget makes it a sample: files in random order until so much time has gone by. Zero is all of them.
	Budget time.Duration
	// Concurrency is how many files are read at once. Zero is 4. A large one is read in several ranges at once.
	Concurrency int
	// OnProgress, when not nil, is called a few times a second, never by two goroutines at once.
	OnProgress func(Progress)
	// Rand chooses the order of a sample. Nil is a random one.
	Rand *rand.Rand
}

const defaultConcurrency = 4

func (o Options) withDefaults() Options {
	if o.Concurrency <= 0 {
		o.Concurrency = defaultConcurrency
	}
	if o.Rand == nil {
		o.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	return o
}

// Progress is how far a Run is.
type Progress struct {
	Files, TotalFiles int
	Bytes, TotalBytes int64
	Problems          int
}
