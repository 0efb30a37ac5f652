package bulk

import (
	"cmp"
	"slices"
	"sync"

	"github.com/litefs-s3/litefs-s3/index"
)

// defaultHeld is how many bytes a Held keeps.
const defaultHeld = 16 << 20

// Held keeps the bytes that came with the page tables when a replica was opened: small files whole, and the beginning of large ones.
// Copy takes pages from there instead of asking the bucket for them once more. The zero value is empty. It is safe for
// concurrent use.
//
//	held := new(bulk.Held)
//	tracker, err := index.Open(ctx, store, index.Options{PollInterval: -1, OnLoad: held.Keep})
//	src := bulk.Source{Store: store, Mover: tracker, Held: held}
type Held struct {
	// Max is how many bytes are kept at most; what came first makes room. Zero means 16 MiB.
	Max int

	mu    sync.Mutex
	blobs []index.Blob // in the order in which they came; guarded by mu
	bytes int          // of blobs; guarded by mu
}

// Keep is an index.Options.OnLoad.
func (h *Held) Keep(_ *index.View, blobs []index.Blob) {
	h.mu.Lock()
	defer h.mu.Unlock()
	most := cmp.Or(h.Max, defaultHeld)
	all := slices.Clone(h.blobs) // others read the old one
	for _, b := range blobs {
		if len(b.Data) > most || slices.ContainsFunc(all, func(o index.Blob) bool { return same(o, b) }) {
			continue
		}
		all, h.bytes = append(all, b), h.bytes+len(b.Data)
		for h.bytes > most {
			h.bytes -= len(all[0].Data)
			all = slices.Delete(all, 0, 1)
		}
	}
	h.blobs = all
}

// same reports whether two pieces are one: a file that two moments need comes twice.
func same(a, b index.Blob) bool {
	return a.Off == b.Off && a.File.Key() == b.File.Key() && a.File.ETag == b.File.ETag
}

// all are the pieces kept so far; none when h is nil.
func (h *Held) all() []index.Blob {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.blobs
}
