package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/litefs-s3/litefs-s3/internal/wasiabi"
	"github.com/litefs-s3/litefs-s3/objstore"
)

const (
	// leastCost is what a request counts at least, in bytes.
	leastCost = 16 << 10
	// mostRequests is how many an instance may have under way. The engine in it asks for some tens.
	mostRequests = 256
)

// requests are what one instance wants from the store, side by side.
type requests struct {
	store  Store
	ctx    context.Context // of all of them; ends with the instance
	stop   func(error)     // ends the statement
	budget func(int64) bool
	most   int64 // bytes of one request
	wg     sync.WaitGroup

	mu      sync.Mutex
	last    uint32              // number given; guarded by mu
	pending map[uint32]*request // guarded by mu
	done    []uint32            // answered, and not told yet; guarded by mu
	err     error               // of the last request that failed; guarded by mu
}

// request is one of them.
type request struct {
	cancel context.CancelFunc
	answer []byte
}

func newRequests(ctx context.Context, store Store) *requests {
	return &requests{store: store, ctx: ctx, pending: map[uint32]*request{}}
}

// begin begins the request that text describes.
func (r *requests) begin(text []byte) (id uint32) {
	var req wasiabi.Request
	err := json.Unmarshal(text, &req)
	ctx, cancel := context.WithCancel(r.ctx)
	r.mu.Lock()
	r.last++
	id = r.last
	q := &request{cancel: cancel}
	if len(r.pending) >= mostRequests && err == nil {
		err = fmt.Errorf("more than %d requests at once: %w", mostRequests, objstore.ErrTemporary)
	}
	r.pending[id] = q
	r.mu.Unlock()
	if err == nil && req.N > r.most {
		err = fmt.Errorf("%d bytes at once, which is more than the module has room for", req.N)
	}
	if err == nil && !r.budget(max(req.N, leastCost)) {
		err = ErrFetch
		r.stop(ErrFetch)
	}
	if err != nil {
		r.finish(id, q, wasiabi.Reply{}, nil, err)
		return id
	}
	r.wg.Go(func() {
		reply, data, err := r.ask(ctx, req)
		r.finish(id, q, reply, data, err)
	})
	return id
}

// ask makes a request of the store.
func (r *requests) ask(ctx context.Context, req wasiabi.Request) (wasiabi.Reply, []byte, error) {
	ref := objstore.Ref{Key: req.Key, ETag: req.ETag}
	switch req.Op {
	case wasiabi.OpRead:
		if err := objstore.ValidateRange(req.Off, req.N); err != nil {
			return wasiabi.Reply{}, nil, err
		}
		p := make([]byte, req.N)
		return wasiabi.Reply{Off: req.Off}, p, r.store.ReadAt(ctx, ref, p, req.Off)
	case wasiabi.OpSuffix:
		return partReply(r.store.ReadSuffix(ctx, ref, req.N))
	case wasiabi.OpPrefix:
		return partReply(r.store.ReadPrefix(ctx, ref, req.N))
	case wasiabi.OpList:
		return pageReply(r.store.List(ctx, req.Key, req.After))
	}
	return wasiabi.Reply{}, nil, fmt.Errorf("the module asks for %q, which is no request", req.Op)
}

func partReply(p objstore.Part, err error) (wasiabi.Reply, []byte, error) {
	return wasiabi.Reply{Off: p.Off, Size: p.Size, ETag: p.ETag}, p.Data, err
}

func pageReply(p objstore.Page, err error) (wasiabi.Reply, []byte, error) {
	r := wasiabi.Reply{More: p.More, Objects: make([]wasiabi.Object, len(p.Objects))}
	for i, o := range p.Objects {
		r.Objects[i] = wasiabi.Object{Key: o.Key, Size: o.Size, ETag: o.ETag, Modified: o.Modified.UnixMilli()}
	}
	return r, nil, err
}

// finish keeps the answer of a request until the module takes it.
func (r *requests) finish(id uint32, q *request, reply wasiabi.Reply, data []byte, err error) {
	q.cancel()
	if err != nil {
		reply, data = wasiabi.Reply{Code: codeOf(err), Message: brief(err)}, nil
	}
	answer, aerr := wasiabi.AppendReply(nil, reply, data)
	if aerr != nil {
		panic(aerr) // of strings and numbers: it cannot be
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending[id] != q {
		return // the module does not want it any more, and that is what err says
	}
	if err != nil {
		r.err = err
	}
	q.answer = answer
	r.done = append(r.done, id)
}

// poll returns an answer that was not told yet, as number and length; 0 when there is none.
func (r *requests) poll() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.done) > 0 {
		id := r.done[0]
		r.done = r.done[1:]
		if q, ok := r.pending[id]; ok {
			return wasiabi.Pack(id, uint32(len(q.answer)))
		}
	}
	return 0
}

// take returns an answer and forgets it.
func (r *requests) take(id uint32) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	q, ok := r.pending[id]
	if !ok {
		return nil
	}
	delete(r.pending, id)
	return q.answer
}

func (r *requests) cancel(id uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if q, ok := r.pending[id]; ok {
		delete(r.pending, id)
		q.cancel()
	}
}

// failure returns the error of the last request that failed since it was asked.
func (r *requests) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.err
	r.err = nil
	return err
}

// codes are the errors that the module acts on.
var codes = []struct {
	is   error
	code string
}{
	{ErrFetch, wasiabi.CodeBudget},
	{objstore.ErrNotFound, wasiabi.CodeNotFound}, {objstore.ErrNoBucket, wasiabi.CodeNoBucket}, {objstore.ErrChanged, wasiabi.CodeChanged},
	{objstore.ErrShortObject, wasiabi.CodeShort}, {objstore.ErrAccess, wasiabi.CodeAccess}, {objstore.ErrUnsupported, wasiabi.CodeUnsupported},
	{objstore.ErrTemporary, wasiabi.CodeTemporary},
}

func codeOf(err error) string {
	for _, c := range codes {
		if errors.Is(err, c.is) {
			return c.code
		}
	}
	return wasiabi.CodeOther
}

// brief is the text of an error without what was asked of which object: the module says that again.
func brief(err error) string {
	if op, ok := errors.AsType[*objstore.OpError](err); ok {
		return op.Err.Error()
	}
	return err.Error()
}
