//go:build wasip1

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/litefs-s3/litefs-s3/internal/wasiabi"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// store is the host's: an index.Reader.
type store struct{}

func (store) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	if len(p) == 0 {
		return nil
	}
	req := wasiabi.Request{Op: wasiabi.OpRead, Key: ref.Key, ETag: ref.ETag, Off: off, N: int64(len(p))}
	_, data, err := ask(ctx, "get", req)
	if err == nil && copy(p, data) < len(p) {
		err = &objstore.OpError{Op: "get", Key: ref.Key, Err: objstore.ErrShortObject}
	}
	return err
}

func (store) ReadSuffix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	return part(ctx, wasiabi.Request{Op: wasiabi.OpSuffix, Key: ref.Key, ETag: ref.ETag, N: n})
}

func (store) ReadPrefix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	return part(ctx, wasiabi.Request{Op: wasiabi.OpPrefix, Key: ref.Key, ETag: ref.ETag, N: n})
}

func part(ctx context.Context, req wasiabi.Request) (objstore.Part, error) {
	r, data, err := ask(ctx, "get", req)
	return objstore.Part{Data: data, Off: r.Off, Size: r.Size, ETag: r.ETag}, err
}

func (store) List(ctx context.Context, prefix, startAfter string) (objstore.Page, error) {
	r, _, err := ask(ctx, "list", wasiabi.Request{Op: wasiabi.OpList, Key: prefix, After: startAfter})
	if err != nil {
		return objstore.Page{}, err
	}
	page := objstore.Page{More: r.More, Objects: make([]objstore.Info, len(r.Objects))}
	for i, o := range r.Objects {
		page.Objects[i] = objstore.Info{Key: o.Key, Size: o.Size, ETag: o.ETag, Modified: time.UnixMilli(o.Modified).UTC()}
	}
	return page, nil
}

// ask makes a request and waits for its answer.
func ask(ctx context.Context, op string, req wasiabi.Request) (wasiabi.Reply, []byte, error) {
	if err := ctx.Err(); err != nil {
		return wasiabi.Reply{}, nil, &objstore.OpError{Op: op, Key: req.Key, Err: err}
	}
	b, err := requests.do(ctx, req)
	if err != nil {
		return wasiabi.Reply{}, nil, &objstore.OpError{Op: op, Key: req.Key, Err: err}
	}
	r, data, err := wasiabi.ParseReply(b)
	if err == nil && r.Code != "" {
		err = replyError(r)
	}
	if err != nil {
		return r, nil, &objstore.OpError{Op: op, Key: req.Key, Err: err}
	}
	return r, data, nil
}

// codes are the errors of the store that callers act on.
var codes = map[string]error{
	wasiabi.CodeNotFound: objstore.ErrNotFound, wasiabi.CodeNoBucket: objstore.ErrNoBucket, wasiabi.CodeChanged: objstore.ErrChanged,
	wasiabi.CodeShort: objstore.ErrShortObject, wasiabi.CodeAccess: objstore.ErrAccess, wasiabi.CodeUnsupported: objstore.ErrUnsupported,
	wasiabi.CodeTemporary: objstore.ErrTemporary,
}

func replyError(r wasiabi.Reply) error {
	if err, ok := codes[r.Code]; ok {
		return fmt.Errorf("%w: %s", err, r.Message)
	}
	return errors.New(r.Message)
}
