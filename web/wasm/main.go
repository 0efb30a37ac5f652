//go:build js && wasm

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"syscall/js"
	"time"

	"github.com/litefs-s3/litefs-s3/internal/promise"
	"github.com/litefs-s3/litefs-s3/objstore/fetchstore"
	"github.com/litefs-s3/litefs-s3/web/engine"
)

func main() {
	s := &server{moments: map[int]*engine.Moment{}, statements: map[int]*statement{}, uses: map[*engine.Replica]int{}}
	api := js.Global().Get("Object").New()
	for name, fn := range map[string]func(args []js.Value) (any, error){
		"open": s.open, "at": s.at, "start": s.start, "next": s.next, "cancel": s.cancel, "finish": s.finish,
		"status": s.status, "timeline": s.timeline, "close": s.close,
	} {
		api.Set(name, js.FuncOf(func(_ js.Value, args []js.Value) any {
			return promise.New(func() (any, error) { return fn(args) }, reason)
		}))
	}
	js.Global().Set("litefsS3", api)
	js.Global().Call("litefsS3Ready")
	select {}
}

// reason is what JavaScript gets to see of an error.
func reason(err error) js.Value {
	return js.ValueOf(map[string]any{"code": engine.Code(err), "message": engine.Message(err), "cause": innermost(err)})
}

// innermost is the text of the error that all others were wrapped around.
func innermost(err error) string {
	for {
		switch wrapper := err.(type) {
		case interface{ Unwrap() error }:
			if wrapper.Unwrap() == nil {
				return err.Error()
			}
			err = wrapper.Unwrap()
		case interface{ Unwrap() []error }:
			err = wrapper.Unwrap()[0]
		default:
			return err.Error()
		}
	}
}

// server is all that is open in the Worker.
type server struct {
	mu         sync.Mutex
	moments    map[int]*engine.Moment  // guarded by mu
	uses       map[*engine.Replica]int // moments that are open of each; guarded by mu
	statements map[int]*statement      // guarded by mu
}

// statement is one that is under way, or about to be.
type statement struct {
	ctx    context.Context
	cancel context.CancelFunc
	cursor *engine.Cursor // nil until it has started
}

// openTimeout bounds what opening a replica or a moment may take, retries included.
const openTimeout = 60 * time.Second

