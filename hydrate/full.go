package hydrate

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"syscall"
	"time"
)

const (
	// retryEvery is the time between two attempts to write again after an error of the files.
	retryEvery = 30 * time.Second
	// spare is the room left to others, in bytes.
	spare = 16 << 20
)

// stop ends all writing for now. What is present goes on being served, and pictures go on following the head.
func (c *Copy) stop(err error) {
	c.stopped.Store(true)
	c.retryTimer.Reset(retryEvery)
	err = c.setTrouble(err)
	c.log.Warn("local copy cannot be written; what it lacks is read from the bucket", slog.Any("err", err),
		slog.Int64("present", c.present.Load()), slog.Duration("retry_in", retryEvery))
	if errors.Is(err, ErrDiskFull) {
		c.reclaim()
	}
	c.changes.raise()
	c.tell()
}

// retry goes on writing if that may work again.
func (c *Copy) retry() {
	err := c.room()
	if err == nil {
		err = c.release()
	}
	if err != nil {
		c.setTrouble(err)
		c.retryTimer.Reset(retryEvery)
		return
	}
	c.stopped.Store(false)
	c.setTrouble(nil)
	c.log.Info("local copy is written again")
	c.fit()
	if c.dirty {
		c.saveTimer.Reset(c.opts.saveEvery)
	}
	c.changes.raise()
	c.tell()
}

// setTrouble keeps why nothing is written, nil when all is well, and returns it as callers tell it.
func (c *Copy) setTrouble(err error) error {
	if isFull(err) && !errors.Is(err, ErrDiskFull) {
		err = fmt.Errorf("%w: %w", ErrDiskFull, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.trouble = err
	if err != nil {
		c.status.failed++
	}
	return err
}

// isFull reports whether err says that there is no room.
func isFull(err error) bool {
	const windowsDiskFull = syscall.Errno(112)
	return errors.Is(err, ErrDiskFull) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) ||
		runtime.GOOS == "windows" && errors.Is(err, windowsDiskFull)
}

// room returns an error when what is still to be written does not fit on the disk.
func (c *Copy) room() error {
	if err := c.opts.faults.check("room"); err != nil {
		return err
	}
	free, ok := freeBytes(c.dir())
	if !ok {
		return nil
	}
	need := int64(0)
	if info, err := c.place.file.Stat(); err == nil && c.full.Load() {
		need = max(0, c.picture.Load().size()-allocated(info))
	}
	if free < need+spare {
		return fmt.Errorf("%w: %d MiB are free in %s, the rest of the database takes %d MiB", ErrDiskFull, free>>20, c.dir(), (need+spare)>>20)
	}
	return nil
}

// reclaim gives the room of pages back that are not present, nor called so by the ledger.
func (c *Copy) reclaim() {
	if c.ledger != nil && c.ledger.behind {
		return
	}
	p := c.picture.Load()
	c.punch(func(yield func(uint32) bool) {
		for pgno := range p.present.missing(p.view.Commit) {
			if !c.claimed[pgno] && (c.ledger == nil || !c.ledger.saved.has(pgno)) && !yield(pgno) {
				return
			}
		}
	})
}
