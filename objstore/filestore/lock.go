package filestore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// errLocked says that another process has the lock.
var errLocked = errors.New("locked by another process")

// lock keeps other calls and other processes from changing the directory until unlock is called. It is held for the
// time of a few system calls.
func (s *Store) lock(ctx context.Context) (unlock func(), err error) {
	select {
	case s.gate <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f, err := s.lockFile(ctx)
	if err != nil {
		<-s.gate
		return nil, err
	}
	return func() {
		_ = f.Close() // which gives the lock back, and cannot fail for a file nobody wrote to
		<-s.gate
	}, nil
}

func (s *Store) lockFile(ctx context.Context) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(s.dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := tryLock(f)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, errLocked) {
			return nil, errors.Join(err, f.Close())
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		}
	}
}
