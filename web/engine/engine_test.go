package engine_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/fetchstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/pitr"
	"github.com/litefs-s3/litefs-s3/web/engine"
)

// newPrimary is a primary with a table of so many rows, synced.
func newPrimary(t *testing.T, rows int) *primary.Primary {
	t.Helper()
	p := primary.New(t, new(memstore.Store), primary.Options{})
	p.Exec("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
	p.Exec("WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n LIMIT ?) INSERT INTO t SELECT i, hex(randomblob(40)) FROM n", rows)
	p.Sync()
	return p
}

func openReplica(t *testing.T, store objstore.Store, opts engine.Options) *engine.Replica {
	t.Helper()
	r, err := engine.Open(t.Context(), store, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// all runs a statement to its end and returns its values, row after row.
func all(t *testing.T, m *engine.Moment, sql string, params engine.Params) []any {
	t.Helper()
	values, err := tryAll(t.Context(), m, sql, params)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return values
}

func tryAll(ctx context.Context, m *engine.Moment, sql string, params engine.Params) ([]any, error) {
	c, err := m.Start(ctx, sql, params)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var values []any
	for {
		batch, done, err := c.Next(1<<10, time.Hour)
		if err != nil {
			return nil, err
		}
		values = append(values, unpack(batch, len(c.Columns()))...)
		if done {
			return values, nil
		}
	}
}

// unpack reads a batch as the page does.
func unpack(batch []byte, columns int) (values []any) {
	n := int(binary.LittleEndian.Uint32(batch)) * columns
	b := batch[4:]
	for range n {
		tag := b[0]
		b = b[1:]
		var size int
		switch tag {
		case 0:
			values = append(values, nil)
		case 1:
			size = 4
			values = append(values, int64(int32(binary.LittleEndian.Uint32(b))))
		case 2:
			size = 8
			values = append(values, int64(binary.LittleEndian.Uint64(b)))
		case 3:
			size = 8
			values = append(values, math.Float64frombits(binary.LittleEndian.Uint64(b)))
		case 4:
			size = 4 + int(binary.LittleEndian.Uint32(b))
			values = append(values, string(b[4:size]))
		case 5:
			size = 4 + int(binary.LittleEndian.Uint32(b))
			values = append(values, []byte(b[4:size]))
		}
		b = b[size:]
	}
	if len(b) > 0 {
		panic("bytes are left over")
	}
	return values
}

func one(t *testing.T, m *engine.Moment, sql string) any {
	t.Helper()
	return all(t, m, sql, engine.Params{})[0]
}

func TestMoment_Batches(t *testing.T) {
	t.Parallel()
	const rows = 1000
	m := openReplica(t, newPrimary(t, rows).Store, engine.Options{}).Latest()
	t.Cleanup(func() { m.Close() })
	values := all(t, m, "SELECT id FROM t ORDER BY id", engine.Params{})
	if len(values) != rows {
		t.Fatalf("got %d rows, want %d", len(values), rows)
	}
	for i, v := range values {
		if v != int64(i+1) {
			t.Fatalf("row %d is %v", i, v)
		}
	}
	c, err := m.Start(t.Context(), "SELECT id FROM t", engine.Params{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if batch, done, err := c.Next(1<<20, 0); err != nil || done || binary.LittleEndian.Uint32(batch) != 1 {
		t.Errorf("without patience: got %d rows, done %v, %v; want one", binary.LittleEndian.Uint32(batch), done, err)
	}
}

// TestMoment_Params packs what a page would, and bytes that nobody would.
func TestMoment_Params(t *testing.T) {
	t.Parallel()
	m := openReplica(t, newPrimary(t, 1).Store, engine.Options{}).Latest()
	t.Cleanup(func() { m.Close() })
	packed := []byte{0, 1, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0x80, 3, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 4, 2, 0, 0, 0, 'h', 'i', 5, 0, 0, 0, 0}
	got := all(t, m, "SELECT ?, ?, ?, ?, ?, ?", engine.Params{Values: packed})
	want := []any{nil, int64(-1), int64(math.MinInt64), 1.5, "hi"}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("parameter %d: got %v, want %v", i+1, got[i], want[i])
		}
	}
	if blob, ok := got[5].([]byte); !ok || len(blob) != 0 {
		t.Errorf("an empty blob: got %v", got[5])
	}
	for i := range packed {
		if _, err := tryAll(t.Context(), m, "SELECT ?, ?, ?, ?, ?, ?", engine.Params{Values: packed[:i]}); !errors.Is(err, engine.ErrArgument) {
			t.Errorf("cut to %d bytes: got %v", i, err)
		}
	}
	for _, odd := range [][]byte{{6}, {255, 0}, {4, 255, 255, 255, 255}, {5, 1, 0, 0, 0x80, 1}} {
		if _, err := tryAll(t.Context(), m, "SELECT ?", engine.Params{Values: odd}); !errors.Is(err, engine.ErrArgument) {
			t.Errorf("%v: got %v", odd, err)
		}
	}
	named := engine.Params{Names: []string{"b", ":a"}, Values: []byte{1, 2, 0, 0, 0, 1, 1, 0, 0, 0}}
	if got := all(t, m, "SELECT :a, $b", named); got[0] != int64(1) || got[1] != int64(2) {
		t.Errorf("by name: got %v", got)
	}
}

// TestMoment_Settings wants what one statement changes to be unseen by the next.
func TestMoment_Settings(t *testing.T) {
	t.Parallel()
	m := openReplica(t, newPrimary(t, 1).Store, engine.Options{}).Latest()
	t.Cleanup(func() { m.Close() })
	all(t, m, "PRAGMA case_sensitive_like = 1", engine.Params{})
	if one(t, m, "SELECT 'a' LIKE 'A'") != int64(1) {
		t.Error("a pragma has outlived its statement")
	}
	all(t, m, "CREATE TEMP TABLE mine(x)", engine.Params{})
	if _, err := tryAll(t.Context(), m, "SELECT * FROM mine", engine.Params{}); err == nil {
		t.Error("a temporary table has outlived its statement")
	}
	all(t, m, "BEGIN", engine.Params{})
	if _, err := tryAll(t.Context(), m, "COMMIT", engine.Params{}); err == nil {
		t.Error("a transaction has outlived its statement")
	}
	if all(t, m, "PRAGMA table_info(t)", engine.Params{})[1] != "id" {
		t.Error("a pragma that asks does not answer")
	}
	_, err := tryAll(t.Context(), m, "PRAGMA litestream_time = '1 hour ago'", engine.Params{})
	if err == nil || !strings.Contains(err.Error(), "at()") {
		t.Errorf("got %v, want to be sent to at()", err)
	}
}

func TestReplica_FollowsAndTravels(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 10)
	first := p.TXID
	r := openReplica(t, p.Store, engine.Options{PollInterval: time.Millisecond})
	now := r.Latest()
	t.Cleanup(func() { now.Close() })
	p.Exec("INSERT INTO t(x) VALUES ('more')")
	p.Sync()
	for one(t, now, "SELECT count(*) FROM t") != int64(11) {
		time.Sleep(time.Millisecond) // a poll brings it
	}
	past, err := r.AtTXID(t.Context(), first.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { past.Close() })
	if n := one(t, past, "SELECT count(*) FROM t"); n != int64(10) {
		t.Errorf("at the first transaction: got %v rows", n)
	}
	if s := past.Status(); s.TXID != first.String() || s.Behind == 0 || s.Health != "ok" {
		t.Errorf("got %+v", s)
	}
	byTime, err := r.At(t.Context(), p.Time(first).Format(time.RFC3339Nano))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { byTime.Close() })
	if byTime.Status().TXID > p.TXID.String() {
		t.Errorf("by its time: got %s", byTime.Status().TXID)
	}
	if _, err := r.At(t.Context(), p.Time(first).Add(-time.Hour).Format(time.RFC3339)); engine.Code(err) != "OUTSIDE" {
		t.Errorf("an hour before: got %v", err)
	}
	tl, err := r.Timeline(t.Context())
	if err != nil || len(tl.Moments) != int(p.TXID) || len(tl.Files) != int(p.TXID) {
		t.Errorf("got %d moments and %d files, %v; want %d of each", len(tl.Moments), len(tl.Files), err, p.TXID)
	}
}

// TestReplica_Gap wants a state that is known to be incomplete to be refused, and what is before the gap to be there.
func TestReplica_Gap(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 10)
	first := p.TXID
	for range 2 {
		p.Exec("INSERT INTO t(x) VALUES ('more')")
		p.Sync()
	}
	missing := index.File{Min: first + 1, Max: first + 1}
	if err := p.Store.Delete(t.Context(), missing.Key()); err != nil {
		t.Fatal(err)
	}
	r := openReplica(t, p.Store, engine.Options{PollInterval: -1})
	now := r.Latest()
	t.Cleanup(func() { now.Close() })
	if _, err := tryAll(t.Context(), now, "SELECT count(*) FROM t", engine.Params{}); engine.Code(err) != "GAP" {
		t.Errorf("got %v", err)
	}
	if s := now.Status(); s.Health != "gap" || s.Error == "" {
		t.Errorf("got %+v", s)
	}
	past, err := r.AtTXID(t.Context(), first.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { past.Close() })
	if n := one(t, past, "SELECT count(*) FROM t"); n != int64(10) {
		t.Errorf("before the gap: got %v rows", n)
	}
}

