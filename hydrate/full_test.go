package hydrate

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// A disk that is full stops the copy, not the reads; when there is room it goes on.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"write", "room", "state", "journal", "sync", "truncate"} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			r := newReplicaWith(t, new(memstore.Store), 3000, smallPages)
			synctest.Test(t, func(t *testing.T) {
				var full atomic.Bool
				opts := Options{Path: r.path(), saveEvery: time.Second, faults: func(o string) error {
					if full.Load() && (o == op || op == "journal" && o == "state") {
						return fmt.Errorf("%s: %w", o, syscall.ENOSPC)
					}
					return nil
				}}
				var log logs
				opts.Log = log.logger()
				full.Store(op == "write" || op == "room")
				c := r.open(opts)
				time.Sleep(5 * time.Second)
				full.Store(true)
				for range 5 { // the head goes on
					r.insert(300)
					r.commit(100)
					v := r.poll(t)
					time.Sleep(2 * time.Second)
					checkPages(t, c, v, r.primary.Image(v.TXID))
				}
				r.primary.Exec(`DELETE FROM t WHERE id>1000`)
				r.primary.Exec(`VACUUM`)
				r.primary.Sync()
				v := r.poll(t)
				time.Sleep(time.Minute)
				checkPages(t, c, v, r.primary.Image(v.TXID))
				p := c.Progress()
				if p.State != Stopped || !errors.Is(p.Err, ErrDiskFull) {
					t.Errorf("progress %+v", p)
				}
				if err := c.Wait(t.Context()); !errors.Is(err, ErrDiskFull) {
					t.Errorf("Wait: %v", err)
				}
				log.check(t, "local copy cannot be written")
				r.checkLeft(t, opts.Path, c)

				full.Store(false)
				time.Sleep(2 * time.Minute)
				must(t, c.Wait(t.Context()))
				r.checkAll(c, v)
				log.check(t, "local copy is written again")
				must(t, c.Close())
				r.checkFile(opts.Path, v.TXID)
			})
		})
	}
}

// checkLeft checks what a crash would leave at this instant.
func (r *replica) checkLeft(t *testing.T, path string, c *Copy) {
	t.Helper()
	synctest.Wait()
	at := r.path()
	for _, suffix := range []string{"", stateSuffix} {
		b, err := os.ReadFile(path + suffix)
		if errors.Is(err, os.ErrNotExist) {
			return
		}
		must(t, err)
		must(t, os.WriteFile(at+suffix, b, 0o600))
	}
	if info, err := os.Stat(at); err == nil && info.Size() == 0 {
		return
	}
	d, err := Open(t.Context(), r.count, "mem://replica", r.View(), r.follower, Options{Path: at})
	must(t, err)
	checkPages(t, d, r.View(), r.primary.Image(r.View().TXID))
	must(t, d.Close())
}

// Every step of what is done to files fails in turn, in the middle of everything: it heals, and what would be left is right.
func TestEveryFault(t *testing.T) {
	t.Parallel()
	for n, stop := int64(0), false; !stop; n++ {
		if testing.Short() && n%16 != 0 || n > 40 && n%4 != 0 {
			continue
		}
		r := newReplicaWith(t, new(memstore.Store), 400, smallPages)
		synctest.Test(t, func(t *testing.T) {
			var calls atomic.Int64
			var failed atomic.Value
			opts := Options{Path: r.path(), saveEvery: time.Second, Concurrency: 1, goodRange: minRange, faults: func(op string) error {
				if calls.Add(1)-1 != n {
					return nil
				}
				failed.Store(op)
				if n%2 == 0 {
					return syscall.EIO
				}
				return syscall.ENOSPC
			}}
			c := r.open(opts)
			for i := range 6 {
				switch i {
				case 2:
					r.insert(300)
				case 4:
					r.primary.Exec(`DELETE FROM t WHERE id>300`)
					r.primary.Exec(`VACUUM`)
				}
				r.commit(20)
				v := r.poll(t)
				time.Sleep(1500 * time.Millisecond)
				checkPages(t, c, v, r.primary.Image(v.TXID))
				r.checkLeft(t, opts.Path, c)
			}
			time.Sleep(2 * time.Minute)
			must(t, c.Wait(t.Context()))
			r.checkAll(c, r.View())
			r.checkLeft(t, opts.Path, c)
			stop = calls.Load() <= n
			if err := c.Close(); err != nil && calls.Load() <= n {
				t.Errorf("Close: %v", err)
			}
			if t.Failed() {
				t.Logf("call %d: %v", n, failed.Load())
			}
		})
		if t.Failed() {
			return
		}
	}
}
