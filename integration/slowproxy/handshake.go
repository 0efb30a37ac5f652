package slowproxy

import (
	"net"
	"sync"
	"time"
)

// greeter is a listener whose connections are as good as accepted late: for a while nothing is read from them, which is what the
// handshakes of TCP and TLS cost a client far away.
type greeter struct {
	net.Listener
	proxy *Proxy
}

func (g greeter) Accept() (net.Conn, error) {
	c, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &greeted{Conn: c, ready: time.Now().Add(g.proxy.Settings().Handshake)}, nil
}

// greeted is a connection from which nothing is read before a moment.
type greeted struct {
	net.Conn
	ready time.Time
	once  sync.Once
}

func (c *greeted) Read(p []byte) (int, error) {
	c.once.Do(func() { time.Sleep(time.Until(c.ready)) })
	return c.Conn.Read(p)
}
