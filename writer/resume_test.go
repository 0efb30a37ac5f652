package writer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// TestW1_Replay crashes at every call to the store, in every mode, and goes on with what is on the disk: nothing that returned is missing,
// and each commit is in the bucket once.
func TestW1_Replay(t *testing.T) {
	t.Parallel()
	for _, mode := range []faultstore.Mode{faultstore.Refuse, faultstore.LoseReply, faultstore.Drop} {
		for nth := int64(0); ; nth++ {
			mem := new(memstore.Store)
			fault := faultstore.FailNth(nth).As(mode).On("put", "get")
			d := &database{
				t: t, store: fault.Wrap(mem), mem: mem, opts: testOptions(t), pageSize: testPageSize, rng: rand.New(rand.NewPCG(1, uint64(nth))), now: image{},
			}
			d.open()
			d.scenario()
			d.crash()
			d.store = mem
			d.open()
			d.check()
			must(t, d.Acquire(t.Context()))
			must(t, d.commitSome())
			d.sync()
			d.check()
			checkBucket(t, mem, d.now, d.size)
			if !fault.Fired() {
				break
			}
		}
	}
}

// scenario commits and uploads until something fails.
func (d *database) scenario() {
	d.t.Helper()
	if d.Acquire(context.Background()) != nil {
		return
	}
	for range 4 {
		must(d.t, d.commitSome())
		must(d.t, d.commitSome())
		if err := d.Sync(context.Background()); errors.Is(err, ErrConflict) {
			d.t.Fatal(err)
		}
	}
}

// TestReplay_Merged: the log's base was merged away meanwhile, by ourselves or a compactor. That is no other history.
func TestReplay_Merged(t *testing.T) {
	t.Parallel()
	for _, arrived := range []bool{false, true} {
		mem := new(memstore.Store)
		var lose atomic.Bool
		store := faultstore.Wrap(mem, func(_ context.Context, c faultstore.Call) faultstore.Action {
			if lose.Load() && strings.HasSuffix(c.Key, ".ltx") {
				if c.Op == "put" && arrived {
					return faultstore.Action{Mode: faultstore.LoseReply}
				}
				return faultstore.Action{Mode: faultstore.Refuse}
			}
			return faultstore.Action{}
		})
		d := newDatabase(t, store, testOptions(t))
		d.mem = mem
		d.commit(5, 2, 3)
		d.sync()
		d.commit(6, 2)
		d.sync()
		d.commit(7, 3)
		lose.Store(true)
		wantErr(t, d.Sync(t.Context()), ErrStoreDown)
		lose.Store(false)
		now := d.now
		d.crash()
		merge(t, mem)
		d.open()
		checkSnapshot(t, mem, d.Snapshot(), now, 7)
		if got := d.Pending().Commits; arrived && got != 0 || !arrived && got != 1 {
			t.Fatalf("arrived %v: %d commits pending", arrived, got)
		}
		must(t, d.Acquire(t.Context()))
		d.commit(8, 4)
		d.sync()
		d.check()
	}
}

// TestSim_ResumeOnOlderView: the log is younger than the View that its Writer is opened with, which was read before the last upload of the
// process that has died. What is pending stands on that upload, and not on the View before it.
func TestSim_ResumeOnOlderView(t *testing.T) {
	t.Parallel()
	mem := new(memstore.Store)
	d := newDatabase(t, mem, testOptions(t))
	d.commit(5, 2, 3)
	d.sync()
	before, err := openTracker(t.Context(), mem)
	must(t, err)
	d.commit(7, 2, 6, 7)
	d.sync()
	d.commit(7, 4)
	d.crash()
	d.opts.OpenReplica = func(context.Context) (Replica, error) { return before, nil }
	d.open()
	d.check()
	must(t, d.Acquire(t.Context()))
	d.commit(8, 8)
	d.sync()
	d.check()
	checkBucket(t, mem, d.now, d.size)
}

// merge replaces all L0 files by one of level 1.
func merge(t *testing.T, mem *memstore.Store) {
	t.Helper()
	var inputs [][]byte
	var keys []string
	for _, o := range mem.Objects() {
		if level, _, _, ok := index.ParseKey(o.Key); ok && level == 0 {
			inputs, keys = append(inputs, o.Data), append(keys, o.Key)
		}
	}
	merged, h := compacted(t, inputs)
	f := index.File{Level: 1, Min: h.MinTXID, Max: h.MaxTXID}
	_, err := mem.Put(t.Context(), f.Key(), bytes.NewReader(merged), objstore.PutOptions{})
	must(t, err)
	must(t, mem.Delete(t.Context(), keys...))
}

// TestReplay_MovedOn: the bucket went on without the log. The log is set aside, once, and the next Open works.
func TestReplay_MovedOn(t *testing.T) {
	t.Parallel()
	cases := map[string]func(mem *memstore.Store){
		"another writer":    func(mem *memstore.Store) { foreignCommit(t, mem) },
		"replaced":          func(mem *memstore.Store) { replace(t, mem) },
		"emptied":           func(mem *memstore.Store) { must(t, mem.Delete(t.Context(), mem.Keys()...)) },
		"merged by another": func(mem *memstore.Store) { foreignCommit(t, mem); merge(t, mem) },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			mem := new(memstore.Store)
			d := newDatabase(t, mem, testOptions(t))
			d.commit(5, 2, 3)
			d.sync()
			d.commit(6, 2)
			d.commit(7, 3)
			d.crash()
			change(mem)
			_, err := tryOpen(mem, mem, d.opts)
			c := wantConflict(t, err, 2)
			if !strings.HasPrefix(c.SetAside, d.opts.LogPath) {
				t.Errorf("set aside at %s", c.SetAside)
			}
			d.open()
			d.now, d.size = image{}, 0
			if len(mem.Keys()) > 0 {
				d.now, d.size = mapHead(t, mem)
			}
			d.check()
			must(t, d.Acquire(t.Context()))
			d.commit(max(d.size, 3), 2)
			d.sync()
			d.check()
		})
	}
}

