package objstore

import (
	"context"
	"io"
)

// ReadOnly returns a view of store whose Put and Delete are ErrReadOnly and ask nothing of it.
func ReadOnly(store Store) Store {
	return &readOnly{Store: store}
}

type readOnly struct{ Store }

func (s *readOnly) Put(_ context.Context, key string, _ io.ReadSeeker, _ PutOptions) (string, error) {
	return "", &OpError{Op: "put", Key: key, Err: ErrReadOnly}
}

func (s *readOnly) Delete(_ context.Context, keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	return &OpError{Op: "delete", Key: keys[0], Err: ErrReadOnly}
}