// TestMoment_PinsWhileOpen wants a statement that is under way to see one state, and others beside it the newest one.
func TestMoment_PinsWhileOpen(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 100)
	m := openReplica(t, p.Store, engine.Options{PollInterval: time.Millisecond}).Latest()
	t.Cleanup(func() { m.Close() })
	c, err := m.Start(t.Context(), "SELECT count(*) OVER (), id FROM t", engine.Params{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, _, err := c.Next(1, 0); err != nil {
		t.Fatal(err)
	}
	p.Exec("DELETE FROM t WHERE id > 50")
	p.Sync()
	for one(t, m, "SELECT count(*) FROM t") != int64(50) {
		time.Sleep(time.Millisecond)
	}
	batch, done, err := c.Next(1<<20, time.Hour)
	if err != nil || !done || binary.LittleEndian.Uint32(batch) != 99 {
		t.Errorf("got %d rows, done %v, %v; want the 99 others", binary.LittleEndian.Uint32(batch), done, err)
	}
}

const endless = "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n"

func TestMoment_Cancel(t *testing.T) {
	t.Parallel()
	m := openReplica(t, newPrimary(t, 1).Store, engine.Options{}).Latest()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := tryAll(ctx, m, endless, engine.Params{}); engine.Code(err) != "ABORTED" {
		t.Errorf("got %v", err)
	}
	if _, err := tryAll(ctx, m, "SELECT 1", engine.Params{}); engine.Code(err) != "ABORTED" {
		t.Errorf("with an ended context: got %v", err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := tryAll(context.Background(), m, endless, engine.Params{})
		ended <- err
	}()
	time.Sleep(20 * time.Millisecond)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; engine.Code(err) != "ABORTED" && engine.Code(err) != "CLOSED" {
		t.Errorf("closed under the statement: got %v", err)
	}
	if _, err := tryAll(t.Context(), m, "SELECT 1", engine.Params{}); engine.Code(err) != "CLOSED" {
		t.Errorf("after the close: got %v", err)
	}
}

// TestMoment_Memory wants the statement that kills the driver to fail alone.
func TestMoment_Memory(t *testing.T) {
	t.Parallel()
	m := openReplica(t, newPrimary(t, 10).Store, engine.Options{}).Latest()
	t.Cleanup(func() { m.Close() })
	for sql, code := range map[string]string{
		"SELECT length(hex(zeroblob(100000000)))": "TOO_BIG",
		"WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n LIMIT 100) SELECT i FROM n ORDER BY zeroblob(4000000)||i": "OUT_OF_MEMORY",
	} {
		if _, err := tryAll(t.Context(), m, sql, engine.Params{}); engine.Code(err) != code {
			t.Errorf("%s: got %s (%v), want %s", sql, engine.Code(err), err, code)
		}
		if n := one(t, m, "SELECT count(*) FROM t"); n != int64(10) {
			t.Errorf("after it: got %v rows", n)
		}
	}
}

// TestOpen_EveryFault fails each request of an open and a scan in turn.
func TestOpen_EveryFault(t *testing.T) {
	t.Parallel()
	store := newPrimary(t, 3000).Store
	for n := int64(0); ; n++ {
		fault := faultstore.FailNth(n)
		err := func() error {
			r, err := engine.Open(t.Context(), fault.Wrap(store), engine.Options{PollInterval: -1, CacheSize: 1 << 16})
			if err != nil {
				return err
			}
			defer r.Close()
			m := r.Latest()
			defer m.Close()
			values, err := tryAll(t.Context(), m, "SELECT count(*), sum(length(x)) FROM t", engine.Params{})
			if err == nil && (values[0] != int64(3000) || values[1] != int64(240_000)) {
				t.Errorf("call %d: got %v", n, values)
			}
			return err
		}()
		if err != nil && !errors.Is(err, faultstore.ErrInjected) {
			t.Fatalf("call %d: the injected fault was lost: %v", n, err)
		}
		if !fault.Fired() {
			if n < 2 {
				t.Errorf("%d requests in all: nothing was tested", n)
			}
			return
		}
	}
}

func TestCode(t *testing.T) {
	t.Parallel()
	_, phrase := pitr.Parse("sometime", time.Now())
	for code, err := range map[string]error{
		"CORS": &objstore.OpError{Op: "get", Key: "a", Err: fetchstore.ErrCORS}, "CREDENTIALS_EXPIRED": fetchstore.ErrExpired,
		"CREDENTIALS": &objstore.OpError{Err: &fetchstore.CredentialsError{Err: errors.New("x")}}, "NO_BUCKET": objstore.ErrNoBucket,
		"ACCESS_DENIED": objstore.ErrAccess, "UNREACHABLE": objstore.ErrTemporary, "NO_REPLICA": index.ErrNoReplica, "CORRUPT": index.ErrCorrupt,
		"BAD_TIME": phrase, "TIMEOUT": context.DeadlineExceeded, "OTHER": errors.New("x"),
	} {
		if got := engine.Code(err); got != code {
			t.Errorf("%v: got %s, want %s", err, got, code)
		}
	}
	_, err := engine.Open(t.Context(), new(memstore.Store), engine.Options{})
	if engine.Code(err) != "NO_REPLICA" {
		t.Errorf("an empty store: got %v", err)
	}
}
