package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/litefs-s3/litefs-s3/guard"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/replicagen"
	"github.com/litefs-s3/litefs-s3/integration/sample"
	"github.com/litefs-s3/litefs-s3/internal/wasiabi"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

func replica(t *testing.T) (*memstore.Store, *replicagen.Replica) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sample.db")
	if err := sample.Build(t.Context(), path, sample.Options{Posts: 400}); err != nil {
		t.Fatal(err)
	}
	store := new(memstore.Store)
	made, err := replicagen.Chain(t.Context(), store, path, replicagen.Options{Files: 8})
	if err != nil {
		t.Fatal(err)
	}
	return store, made
}

func open(t *testing.T, store index.Reader, o Options) *Replica {
	t.Helper()
	r, err := Open(t.Context(), store, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// text runs a statement and returns its values, one after another.
func text(r *Replica, sql string, args ...wasiabi.Argument) (string, error) {
	ctx := context.Background()
	q, err := r.Query(ctx, sql, args)
	if err != nil {
		return "", err
	}
	defer q.Close()
	var out bytes.Buffer
	for {
		batch, rows, end, err := q.Next(ctx, nil)
		if err != nil {
			return out.String(), err
		}
		for range int(rows) * len(q.Columns()) {
			var v any
			if v, batch, err = wasiabi.CutValue(batch); err != nil {
				return out.String(), err
			}
			fmt.Fprint(&out, v, ";")
		}
		if end {
			return out.String(), nil
		}
	}
}

// TestReplica_Moments: the newest, a transaction, and a time; and what a replica that follows sees after a new file.
func TestReplica_Moments(t *testing.T) {
	t.Parallel()
	store, made := replica(t)
	third := made.Plan[2]
	for _, o := range []Options{{TXID: third.Max.String()}, {TXID: "0x" + third.Max.String()}, {Time: third.Time.Format("2006-01-02T15:04:05.000Z07:00")}} {
		if got, err := text(open(t, store, o), "PRAGMA litestream_txid"); got != third.Max.String()+";" || err != nil {
			t.Errorf("%+v: %s and %v, want %s", o, got, err, third.Max)
		}
	}
	if got, err := text(open(t, store, Options{TXID: "latest"}), "PRAGMA litestream_txid"); got != made.TXID.String()+";" || err != nil {
		t.Errorf("latest: %s and %v", got, err)
	}
	for _, o := range []Options{{TXID: "x"}, {TXID: "1", Time: "yesterday"}, {Time: "whenever"}} {
		_, err := Open(t.Context(), store, o)
		if err == nil || FailureOf(err).Kind != wasiabi.KindUsage {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestReplica_ALookThatFails: a statement that cannot find out what is new says so, and the next one does not.
func TestReplica_ALookThatFails(t *testing.T) {
	t.Parallel()
	store, _ := replica(t)
	broken := &breakable{Store: store}
	r := open(t, broken, Options{PollInterval: 1})
	broken.err = &objstore.OpError{Op: "get", Key: "k", Err: objstore.ErrAccess}
	if _, err := text(r, "SELECT 1"); !errors.Is(err, objstore.ErrAccess) || FailureOf(err).Kind != wasiabi.KindStore {
		t.Errorf("got %v, want ErrAccess", err)
	}
	broken.err = nil
	if got, err := text(r, "SELECT 1"); got != "1;" || err != nil {
		t.Errorf("afterwards: %s and %v", got, err)
	}
}

// breakable fails while err is set.
type breakable struct {
	objstore.Store
	err error
}

func (b *breakable) ReadPrefix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	if b.err != nil {
		return objstore.Part{}, b.err
	}
	return b.Store.ReadPrefix(ctx, ref, n)
}

func (b *breakable) List(ctx context.Context, prefix, after string) (objstore.Page, error) {
	if b.err != nil {
		return objstore.Page{}, b.err
	}
	return b.Store.List(ctx, prefix, after)
}

func (b *breakable) ReadSuffix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	if b.err != nil {
		return objstore.Part{}, b.err
	}
	return b.Store.ReadSuffix(ctx, ref, n)
}

// TestQuery_RowsBeforeAnError: what came before it is handed over first.
func TestQuery_RowsBeforeAnError(t *testing.T) {
	t.Parallel()
	store, _ := replica(t)
	r := open(t, store, Options{})
	got, err := text(r, "SELECT value FROM json_each('[1,2]') UNION ALL SELECT abs(-9223372036854775808)")
	if got != "1;2;" || err == nil || FailureOf(err).Kind != wasiabi.KindSQL {
		t.Errorf("%s and %v", got, err)
	}
}

func TestFailureOf(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		wasiabi.KindMemory:      fmt.Errorf("x: %w", guard.ErrMemory),
		wasiabi.KindTooBig:      sqlite3.TOOBIG,
		wasiabi.KindDenied:      sqlite3.AUTH,
		wasiabi.KindInterrupted: sqlite3.INTERRUPT,
		wasiabi.KindCorrupt:     index.ErrCorrupt,
		wasiabi.KindExpired:     index.ErrViewExpired,
		wasiabi.KindNotFound:    index.ErrNoReplica,
		wasiabi.KindStore:       &objstore.OpError{Op: "get", Key: "k", Err: objstore.ErrTemporary},
		wasiabi.KindUsage:       ErrUsage,
		wasiabi.KindSQL:         errors.New("anything else"),
	} {
		if got := FailureOf(err); got.Kind != want || got.Message == "" {
			t.Errorf("%v: got %+v, want %s", err, got, want)
		}
	}
}
