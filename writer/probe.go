package writer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// probe finds out, once, whether the store keeps the condition that two writers rely on: it creates an object twice.
func (w *Writer) probe(ctx context.Context) error {
	if w.probed || w.opts.Unfenced {
		return nil
	}
	key := "litefs-s3/probe-" + newNonce()
	create := func(try string) error {
		text := "litefs-s3 tests conditional writes; this can be deleted (" + try + ")\n"
		_, err := w.store.Put(ctx, key, strings.NewReader(text), objstore.PutOptions{OnlyCreate: true})
		return err
	}
	err := create("first")
	if err == nil {
		err = create("second") // other bytes: a retry below us would take the same for its own, and call that success
		switch {
		case err == nil:
			err = ErrUnfenced
		case errors.Is(err, objstore.ErrExists):
			err, w.probed = nil, true
		}
	} else if errors.Is(err, objstore.ErrExists) { // a lost answer, and a retry below us
		err, w.probed = nil, true
	}
	if errors.Is(err, objstore.ErrUnsupported) {
		err = fmt.Errorf("%w: %w", ErrUnfenced, err)
	}
	derr := w.store.Delete(ctx, key)
	if err != nil {
		return fmt.Errorf("test of create-only puts: %w", err)
	}
	if derr != nil {
		w.opts.Log.Warn("an object that tested conditional writes is left behind", "key", key, "err", derr)
	}
	return nil
}
