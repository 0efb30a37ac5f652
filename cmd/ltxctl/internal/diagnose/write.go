package diagnose

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// scratch is the object that the write checks put and remove. A writer tries stores with names like this one, so its rights suffice.
var scratch = "litefs-s3/probe-" + rand.Text()

// What stands where --write was not given.
const (
	notAsked     = notChecked("not checked; --write puts a scratch object, and removes it")
	notAskedThen = notChecked("not checked")
)

func (d *Doctor) putScratch(ctx context.Context, body string, opts objstore.PutOptions) (etag string, err error) {
	return d.store.Put(ctx, scratch, bytes.NewReader([]byte(body)), opts)
}

// put tries to create an object.
func (d *Doctor) put(ctx context.Context) (string, error) {
	if !d.Write {
		return "", notAsked
	}
	_, err := d.putScratch(ctx, "litefs-s3", objstore.PutOptions{OnlyCreate: true})
	switch {
	case errors.Is(err, objstore.ErrReadOnly):
		return "", notChecked("this kind of store is only read")
	case err != nil:
		return "", advise(err, "check that the credentials may do s3:PutObject; reading needs no such right")
	}
	d.left = true
	return "put " + scratch, nil
}

// conditions tries whether the store refuses to create an object twice, which is what keeps two writers apart.
func (d *Doctor) conditions(ctx context.Context) (string, error) {
	if !d.Write {
		return "", notAskedThen
	}
	const todo = "do not let a writer of litefs-s3 loose on this store: two of them could overwrite each other"
	_, err := d.putScratch(ctx, "second", objstore.PutOptions{OnlyCreate: true})
	switch {
	case err == nil:
		return "", advise(errors.New("the store created an object twice: it ignores If-None-Match"), todo)
	case !errors.Is(err, objstore.ErrExists):
		return "", advise(fmt.Errorf("create-only put: %w", err), todo)
	}
	_, err = d.putScratch(ctx, "third", objstore.PutOptions{IfMatch: "0123456789abcdef0123456789abcdef"})
	switch {
	case err == nil:
		return "", &warning{"create-only puts hold, but the store ignores If-Match", "leases cannot be trusted there"}
	case errors.Is(err, objstore.ErrUnsupported):
		return "", &warning{"create-only puts hold, but the store knows no If-Match", "leases cannot be used there"}
	case !errors.Is(err, objstore.ErrChanged) && !errors.Is(err, objstore.ErrNotFound):
		return "", fmt.Errorf("put with If-Match: %w", err)
	}
	return "create-only puts and If-Match hold", nil
}

// cleanUp removes the scratch object if the examination ended before it did.
func (d *Doctor) cleanUp(ctx context.Context) {
	if !d.left {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTime)
	defer cancel()
	d.store.Delete(ctx, scratch) // nothing is left to be done if this fails as well
}

// remove deletes the scratch object, and looks whether it is gone.
func (d *Doctor) remove(ctx context.Context) (string, error) {
	if !d.Write {
		return "", notAskedThen
	}
	if err := d.store.Delete(ctx, scratch); err != nil {
		return "", advise(err, "check that the credentials may do s3:DeleteObject; compaction and retention need it; remove "+scratch+" by hand")
	}
	d.left = false
	_, err := d.store.ReadPrefix(ctx, objstore.Ref{Key: scratch}, 1)
	if !errors.Is(err, objstore.ErrNotFound) {
		return "", advise(errors.New("the store said that the object was deleted, and it is still there"), "remove "+scratch+" by hand")
	}
	return "the scratch object is gone", nil
}
