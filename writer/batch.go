package writer

import (
	"fmt"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/writer/commitlog"
)

// batch is what becomes one L0 file: all pending commits up to one, the newest version of each page once. What is in it is settled before
// the first put is tried, and stays so until the object is confirmed: also after a crash, for the seal is in the log.
type batch struct {
	seal     commitlog.Seal
	pages    overlay // of the pending commits up to seal.Seq
	pageSize uint32
	low      uint32 // the smallest size on the way: every page above it must be in the file
	body     *body  // encoded; nil when that is still to be done
	logged   bool   // the seal is in the log
	etag     string
	// What has been done about it, in this order.
	stored    bool // the bucket has it, as was read back
	confirmed bool // the log knows that
}

func (b *batch) file() index.File {
	return index.File{Min: b.seal.TXID, Max: b.seal.TXID, Size: b.body.size, ETag: b.etag}
}

func (b *batch) key() string {
	f := index.File{Min: b.seal.TXID, Max: b.seal.TXID}
	return f.Key()
}

// base is the state of the bucket with the batch in it.
func (b *batch) base() commitlog.Base {
	return commitlog.Base{TXID: b.seal.TXID, Time: b.seal.Time, Commit: b.seal.Commit, File: b.file()}
}

func (b *batch) drop() error {
	if b == nil || b.body == nil {
		return nil
	}
	return b.body.close()
}

// nextBatch is everything that is committed now; nil when that is in the bucket.
func (w *Writer) nextBatch() *batch {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pending) == 0 {
		return nil
	}
	s := w.cur.Load()
	// Times never go back, whatever the clock does: Litestream restores by them.
	now := w.opts.Clock().UTC().Truncate(time.Millisecond)
	if now.Before(w.durable.Time) {
		now = w.durable.Time
	}
	return &batch{
		seal:  commitlog.Seal{TXID: w.durable.TXID + 1, Seq: s.seq, Time: now, Commit: s.commit},
		pages: s.pages, pageSize: s.pageSize, low: lowest(w.durable.Commit, w.pending),
	}
}

// lowest is the smallest size that a database of so many pages has on its way through the commits.
func lowest(commit uint32, txs []*commitlog.Tx) uint32 {
	for _, tx := range txs {
		commit = min(commit, tx.Commit)
	}
	return commit
}

// sealed is the batch that a log says was sealed before a crash.
func sealed(seal commitlog.Seal, base commitlog.Base, pending []commitlog.Recorded) (*batch, error) {
	b := &batch{seal: seal, logged: true, low: base.Commit}
	n := 0
	for _, rec := range pending {
		if rec.Seq <= seal.Seq {
			b.pages, b.pageSize, b.low = b.pages.with(rec), rec.PageSize, min(b.low, rec.Commit)
			n++
		}
	}
	if n == 0 || pending[n-1].Seq != seal.Seq || pending[n-1].Commit != seal.Commit || seal.TXID != base.TXID+1 {
		return nil, fmt.Errorf("the seal of txid %s does not fit the transactions before it: %w", seal.TXID, ErrLogDamaged)
	}
	return b, nil
}
