package sidecar

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
)

// Decode reads what Encode has written. The result may share memory with b. What cannot be right is ErrDamaged, and nothing that b says makes it
// take more memory than a small multiple of its length.
func Decode(b []byte) (*Sidecar, error) {
	body := len(b) - sha256.Size
	switch {
	case body < len(magic) || string(b[:len(magic)]) != magic:
		return nil, fmt.Errorf("it begins with other bytes: %w", ErrDamaged)
	case sha256.Sum256(b[:body]) != [sha256.Size]byte(b[body:]):
		return nil, fmt.Errorf("its sum is another one: %w", ErrDamaged)
	}
	r := reader{rest: b[len(magic):body]}
	s := &Sidecar{TXID: index.TXID(r.number()), Made: time.UnixMilli(int64(r.number())).UTC()}
	err := errors.Join(r.layouts(s), r.blobs(s), r.profile(s))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", err, ErrDamaged)
	case r.short || len(r.rest) > 0:
		return nil, fmt.Errorf("it does not end where it should: %w", ErrDamaged)
	}
	return s, nil
}

// reader takes fields off the front. After the end everything is zero, and short is set.
type reader struct {
	rest  []byte
	short bool
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.rest, r.short = nil, true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) bytes() []byte {
	n := r.number()
	if n > uint64(len(r.rest)) {
		r.rest, r.short = nil, true
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// count is a number of things that take at least a byte each.
func (r *reader) count() uint64 {
	n := r.number()
	if n > uint64(len(r.rest)) {
		r.rest, r.short = nil, true
		return 0
	}
	return n
}

// file reads the name and the version of one. It has to be one that a replica can have.
func (r *reader) file() (*index.File, error) {
	level, lo, more, size := r.number(), r.number(), r.number(), r.number()
	f := &index.File{
		Level: int(level), Min: index.TXID(lo), Max: index.TXID(lo + more), Size: int64(size), ETag: string(r.bytes()),
	}
	if r.short || level > index.MaxLevel || lo == 0 || f.Max < f.Min || f.Size < 0 || f.ETag == "" {
		return nil, fmt.Errorf("file of level %d, %s-%s, %d bytes", level, f.Min, f.Max, size)
	}
	return f, nil
}

func (r *reader) layouts(s *Sidecar) error {
	for n := r.count(); n > 0; n-- {
		table := reader{rest: r.bytes()}
		f, err := table.file()
		if err != nil {
			return err
		}
		l, err := index.DecodeTable(f, table.rest)
		if err != nil {
			return err
		}
		s.Layouts = append(s.Layouts, l)
	}
	return nil
}

func (r *reader) blobs(s *Sidecar) (err error) {
	var f *index.File
	for n := r.count(); n > 0; n-- {
		if r.number() == 1 {
			if f, err = r.file(); err != nil {
				return err
			}
		}
		b := index.Blob{File: f, Off: int64(r.number()), Data: r.bytes()}
		if f == nil || b.Off < 0 || b.Off > f.Size-int64(len(b.Data)) {
			return fmt.Errorf("%d bytes at byte %d of %v", len(b.Data), b.Off, f)
		}
		s.Blobs = append(s.Blobs, b)
	}
	return nil
}

func (r *reader) profile(s *Sidecar) error {
	pgno := uint64(0)
	for n := r.count(); n > 0; n-- {
		step := r.number()
		pgno += step
		if step == 0 || step > 1<<32-1 || pgno > 1<<32-1 {
			return fmt.Errorf("page %d in the profile", pgno)
		}
		s.Profile = append(s.Profile, uint32(pgno))
	}
	return nil
}
