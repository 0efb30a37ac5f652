package engine

import (
	"context"
	"sync"

	"github.com/litefs-s3/litefs-s3/index"
)

// maxConnections is how many statements of one moment may be under way at once; more have to wait.
const maxConnections = 8

// Moment is the database at a TXID, or its newest state. Its methods are safe for concurrent use.
type Moment struct {
	replica *Replica
	name    string      // of the file, as SQLite knows it
	view    *index.View // nil follows the writer
	asked   string      // the time as it was asked for; empty when following
	slots   chan struct{}

	mu     sync.Mutex
	idle   []*connection        // guarded by mu
	open   map[*Cursor]struct{} // guarded by mu
	closed bool                 // guarded by mu
}

// Replica is the one that the moment is of.
func (m *Moment) Replica() *Replica { return m.replica }

// Close interrupts the statements that are under way, and closes the connections that are not in use; the others are closed with
// their cursors.
func (m *Moment) Close() error {
	m.mu.Lock()
	idle := m.idle
	m.idle, m.closed = nil, true
	var running []*Cursor
	for c := range m.open {
		running = append(running, c)
	}
	m.mu.Unlock()
	moments.Delete(m.name)
	for _, c := range running {
		c.Close()
	}
	for _, conn := range idle {
		conn.close()
	}
	return nil
}

// take returns a connection that nobody uses.
func (m *Moment) take(ctx context.Context) (*connection, error) {
	select {
	case m.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	m.mu.Lock()
	closed := m.closed
	var conn *connection
	if n := len(m.idle); n > 0 {
		conn, m.idle = m.idle[n-1], m.idle[:n-1]
	}
	m.mu.Unlock()
	switch {
	case closed:
		<-m.slots
		return nil, ErrClosed
	case conn != nil:
		return conn, nil
	}
	return m.connectUntil(ctx)
}

// connectUntil opens a connection. SQLite hands the VFS no context to open with; when ctx ends first, what comes of it is for others.
func (m *Moment) connectUntil(ctx context.Context) (*connection, error) {
	type opened struct {
		conn *connection
		err  error
	}
	done := make(chan opened, 1)
	go func() {
		conn, err := m.connect(ctx)
		done <- opened{conn, err}
	}()
	select {
	case o := <-done:
		if o.err != nil {
			<-m.slots
		}
		return o.conn, o.err
	case <-ctx.Done():
		go func() {
			if o := <-done; o.err == nil {
				m.give(o.conn)
			} else {
				<-m.slots
			}
		}()
		return nil, context.Cause(ctx)
	}
}

// give takes a connection back.
func (m *Moment) give(conn *connection) {
	m.mu.Lock()
	keep := !conn.spent && !m.closed
	if keep {
		m.idle = append(m.idle, conn)
	}
	m.mu.Unlock()
	if !keep {
		conn.close()
	}
	<-m.slots
}

// reading is the View that a transaction of the moment would get now.
func (m *Moment) reading() *index.View {
	if m.view != nil {
		return m.view
	}
	return m.replica.tracker.View()
}