// mapHead is the newest state as an index reads it.
func mapHead(t *testing.T, mem *memstore.Store) (image, uint32) {
	t.Helper()
	r, err := openTracker(t.Context(), mem)
	must(t, err)
	s := new(Snapshot).at(r.View())
	now := image{}
	for pgno := uint32(1); pgno <= s.commit; pgno++ {
		page, err := readPage(mem, s, pgno)
		must(t, err)
		now[pgno] = page
	}
	return now, s.commit
}

// replace puts another database into the bucket that has the same TXIDs.
func replace(t *testing.T, mem *memstore.Store) {
	t.Helper()
	must(t, mem.Delete(t.Context(), mem.Keys()...))
	d := newDatabase(t, mem, testOptions(t))
	d.rng = rand.New(rand.NewPCG(99, 99))
	d.commit(5, 2, 3)
	d.sync()
	must(t, d.Close(t.Context()))
}

// TestReplay_LateArrival: a put that was on its way when the process was killed arrives when the next one has opened the log.
func TestReplay_LateArrival(t *testing.T) {
	t.Parallel()
	for _, polled := range []bool{false, true} {
		mem := new(memstore.Store)
		var caught []byte
		store := &catching{Store: mem, catch: func(b []byte) { caught = b }}
		d := newDatabase(t, store, testOptions(t))
		d.mem = mem
		d.commit(5, 2, 3)
		d.sync()
		d.commit(6, 2)
		store.armed.Store(true)
		wantErr(t, d.Sync(t.Context()), ErrStoreDown)
		d.crash()
		d.store = mem
		d.open()
		must(t, d.Acquire(t.Context()))
		d.commit(7, 3) // belongs to the TXID after
		f := index.File{Min: 2, Max: 2}
		_, err := mem.Put(t.Context(), f.Key(), bytes.NewReader(caught), objstore.PutOptions{OnlyCreate: true})
		must(t, err)
		if polled {
			must(t, d.replica.Load().Refresh(t.Context()))
		}
		d.check()
		d.sync()
		d.check()
		if txid := checkBucket(t, mem, d.now, d.size); txid != 3 {
			t.Fatalf("txid %s", txid)
		}
	}
}

// catching keeps the body of a put instead of storing it.
type catching struct {
	objstore.Store
	armed atomic.Bool
	catch func([]byte)
}

func (s *catching) Put(ctx context.Context, key string, body io.ReadSeeker, opts objstore.PutOptions) (string, error) {
	if !s.armed.Load() || !strings.HasSuffix(key, ".ltx") {
		return s.Store.Put(ctx, key, body, opts)
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(body); err != nil {
		return "", err
	}
	s.catch(b.Bytes())
	return "", fmt.Errorf("cut off: %w", objstore.ErrTemporary)
}

// TestDamagedLog: a log that cannot be read is set aside with an error, and the next Open works.
func TestDamagedLog(t *testing.T) {
	t.Parallel()
	mem := new(memstore.Store)
	d := newDatabase(t, mem, testOptions(t))
	d.commit(5, 2, 3)
	d.sync()
	now := d.now
	for range 3 {
		d.commit(5, 2)
	}
	d.crash()
	segments, err := filepath.Glob(filepath.Join(d.opts.LogPath, "log", "*"))
	must(t, err)
	b, err := os.ReadFile(segments[0])
	must(t, err)
	i := bytes.LastIndex(b, []byte("SQLite format 3")) // in the last commit
	i = bytes.LastIndex(b[:i], []byte("SQLite format 3"))
	b[i] ^= 1
	must(t, os.WriteFile(segments[0], b, 0o600))
	_, err = tryOpen(mem, mem, d.opts)
	wantErr(t, err, ErrLogDamaged)
	var c *ConflictError
	if !errors.As(err, &c) {
		t.Fatal(err)
	}
	a, err := ReadAside(c.SetAside)
	must(t, err)
	defer a.Close()
	if len(a.Commits) != 1 || !errors.Is(a.Damage, ErrLogDamaged) {
		t.Fatalf("%d commits, damage %v", len(a.Commits), a.Damage)
	}
	d.open()
	checkSnapshot(t, mem, d.Snapshot(), now, 5)
}

// TestLogInUse: two writers never share a log.
func TestLogInUse(t *testing.T) {
	t.Parallel()
	mem := new(memstore.Store)
	d := newDatabase(t, mem, testOptions(t))
	_, err := tryOpen(mem, mem, d.opts)
	wantErr(t, err, ErrLogInUse)
}

// compacted merges LTX files.
func compacted(t *testing.T, files [][]byte) ([]byte, ltx.Header) {
	t.Helper()
	var inputs []io.Reader
	for _, b := range files {
		inputs = append(inputs, bytes.NewReader(b))
	}
	var merged bytes.Buffer
	c, err := ltx.NewCompactor(&merged, inputs)
	must(t, err)
	c.HeaderFlags = ltx.HeaderFlagNoChecksum
	must(t, c.Compact(context.Background()))
	return merged.Bytes(), c.Header()
}