func (s *server) open(args []js.Value) (any, error) {
	id, o := args[0].Int(), args[1]
	place, err := placeOf(o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	opts := engine.Options{Interruptible: breathe, CacheSize: int64(number(o, "cacheSize"))}
	if ms := number(o, "pollInterval"); ms != 0 {
		opts.PollInterval = time.Duration(ms * float64(time.Millisecond))
	}
	r, err := engine.Open(ctx, fetchstore.Open(place), opts)
	if err != nil {
		return nil, err
	}
	m, err := momentOf(ctx, r, o)
	if err != nil {
		r.Close()
		return nil, err
	}
	s.keep(id, m)
	return nil, nil
}

func (s *server) at(args []js.Value) (any, error) {
	id, o := args[0].Int(), args[2]
	from, err := s.moment(args[1])
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	m, err := momentOf(ctx, from.Replica(), o)
	if err != nil {
		return nil, err
	}
	s.keep(id, m)
	return nil, nil
}

// momentOf opens the moment that options name.
func momentOf(ctx context.Context, r *engine.Replica, o js.Value) (*engine.Moment, error) {
	when, txid := text(o, "time"), text(o, "txid")
	switch {
	case when != "" && txid != "":
		return nil, fmt.Errorf("time and txid are both given; give one: %w", engine.ErrArgument)
	case when != "":
		return r.At(ctx, when)
	case txid != "":
		return r.AtTXID(ctx, txid)
	}
	return r.Latest(), nil
}

func (s *server) keep(id int, m *engine.Moment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moments[id] = m
	s.uses[m.Replica()]++
}

func (s *server) moment(id js.Value) (*engine.Moment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m, ok := s.moments[id.Int()]; ok {
		return m, nil
	}
	return nil, engine.ErrClosed
}

func (s *server) close(args []js.Value) (any, error) {
	m, err := s.moment(args[0])
	if err != nil {
		return nil, nil // closing twice is no error
	}
	r := m.Replica()
	s.mu.Lock()
	delete(s.moments, args[0].Int())
	s.uses[r]--
	last := s.uses[r] == 0
	if last {
		delete(s.uses, r)
	}
	s.mu.Unlock()
	err = m.Close()
	if last {
		r.Close()
	}
	return nil, err
}

func (s *server) start(args []js.Value) (any, error) {
	id := args[0].Int()
	m, err := s.moment(args[1])
	if err != nil {
		return nil, err
	}
	st := new(statement)
	st.ctx, st.cancel = context.WithCancel(context.Background())
	s.mu.Lock()
	s.statements[id] = st
	s.mu.Unlock()
	params := engine.Params{Values: bytesOf(args[4])}
	if names := args[3]; names.Truthy() {
		for i := range names.Length() {
			params.Names = append(params.Names, names.Index(i).String())
		}
	}
	if st.cursor, err = m.Start(st.ctx, args[2].String(), params); err != nil {
		s.end(id)
		return nil, err
	}
	answer, err := s.step(id, st, args[5], args[6])
	if err != nil {
		return nil, err
	}
	columns := js.Global().Get("Array").New()
	for _, name := range st.cursor.Columns() {
		columns.Call("push", name)
	}
	answer.Set("columns", columns)
	return answer, nil
}

func (s *server) next(args []js.Value) (any, error) {
	s.mu.Lock()
	st := s.statements[args[0].Int()]
	s.mu.Unlock()
	if st == nil || st.cursor == nil {
		return nil, engine.ErrClosed
	}
	return s.step(args[0].Int(), st, args[1], args[2])
}

// step takes the next rows of a statement, and ends it when there are no more.
func (s *server) step(id int, st *statement, size, patience js.Value) (js.Value, error) {
	batch, done, err := st.cursor.Next(size.Int(), time.Duration(patience.Float()*float64(time.Millisecond)))
	if err != nil || done {
		s.end(id)
	}
	if err != nil {
		return js.Undefined(), err
	}
	array := js.Global().Get("Uint8Array").New(len(batch))
	js.CopyBytesToJS(array, batch)
	answer := js.Global().Get("Object").New()
	answer.Set("batch", array)
	answer.Set("done", done)
	return answer, nil
}

// cancel interrupts a statement, whatever it is at.
func (s *server) cancel(args []js.Value) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.statements[args[0].Int()]; st != nil {
		st.cancel()
	}
	return nil, nil
}

func (s *server) finish(args []js.Value) (any, error) {
	s.end(args[0].Int())
	return nil, nil
}

func (s *server) end(id int) {
	s.mu.Lock()
	st := s.statements[id]
	delete(s.statements, id)
	s.mu.Unlock()
	if st == nil {
		return
	}
	st.cancel()
	if st.cursor != nil {
		st.cursor.Close()
	}
}

func (s *server) status(args []js.Value) (any, error) {
	m, err := s.moment(args[0])
	if err != nil {
		return nil, err
	}
	return asJSON(m.Status())
}

func (s *server) timeline(args []js.Value) (any, error) {
	m, err := s.moment(args[0])
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	tl, err := m.Replica().Timeline(ctx)
	if err != nil {
		return nil, err
	}
	return asJSON(tl)
}

func asJSON(v any) (any, error) {
	b, err := json.Marshal(v)
	return string(b), err
}

// text and number are properties of an object; zero when they are not there.

func text(o js.Value, name string) string {
	if o.Type() != js.TypeObject {
		return ""
	}
	if v := o.Get(name); v.Type() == js.TypeString {
		return v.String()
	}
	return ""
}

func number(o js.Value, name string) float64 {
	if o.Type() != js.TypeObject {
		return 0
	}
	if v := o.Get(name); v.Type() == js.TypeNumber {
		return v.Float()
	}
	return 0
}

func bytesOf(array js.Value) []byte {
	if !array.Truthy() {
		return nil
	}
	b := make([]byte, array.Length())
	js.CopyBytesToGo(b, array)
	return b
}

var errProvider = errors.New("the function has returned none")
